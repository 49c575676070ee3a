import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { hostname, networkInterfaces } from 'node:os';
import { basename, resolve } from 'node:path';
import { type RunConfig, UserError } from '@manyhands/core/config';
import { modelHash } from '@manyhands/core/model';
import { formatJoinUrl, listen } from '@manyhands/proto';
import { Conductor } from './conductor.js';
import type { RunEvent, RunSummary } from './events.js';
import { openRun } from './open-run.js';
import { createService } from './service.js';
import { WeightsFeed } from './weights-feed.js';

export interface CoordinatorOptions {
  readonly config: RunConfig;
  /** The run directory. */
  readonly out: string;
  readonly resume: boolean;
  /** HOST:PORT; port 0 takes any free one. */
  readonly listen: string;
  /** Allows plain-text gRPC beyond the loopback interface. */
  readonly insecure?: boolean;
  readonly minWorkers?: number;
  report(event: RunEvent): void;
}

const { version }: { version: string } = JSON.parse(
  readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
);

/**
 * Opens a run and serves it until it is done. `stop` ends it after the step under way, saved.
 * @throws UserError for bad input; the run directory is then as it was
 */
export async function startCoordinator(
  options: CoordinatorOptions,
): Promise<{ joinUrl: string; done: Promise<RunSummary>; stop(): void }> {
  const { out, resume, report } = options;
  const { host, port } = parseAddress(options.listen);
  if (!isLoopback(host) && options.insecure !== true) {
    throw new UserError(
      `--listen ${options.listen} is reachable from other machines, but the connection is not encrypted: use 127.0.0.1, or --insecure on a network that you trust.`,
    );
  }
  const { minWorkers } = options;
  const config: RunConfig =
    minWorkers === undefined
      ? options.config
      : { ...options.config, cluster: { ...options.config.cluster, minWorkers } };
  const run = await openRun({ config, out, resume, software: version, report });
  try {
    const token = randomBytes(24).toString('base64url');
    const feed = new WeightsFeed((bytes) => conductor.sent(bytes));
    const conductor: Conductor = new Conductor(run, feed, report);
    const server = createService(
      token,
      {
        run: basename(resolve(out)),
        model: JSON.stringify(run.model.config),
        modelHash: modelHash(run.model),
        seed: config.run.seed,
        reproducible: config.run.reproducible,
        heartbeatSeconds: config.cluster.heartbeatSeconds,
        dataHash: run.data.dataHash,
        size: run.model.size,
      },
      feed,
      conductor,
    );
    let bound: number;
    try {
      bound = await listen(server, host, port);
    } catch (error) {
      conductor.abandon();
      throw new UserError(
        `--listen ${options.listen} cannot be used: ${error instanceof Error ? error.message : error}; choose another port, or 0 for any free one.`,
      );
    }
    const done = conductor.done.finally(async () => {
      await new Promise<void>((closed) => {
        const force = setTimeout(() => server.forceShutdown(), 1000);
        server.tryShutdown(() => {
          clearTimeout(force);
          closed();
        });
      });
      run.close();
    });
    const joinUrl = formatJoinUrl({ host: reachable(host), port: bound, token });
    report({ kind: 'status', text: `listening on ${host}:${bound}` });
    return { joinUrl, done, stop: () => conductor.stop() };
  } catch (error) {
    run.close();
    throw error;
  }
}

function parseAddress(address: string): { host: string; port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(address);
  const port = Number(match?.[3]);
  if (match === null || port > 65535) {
    throw new UserError(`--listen ${address} is not HOST:PORT, such as 127.0.0.1:0 or [::1]:7070.`);
  }
  return { host: match[1] ?? match[2], port };
}

/** What others can dial where the coordinator listens on every address: the first one that is not this machine's own. */
function reachable(host: string): string {
  if (host !== '0.0.0.0' && host !== '::') return host;
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return addresses.find(({ internal, family }) => !internal && family === 'IPv4')?.address ?? hostname();
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}
