import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { UserError } from '@manyhands/core/config';
import type { RunEvent } from '../events.js';
import { refusal } from './guard.js';
import { RunMetrics, type RunSample } from './metrics.js';

export interface ObserverOptions {
  /** An address or name of this machine; loopback unless others are meant to read. */
  readonly host: string;
  /** 0 takes any free one. */
  readonly port: number;
  /** The name of the run, for people. */
  readonly run: string;
}

/** A run's window for probes and Prometheus: it shows, and nothing can be changed through it. */
export interface Observer {
  readonly port: number;
  /** Told every event of the run. */
  readonly report: (event: RunEvent) => void;
  /** Told the name of every line of events.jsonl. */
  note(event: string): void;
  /** Workers can join from now on; `sample` is called whenever metrics are read. */
  open(sample: () => RunSample): void;
  /** The run is over: `/readyz` says so, until the server is closed. */
  ended(): void;
  close(): Promise<void>;
}

/** Far more than a scraper, its double and three probes need at once. */
const MAXIMUM_CONNECTIONS = 64;
const MAXIMUM_HEADER_BYTES = 8 * 1024;
const TIMEOUT_MILLISECONDS = 5000;

type Answer = { readonly status: number; readonly type?: string; readonly body: string };

/**
 * Serves `/healthz` (this process answers), `/readyz` (the run is open: workers can join) and `/metrics`, over HTTP.
 * Only GET and HEAD, only under a name of this machine, never to a page of another origin.
 * @throws UserError where the address cannot be used
 */
export async function startObserver({ host, port, run }: ObserverOptions): Promise<Observer> {
  const metrics = new RunMetrics(run);
  let state = 'the run is being opened';
  const pages = new Map<string, () => Answer | Promise<Answer>>([
    ['/healthz', () => ({ status: 200, body: 'ok\n' })],
    ['/readyz', () => ({ status: metrics.open ? 200 : 503, body: `${state}\n` })],
    ['/metrics', async () => ({ status: 200, ...(await metrics.text()) })],
  ]);

  const answer = (request: IncomingMessage): Answer | Promise<Answer> => {
    const refused = refusal(request.headers, host, request.socket.localAddress ?? '');
    if (refused !== null) return { status: 403, body: `${refused}\n` };
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      return { status: 405, body: 'this server is only read\n' };
    }
    const page = pages.get((request.url ?? '').split('?')[0]);
    return page?.() ?? { status: 404, body: `${[...pages.keys()].join(' ')}\n` };
  };

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { status, type = 'text/plain; charset=utf-8', body } = await answer(request);
    response.writeHead(status, {
      'content-type': type,
      'content-length': Buffer.byteLength(body),
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      ...(status === 405 && { allow: 'GET, HEAD' }),
      // What else the request carries is not read.
      ...(status >= 400 && { connection: 'close' }),
    });
    response.end(body);
  };

  const server = createServer(
    {
      maxHeaderSize: MAXIMUM_HEADER_BYTES,
      headersTimeout: TIMEOUT_MILLISECONDS,
      requestTimeout: TIMEOUT_MILLISECONDS,
      keepAliveTimeout: TIMEOUT_MILLISECONDS,
      connectionsCheckingInterval: TIMEOUT_MILLISECONDS / 5,
    },
    (request, response) => {
      handle(request, response).catch(() => response.destroy());
    },
  );
  server.maxConnections = MAXIMUM_CONNECTIONS;
  // A reader that takes nothing is cut off too.
  server.timeout = 2 * TIMEOUT_MILLISECONDS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) =>
      reject(new UserError(`--metrics ${host}:${port} cannot be used: ${error.message}.`)),
    );
    server.listen(port, host, resolve);
  });
  const address = server.address();

  return {
    port: address !== null && typeof address === 'object' ? address.port : port,
    report: metrics.report,
    note: (event) => metrics.note(event),
    open(sample) {
      metrics.watch(sample);
      state = 'workers can join';
    },
    ended() {
      metrics.watch(null);
      state = 'the run is over';
    },
    close: () =>
      new Promise((closed) => {
        server.close(() => closed());
        server.closeAllConnections();
      }),
  };
}
