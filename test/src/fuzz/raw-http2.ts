import { once } from 'node:events';
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type IncomingHttpHeaders,
} from 'node:http2';
import { connect as dial, type Socket } from 'node:net';

/** Where to, and with what token. */
export interface Victim {
  readonly host: string;
  readonly port: number;
  readonly token: string;
}

export type Method = 'Work' | 'Weights' | 'Gradients';

function headersOf({ host, port, token }: Victim, method: Method, more: Record<string, string> = {}) {
  return {
    ':method': 'POST',
    ':scheme': 'http',
    ':path': `/manyhands.v1.Training/${method}`,
    ':authority': `${host}:${port}`,
    'content-type': 'application/grpc',
    te: 'trailers',
    authorization: `Bearer ${token}`,
    ...more,
  };
}

/** A gRPC message: its flag, its length (another than it has where it is told), its bytes. */
export function grpcFrame(message: Uint8Array, { compressed = false, length = message.length } = {}): Buffer {
  const head = Buffer.alloc(5);
  head[0] = compressed ? 1 : 0;
  head.writeUInt32BE(length, 1);
  return Buffer.concat([head, message]);
}

/** An HTTP/2 session that does not mind how it ends. */
export function openSession({ host, port }: Victim): ClientHttp2Session {
  const session = connect(`http://${host}:${port}`);
  session.on('error', () => {});
  return session;
}

export function openCall(
  session: ClientHttp2Session,
  victim: Victim,
  method: Method,
  more: Record<string, string> = {},
): ClientHttp2Stream {
  const stream = session.request(headersOf(victim, method, more));
  stream.on('error', () => {});
  return stream;
}

/** gRPC's status of a call as soon as it is told, or HTTP/2's reason where the call was cut off. */
export function statusOf(stream: ClientHttp2Stream): Promise<string> {
  return new Promise((resolve) => {
    const read = (headers: IncomingHttpHeaders) => {
      const status = headers['grpc-status'];
      if (status === undefined) return;
      resolve(String(status));
      stream.close();
    };
    const cutOff = () => resolve(`cut off with ${stream.rstCode ?? constants.NGHTTP2_NO_ERROR}`);
    stream.on('response', read).on('trailers', read).on('close', cutOff).resume();
  });
}

/** A TCP connection that does not mind how it ends. */
export async function openSocket({ host, port }: Victim): Promise<Socket> {
  const socket = dial(port, host);
  socket.on('error', () => {});
  await once(socket, 'connect');
  return socket;
}

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const [DATA, HEADERS, SETTINGS] = [0, 1, 4];
const END_HEADERS = 4;

/** A frame as RFC 9113, 4.1 has it. */
export function http2Frame(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

export function dataFrame(stream: number, payload: Uint8Array): Buffer {
  return http2Frame(DATA, 0, stream, payload);
}

/** The first bytes of a connection that opens calls on the streams 1, 3, 5 … by hand. */
export function opening(victim: Victim, method: Method, calls = 1): Buffer {
  const fields = Object.entries(headersOf(victim, method)).flatMap(([name, value]) =>
    // A literal field without indexing and with a new name (RFC 7541, 6.2.2); all are short.
    [Buffer.of(0, name.length), Buffer.from(name), Buffer.of(value.length), Buffer.from(value)],
  );
  const block = Buffer.concat(fields);
  const heads = Array.from({ length: calls }, (_, i) => http2Frame(HEADERS, END_HEADERS, 2 * i + 1, block));
  return Buffer.concat([PREFACE, http2Frame(SETTINGS, 0, 0, Buffer.of()), ...heads]);
}
