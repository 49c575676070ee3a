import { randomBytes } from 'node:crypto';
import type { Http2Server } from 'node:http2';
import {
  type Authority,
  type EnrollRequest__Output,
  type Metadata,
  PROTOCOL_VERSION,
  RequestError,
  status,
  tokenOf,
} from '@manyhands/proto';
import type { JoinToken, TokenRefusal } from '../token.js';
import { Connections } from './connections.js';
import { FailedTries } from './failed-tries.js';
import { Refusals } from './refusals.js';

/** What the door looks at in a call. */
export interface Call {
  readonly metadata: Metadata;
  /** ADDRESS:PORT. */
  getPeer(): string;
  getAuthContext(): { sslPeerCertificate?: { subject: { CN?: string | string[] } } } | null;
}

export interface Refused {
  readonly code: status;
  readonly details: string;
}

/** Who calls: the worker of a certificate, by its name; whoever has the token, null; nobody who belongs here. */
export type Caller = { readonly identity: string | null } | { readonly refused: Refused };

/** How workers prove who they are. */
export type Proof =
  /** With a certificate of the run's authority, which they are given for the token. */
  | { readonly kind: 'certificate'; readonly authority: Authority }
  /** With the token alone, in plain text; `local` where only this machine can call. */
  | { readonly kind: 'token'; readonly local: boolean };

const MAXIMUM_NAME = 60;

/** Decides who gets in, and tells of each who does not. */
export class Door {
  private readonly refusals: Refusals;
  private readonly connections: Connections;
  /** Callers of this machine share one address: none of them may lock the others out. */
  private readonly tries: FailedTries | null;

  constructor(
    private readonly token: JoinToken,
    private readonly proof: Proof,
    report: (line: string) => void,
  ) {
    this.refusals = new Refusals(report);
    this.connections = new Connections((peer, reason) => this.refusals.tell(peer, reason));
    this.tries = proof.kind === 'token' && proof.local ? null : new FailedTries();
  }

  /** To be given each server before its first connection. */
  watch(server: Http2Server): void {
    this.connections.watch(server);
  }

  /** Who makes the call; a refusal was told already. */
  caller(call: Call): Caller {
    const peer = call.getPeer();
    if (this.proof.kind === 'token') {
      const refused = this.ask(peer, () => this.token.check(tokenOf(call.metadata)));
      if (refused !== null) return { refused };
      this.connections.invited(peer);
      return { identity: null };
    }
    const name = call.getAuthContext()?.sslPeerCertificate?.subject.CN;
    if (typeof name !== 'string' || name === '') {
      return { refused: this.refuse(peer, 'no valid certificate of this run was shown') };
    }
    this.connections.invited(peer);
    return { identity: name };
  }

  /** Trades the token for a certificate, DER. */
  async enrol(peer: string, request: EnrollRequest__Output): Promise<Buffer | Refused> {
    const { proof } = this;
    if (proof.kind === 'token') {
      return this.refuse(
        peer,
        'this run is in plain text and gives no certificates',
        status.FAILED_PRECONDITION,
      );
    }
    if (request.protocol !== PROTOCOL_VERSION) {
      return this.refuse(peer, otherProtocol(request.protocol, request.software), status.FAILED_PRECONDITION);
    }
    const refused = this.ask(peer, () => this.token.use(request.token));
    if (refused !== null) return refused;
    const name = `${certificateName(request.name) || 'worker'}-${randomBytes(5).toString('hex')}`;
    try {
      const certificate = await proof.authority.forWorker(name, request.request);
      this.connections.done(peer);
      return certificate;
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      return this.refuse(peer, error.message, status.INVALID_ARGUMENT);
    }
  }

  /** The caller takes part, until `left`. */
  joined(peer: string): void {
    this.connections.joined(peer);
  }

  left(peer: string): void {
    this.connections.left(peer);
  }

  /** Tells of a caller that is sent away for another reason, once for a connection. */
  refuse(peer: string, reason: string, code = status.UNAUTHENTICATED): Refused {
    this.connections.refuse(peer, reason);
    return { code, details: reason };
  }

  close(): void {
    this.connections.close();
    this.refusals.close();
  }

  private ask(peer: string, check: () => TokenRefusal | null): Refused | null {
    const address = peer.slice(0, peer.lastIndexOf(':'));
    if (this.tries?.mayTry(address) === false) {
      return this.refuse(peer, 'too many wrong tokens came lately', status.RESOURCE_EXHAUSTED);
    }
    const refusal = check();
    if (refusal === null) return null;
    if (refusal.guess) this.tries?.failed(address);
    return this.refuse(peer, refusal.reason);
  }
}

/** Why a worker of another version cannot take part. */
export function otherProtocol(protocol: number, software: string): string {
  return `the worker speaks protocol ${protocol} (version ${clean(software)}) and the coordinator ${PROTOCOL_VERSION}: install the same version of manyhands on both`;
}

const MAXIMUM_TEXT = 200;

/** Text from a peer, short and without control characters, safe for a terminal and a log. */
export function clean(text: string): string {
  return text.replace(/\p{C}/gu, ' ').trim().slice(0, MAXIMUM_TEXT);
}

/** What a worker calls itself, in letters that a certificate, a header and a log carry as they are. */
function certificateName(text: string): string {
  return text
    .slice(0, MAXIMUM_NAME)
    .replace(/[^\w.-]/g, '_')
    .replace(/^[_.-]+/, '');
}
