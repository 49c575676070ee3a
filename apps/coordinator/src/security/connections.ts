import {
  constants,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { Bucket } from './bucket.js';
import { networkOf } from './failed-tries.js';

/** What a caller has shown so far. */
type Standing =
  /** Nothing yet. */
  | 'stranger'
  /** That it belongs to the run; it has not said hello. */
  | 'invited'
  /** It takes part. */
  | 'member'
  /** Has had an answer and is to hang up. */
  | 'leaving';

/** What a gRPC server says of itself. */
const PROBED = /^\/grpc\.(health|reflection)\.v1/;

/** A frame costs a hundred bytes of memory beside its own until its message is whole. An honest call has two small ones a message. */
const SMALL_FRAME_BYTES = 256;
const SMALL_FRAMES = { burst: 20_000, perSecond: 4_000 };

interface Connection {
  readonly peer: string;
  readonly network: string;
  readonly socket: Socket;
  standing: Standing;
  /** Ticks in this standing: not a clock, which jumps when the process had no time to listen. */
  age: number;
  /** Its refusal was told, or needs no telling. */
  told: boolean;
  /** TLS was agreed on. */
  secure: boolean;
  /** It asked for something. */
  asked: boolean;
  /** Its part in the run; a connection may carry several. */
  parts: number;
}

const TICK_MILLISECONDS = 250;
const TICKS = { stranger: 40, invited: 40, member: Number.POSITIVE_INFINITY, leaving: 12 } as const;
/** What a caller may send before it is known: a certificate request or a hello has a hundredth. */
const MAXIMUM_BYTES = 64 * 1024;
/** Callers that are not members yet, of one network and in all. */
const MOST_OF_NETWORK = 256;
const MOST_STRANGERS = 1024;
const MOST_CONNECTIONS = 8192;

/**
 * Watches every connection from its first byte on: who does not belong here gets little time, few bytes and one line in
 * the log. A connection is named by its peer, ADDRESS:PORT, as gRPC names it.
 */
export class Connections {
  private readonly open = new Map<string, Connection>();
  private ticker: NodeJS.Timeout | null = null;

  /** @param tell is told each connection that was refused, once */
  constructor(private readonly tell: (peer: string, reason: string) => void) {}

  watch(server: Http2Server): void {
    server.maxConnections = MOST_CONNECTIONS;
    server.on('drop', (dropped?: { remoteAddress?: string; remotePort?: number }) => {
      this.tell(peerOf(dropped), 'there are too many connections');
    });
    // Before HTTP/2 sees it, which makes a session of it at once.
    server.prependListener('connection', (socket: Socket) => this.opened(socket));
    server.on('secureConnection', (socket: TLSSocket) => {
      const connection = this.of(socket);
      if (connection === null) return;
      connection.secure = true;
      const certificate = socket.getPeerX509Certificate();
      if (certificate === undefined || socket.authorized) return;
      this.refuse(connection.peer, reasonOfCertificate(socket.authorizationError));
    });
    server.on('tlsClientError', (error: NodeJS.ErrnoException, socket: TLSSocket) => {
      const connection = this.of(socket);
      if (connection !== null) this.refuse(connection.peer, reasonOfHandshake(error));
    });
    server.on('unknownProtocol', (socket: TLSSocket) => {
      const connection = this.of(socket);
      if (connection !== null) this.refuse(connection.peer, 'it does not speak HTTP/2');
      socket.destroy();
    });
    server.on('session', (session: ServerHttp2Session) => {
      const connection = this.of(session.socket);
      if (connection === null) return;
      session.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
        connection.asked = true;
        // A probe says no hello: it is answered, and goes or is hung up on without a word.
        if (connection.standing === 'stranger' && PROBED.test(headers[':path'] ?? ''))
          this.done(connection.peer);
        const small = new Bucket(SMALL_FRAMES.burst, SMALL_FRAMES.perSecond);
        stream.on('data', (frame: Buffer) => {
          if (frame.length >= SMALL_FRAME_BYTES || small.take()) return;
          this.refuse(connection.peer, 'it sends its messages in crumbs');
          session.destroy(undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM);
        });
      });
      session.on('error', () => {
        if (connection.standing === 'stranger') this.refuse(connection.peer, 'it does not speak HTTP/2');
      });
    });
  }

  /** The caller belongs to the run. */
  invited(peer: string): void {
    const connection = this.open.get(peer);
    if (connection?.standing === 'stranger') stand(connection, 'invited');
  }

  /** The caller takes part, until `left`. */
  joined(peer: string): void {
    const connection = this.open.get(peer);
    if (connection === undefined) return;
    connection.parts += 1;
    stand(connection, 'member');
  }

  left(peer: string): void {
    const connection = this.open.get(peer);
    if (connection === undefined || --connection.parts > 0) return;
    this.done(peer);
  }

  /** The caller has what it came for. */
  done(peer: string): void {
    const connection = this.open.get(peer);
    if (connection === undefined) return;
    connection.told = true;
    stand(connection, 'leaving');
    this.watchStrangers();
  }

  /** Tells of the refusal, once for a connection, and closes it when the answer has had time to leave. */
  refuse(peer: string, reason: string): void {
    const connection = this.open.get(peer);
    if (connection?.told !== true) this.tell(peer, reason);
    if (connection === undefined) return;
    connection.told = true;
    if (connection.parts === 0) this.done(peer);
  }

  close(): void {
    if (this.ticker !== null) clearInterval(this.ticker);
    this.ticker = null;
  }

  /** How many are watched. */
  get size(): number {
    return this.open.size;
  }

  private opened(socket: Socket): void {
    const peer = peerOf(socket);
    const network = networkOf(socket.remoteAddress ?? '');
    const strangers = [...this.open.values()].filter(({ standing }) => standing !== 'member');
    const ofNetwork = strangers.filter((other) => other.network === network).length;
    if (strangers.length >= MOST_STRANGERS || ofNetwork >= MOST_OF_NETWORK) {
      this.tell(peer, 'too many callers are waiting to be known');
      // Only when HTTP/2, whose turn comes next, has seen it.
      setImmediate(() => socket.destroy());
      return;
    }
    const connection: Connection = {
      peer,
      network,
      socket,
      standing: 'stranger',
      age: 0,
      told: false,
      secure: false,
      asked: false,
      parts: 0,
    };
    this.open.set(peer, connection);
    socket.once('close', () => {
      this.open.delete(peer);
      const { standing, told, secure, asked } = connection;
      // Who only looked at the certificate, as a worker does before it says anything, was refused nothing.
      if (standing !== 'stranger' || told || (secure && !asked)) return;
      this.tell(peer, 'it hung up before it said what it wants');
    });
    this.watchStrangers();
  }

  private of({ remoteAddress, remotePort }: Socket): Connection | null {
    return this.open.get(peerOf({ remoteAddress, remotePort })) ?? null;
  }

  private watchStrangers(): void {
    if (this.ticker !== null) return;
    this.ticker = setInterval(() => this.tick(), TICK_MILLISECONDS).unref();
  }

  private tick(): void {
    let waiting = 0;
    for (const connection of this.open.values()) {
      const { standing, socket, peer } = connection;
      if (standing === 'member') continue;
      waiting += 1;
      connection.age += 1;
      const late = connection.age > TICKS[standing];
      const bytes = standing === 'stranger' ? socket.bytesRead : 0;
      if (!late && bytes <= MAXIMUM_BYTES) continue;
      const seconds = (TICKS[standing] * TICK_MILLISECONDS) / 1000;
      this.refuse(
        peer,
        late ? `it did not say hello in ${seconds} s` : 'it sent too much before it said hello',
      );
      socket.destroy();
    }
    if (waiting === 0) this.close();
  }
}

