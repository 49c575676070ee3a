import { constants, createHash, timingSafeEqual } from 'node:crypto';
import type { Http2Server, ServerHttp2Session } from 'node:http2';
import { createSecureContext } from 'node:tls';
import {
  ChannelCredentials,
  type Client,
  type Metadata,
  Metadata as MetadataClass,
  Server,
  ServerCredentials,
  status,
} from '@grpc/grpc-js';
import { COORDINATOR_NAME, type KeyPair } from './certificates.js';
import { makeRoomForMessages } from './garbage.js';
import type { TrainingClient } from './generated/manyhands/v1/Training.js';
import { authority } from './join-url.js';
import { MAXIMUM_MESSAGE_BYTES, MAXIMUM_REQUEST_MESSAGE_BYTES, Training } from './wire.js';

/** HTTP/2's default window of 64 KiB holds a stream to a fifth of what a socket can carry. */
const FLOW_CONTROL_WINDOW = 16 * 1024 * 1024;

/** The oldest version of TLS that either side speaks. */
export const TLS_VERSION = 'TLSv1.3';

/**
 * How long a worker lets its coordinator be silent before it asks by an HTTP/2 ping, and then waits for the answer. On a
 * line full of weights and gradients both stand in a queue: 5 s were too few for eight workers behind 100 Mbit/s.
 */
const PATIENCE_SECONDS = 20;

const optionsWith = (keepaliveSeconds: number) => ({
  'grpc.max_send_message_length': MAXIMUM_MESSAGE_BYTES,
  'grpc.keepalive_time_ms': 1000 * keepaliveSeconds,
  'grpc.keepalive_timeout_ms': 1000 * keepaliveSeconds,
  'grpc.keepalive_permit_without_calls': 1,
  'grpc-node.flow_control_window': FLOW_CONTROL_WINDOW,
});

const clientOptions = {
  ...optionsWith(PATIENCE_SECONDS),
  'grpc.max_receive_message_length': MAXIMUM_MESSAGE_BYTES,
  // A connection of its own for each worker, so that what becomes of one does not touch another.
  'grpc.use_local_subchannel_pool': 1,
  'grpc.ssl_target_name_override': COORDINATOR_NAME,
};

const serverOptions = {
  'grpc.max_receive_message_length': MAXIMUM_REQUEST_MESSAGE_BYTES,
  // A worker needs three at a time.
  'grpc.max_concurrent_streams': 16,
  // In MiB, of one connection: what HTTP/2 itself holds for it.
  'grpc-node.max_session_memory': 64,
};

/** How a client shows that it belongs to a run: by the run's token, or by a certificate of the run's authority. */
export type Credentials =
  | { readonly kind: 'token'; readonly token: string }
  | {
      readonly kind: 'certificate';
      /** The certificate of the run's authority, PEM: nobody else is spoken to. */
      readonly authority: string;
      /** Null before the worker has one. */
      readonly own: KeyPair | null;
    };

/**
 * A client of the coordinator; `metadata` goes with every call.
 * @throws Error where the worker's certificate and its key do not belong together
 */
export function connect(
  { host, port }: { host: string; port: number },
  shown: Credentials,
): { client: TrainingClient & Client; metadata: Metadata } {
  if (shown.kind === 'token' && !/^[\x20-\x7e]+$/.test(shown.token)) {
    // gRPC refuses it too, and tells it.
    throw new Error('the token has characters that no token has: copy the join line of this run again');
  }
  makeRoomForMessages();
  const metadata = new MetadataClass();
  if (shown.kind === 'token') metadata.set('authorization', `${BEARER}${shown.token}`);
  return { client: new Training(authority(host, port), channelOf(shown), clientOptions), metadata };
}

function channelOf(shown: Credentials): ChannelCredentials {
  if (shown.kind === 'token') return ChannelCredentials.createInsecure();
  const context = createSecureContext({
    ca: shown.authority,
    minVersion: TLS_VERSION,
    ...(shown.own && { key: shown.own.key, cert: shown.own.certificate }),
  });
  return ChannelCredentials.createFromSecureContext(context);
}

