import { timingSafeEqual } from 'node:crypto';
import type { Http2Server, ServerHttp2Session } from 'node:http2';
import {
  type Client,
  credentials,
  type Metadata,
  Metadata as MetadataClass,
  Server,
  ServerCredentials,
  status,
} from '@grpc/grpc-js';
import { makeRoomForMessages } from './garbage.js';
import type { TrainingClient } from './generated/manyhands/v1/Training.js';
import { authority, type JoinUrl } from './join-url.js';
import { MAXIMUM_MESSAGE_BYTES, Training } from './wire.js';

/** HTTP/2's default window of 64 KiB holds a stream to a fifth of what a socket can carry. */
const FLOW_CONTROL_WINDOW = 16 * 1024 * 1024;

const options = {
  'grpc.max_receive_message_length': MAXIMUM_MESSAGE_BYTES,
  'grpc.max_send_message_length': MAXIMUM_MESSAGE_BYTES,
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 5_000,
  'grpc.keepalive_permit_without_calls': 1,
  'grpc-node.flow_control_window': FLOW_CONTROL_WINDOW,
};

/** A client of the coordinator; `metadata` goes with every call. */
export function connect({ host, port, token }: JoinUrl): {
  client: TrainingClient & Client;
  metadata: Metadata;
} {
  makeRoomForMessages();
  const metadata = new MetadataClass();
  metadata.set('authorization', `Bearer ${token}`);
  const address = authority(host, port);
  return { client: new Training(address, credentials.createInsecure(), options), metadata };
}

/** Whether the call carries the run's token; takes the same time whatever the difference. */
export function isInvited(metadata: Metadata, token: string): boolean {
  const given = Buffer.from(String(metadata.get('authorization')[0] ?? ''));
  const expected = Buffer.from(`Bearer ${token}`);
  return given.length === expected.length && timingSafeEqual(given, expected);
}

export function createServer(): Server {
  makeRoomForMessages();
  return new Server(options);
}

/**
 * Binds and starts serving; returns the port.
 * @throws Error with the system's reason where the address cannot be bound
 */
export async function listen(server: Server, host: string, port: number): Promise<number> {
  const address = authority(host, port);
  const bound = await new Promise<number>((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error, value) =>
      error ? reject(error) : resolve(value),
    );
  });
  for (const http2 of http2ServersOf(server)) {
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
      return 'the token was refused: copy the join line of this run again';
    default:
      return details;
  }
}