function stand(connection: Connection, standing: Standing): void {
  connection.standing = standing;
  connection.age = 0;
}

function peerOf(
  socket: { remoteAddress?: string | undefined; remotePort?: number | undefined } = {},
): string {
  return `${socket.remoteAddress}:${socket.remotePort}`;
}

/** @param error OpenSSL's name for what is wrong with a certificate */
function reasonOfCertificate(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : error;
  switch (code) {
    case 'CERT_HAS_EXPIRED':
      return 'its certificate has expired';
    case 'CERT_NOT_YET_VALID':
      return 'its certificate is not valid yet: one of the two clocks is wrong';
    default:
      return `its certificate is not one of this run's workers (${String(code)})`;
  }
}

function reasonOfHandshake({ code = '' }: NodeJS.ErrnoException): string {
  switch (code) {
    case 'ERR_SSL_UNSUPPORTED_PROTOCOL':
      return 'it speaks an older TLS than 1.3';
    case 'ERR_SSL_HTTP_REQUEST':
    case 'ERR_SSL_WRONG_VERSION_NUMBER':
    case 'ERR_SSL_PACKET_LENGTH_TOO_LONG':
      return 'it speaks plain text, and this run TLS only';
    case 'ERR_TLS_HANDSHAKE_TIMEOUT':
      return 'it did not finish the TLS handshake';
    case 'ECONNRESET':
      return 'it hung up before it said what it wants';
    default:
      return `its TLS handshake failed (${code})`;
  }
}