const BEARER = 'Bearer ';

/** The token that a call carries; '' for none. */
export function tokenOf(metadata: Metadata): string {
  const text = String(metadata.get('authorization')[0] ?? '');
  return text.startsWith(BEARER) ? text.slice(BEARER.length) : '';
}

/** Whether two secrets are the same; takes the same time whatever the difference, also that of their lengths. */
export function sameSecret(a: string, b: string): boolean {
  const [left, right] = [a, b].map((text) => createHash('sha256').update(text).digest());
  return timingSafeEqual(left, right);
}

/** @param keepaliveSeconds between two HTTP/2 pings; who leaves one unanswered for as long again is cut off */
export function createServer(keepaliveSeconds: number): Server {
  makeRoomForMessages();
  return new Server({ ...optionsWith(keepaliveSeconds), ...serverOptions });
}

/** What a server shows its clients, and whose clients it knows by their certificates. */
export interface ServerSecurity extends KeyPair {
  /** The certificate of the run's authority, PEM. */
  readonly authority: string;
}

/** How long a caller may take for a TLS handshake. */
const HANDSHAKE_MILLISECONDS = 10_000;

/** grpc-js's own factory can neither set the version of TLS nor let a client without a certificate enrol. */
class RunCredentials extends ServerCredentials {
  constructor({ authority: ca, certificate: cert, key }: ServerSecurity) {
    super(
      {
        handshakeTimeout: HANDSHAKE_MILLISECONDS,
        requestCert: true,
        // Who has none is let in to enrol; every other call looks at it.
        rejectUnauthorized: false,
        // A session that is gone on with would stand for a certificate that may have expired since.
        secureOptions: constants.SSL_OP_NO_TICKET,
      },
      { ca, cert, key, minVersion: TLS_VERSION },
    );
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}

export interface ListenOptions {
  /** Absent for plain text. */
  readonly security?: ServerSecurity;
  /** Told each HTTP/2 server below, before its first connection. */
  watch?(http2: Http2Server): void;
}

/**
 * Binds and starts serving; returns the port.
 * @throws Error with the system's reason where the address cannot be bound
 */
export async function listen(
  server: Server,
  host: string,
  port: number,
  { security, watch }: ListenOptions = {},
): Promise<number> {
  const address = authority(host, port);
  const shown = security === undefined ? ServerCredentials.createInsecure() : new RunCredentials(security);
  const bound = await new Promise<number>((resolve, reject) => {
    server.bindAsync(address, shown, (error, value) => (error ? reject(error) : resolve(value)));
  });
  for (const http2 of http2ServersOf(server)) {
    watch?.(http2);
    http2.on('session', (session: ServerHttp2Session) => {
      session.setLocalWindowSize(FLOW_CONTROL_WINDOW);
      session.settings({ initialWindowSize: FLOW_CONTROL_WINDOW });
    });
  }
  return bound;
}

/** grpc-js applies its window option on the client's side only; this is the one place that reaches inside it. */
function http2ServersOf(server: Server): Iterable<Http2Server> {
  const servers: unknown = Reflect.get(server, 'http2Servers');
  if (!(servers instanceof Map) || servers.size === 0) {
    throw new Error(
      'this version of grpc-js keeps its HTTP/2 servers elsewhere: the flow-control window cannot be set',
    );
  }
  return servers.keys();
}

/** The gRPC status of a failed call in words for people. */
export function explainStatus(error: { code?: number; details?: string; message: string }): string {
  const details = error.details || error.message;
  switch (error.code) {
    case status.UNAVAILABLE:
      return `not reachable (${/E[A-Z]{4,}/.exec(details)?.[0] ?? details})`;
    case status.UNAUTHENTICATED:
      return `${details}: copy the join line of this run again`;
    default:
      return details;
  }
}
