import { X509Certificate } from 'node:crypto';
import { connect as connectTls } from 'node:tls';
import { type ServiceError, status } from '@grpc/grpc-js';
import { COORDINATOR_NAME, createRequest, fingerprintOf, type KeyPair } from './certificates.js';
import { type Credentials, connect, explainStatus, TLS_VERSION } from './connection.js';
import type { EnrollResponse__Output } from './generated/manyhands/v1/EnrollResponse.js';
import { authority, type JoinUrl } from './join-url.js';
import { PROTOCOL_VERSION } from './wire.js';

/** A worker's place in a run, as its certificate says; it lives in memory only. */
export type Identity = Extract<Credentials, { kind: 'certificate' }> & { readonly own: KeyPair };

/** A worker could not enrol. */
export class EnrolmentError extends Error {
  override readonly name = 'EnrolmentError';

  constructor(
    reason: string,
    /** Trying again would end the same way. */
    readonly final: boolean,
  ) {
    super(reason);
  }
}

const PATIENCE_MILLISECONDS = 10_000;
const GOODBYE_MILLISECONDS = 1000;
/** Certificates of a chain that are looked at. */
const LONGEST_CHAIN = 4;

/** Codes of an answer that another try may change. */
const PASSING: readonly status[] = [
  status.UNAVAILABLE,
  status.DEADLINE_EXCEEDED,
  status.RESOURCE_EXHAUSTED,
  status.CANCELLED,
];

/**
 * Takes part in a run over TLS: checks that the coordinator has the authority that the join line names, before a word is
 * said, then gives the token for a certificate. The key is made here and stays here.
 * @throws EnrolmentError
 */
export async function enrol(
  join: JoinUrl & { readonly ca: string },
  who: { readonly name: string; readonly software: string },
): Promise<Identity> {
  const known = await findAuthority(join);
  const { key, request } = await createRequest();
  const { client, metadata } = connect(join, { kind: 'certificate', authority: known, own: null });
  try {
    const deadline = Date.now() + PATIENCE_MILLISECONDS;
    const { certificate } = await new Promise<EnrollResponse__Output>((resolve, reject) => {
      const message = { protocol: PROTOCOL_VERSION, ...who, token: join.token, request };
      client.Enroll(message, metadata, { deadline }, (error: ServiceError | null, response) => {
        if (response) resolve(response);
        else reject(refusal(error));
      });
    });
    const own = { key, certificate: pemOf(certificate) };
    return { kind: 'certificate', authority: known, own };
  } finally {
    client.close();
  }
}

function refusal(error: ServiceError | null): EnrolmentError {
  if (error === null) return new EnrolmentError('the coordinator answered nothing', true);
  return new EnrolmentError(explainStatus(error), !PASSING.includes(error.code));
}

function pemOf(certificate: Buffer): string {
  try {
    return new X509Certificate(certificate).toString();
  } catch {
    throw new EnrolmentError('the coordinator answered with something that is no certificate', true);
  }
}

/**
 * The certificate, PEM, of the authority with the fingerprint, from the chain that the coordinator shows in a TLS
 * handshake. Nothing is sent or believed: it is the only root of the connections that follow.
 */
async function findAuthority({ host, port, ca }: JoinUrl & { readonly ca: string }): Promise<string> {
  const address = authority(host, port);
  const socket = connectTls({
    host,
    port,
    servername: COORDINATOR_NAME,
    minVersion: TLS_VERSION,
    ALPNProtocols: ['h2'],
    // The fingerprint decides, not who signed it.
    rejectUnauthorized: false,
  });
  try {
    await new Promise<void>((resolve, reject) => {
      const late = setTimeout(
        () => reject(new EnrolmentError('not reachable (no answer in time)', false)),
        PATIENCE_MILLISECONDS,
      );
      socket.once('close', () => clearTimeout(late));
      socket.once('secureConnect', resolve);
      socket.once('error', (error: NodeJS.ErrnoException) => reject(unreachable(error)));
      socket.once('close', () => reject(new EnrolmentError('not reachable (it hung up)', false)));
    });
    let certificate = socket.getPeerX509Certificate();
    for (let i = 0; certificate !== undefined && i < LONGEST_CHAIN; i++) {
      if (fingerprintOf(certificate) === ca) return certificate.toString();
      certificate = certificate.issuerCertificate;
    }
  } finally {
    socket.on('error', () => {});
    // Politely, so that the coordinator does not take it for a port scanner.
    socket.end();
    setTimeout(() => socket.destroy(), GOODBYE_MILLISECONDS).unref();
  }
  throw new EnrolmentError(
    `what answers at ${address} is not the run that the join line names: its certificate is signed by another authority`,
    true,
  );
}

function unreachable(error: NodeJS.ErrnoException): EnrolmentError {
  const code = error.code ?? error.message;
  // OpenSSL's own codes: what answered speaks no TLS, or only an older version.
  if (code.startsWith('ERR_SSL') || code === 'EPROTO') {
    return new EnrolmentError(
      'what answers there does not speak TLS 1.3, which the join line asks for: copy the join line of this run again',
      true,
    );
  }
  return new EnrolmentError(`not reachable (${code})`, false);
}
