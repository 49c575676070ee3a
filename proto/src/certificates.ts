import { createPrivateKey, KeyObject, X509Certificate as ParsedCertificate, webcrypto } from 'node:crypto';

/*
 * The certificates of one run: an authority, made with the run, signs one certificate for the coordinator and one for
 * each worker. None of them names an address, so that a run may move, sit behind a tunnel or be called by any name; what
 * a worker checks is the authority.
 */

/** What the coordinator's certificate is made out to, wherever it is reached. */
export const COORDINATOR_NAME = 'coordinator.manyhands';

/** A certificate, with those that signed it, and its key; both PEM. */
export interface KeyPair {
  readonly certificate: string;
  readonly key: string;
}

const KEY_KIND = { name: 'ECDSA', namedCurve: 'P-256' };
const SIGNING = { name: 'ECDSA', hash: 'SHA-256' };
const DAY = 24 * 3600 * 1000;
/** The clocks of laptops differ. */
const CLOCK_SKEW = DAY;
const AUTHORITY_DAYS = 3650;
const WORKER_DAYS = 90;

/** The longest certificate request that is read, in bytes; ours have 250. */
export const MAXIMUM_REQUEST_BYTES = 4096;

/** Loaded where a certificate is made or signed: a run on one machine does not need it. */
async function library() {
  await import('reflect-metadata');
  return import('@peculiar/x509');
}

/** A certificate request that is refused; the message says why. */
export class RequestError extends Error {
  override readonly name = 'RequestError';
}

/** The authority of one run: who has its key decides who takes part. */
export class Authority {
  /** sha256 of the certificate, 64 hexadecimal digits. */
  readonly fingerprint: string;
  /** PEM. */
  readonly certificate: string;

  private constructor(
    private readonly parsed: ParsedCertificate,
    private readonly key: webcrypto.CryptoKey,
  ) {
    this.fingerprint = fingerprintOf(parsed);
    this.certificate = parsed.toString();
  }

  /** A new one. `secret` is what `read` takes, PEM: the certificate and its key. */
  static async create(): Promise<{ authority: Authority; secret: string }> {
    const x509 = await library();
    const keys = await newKeys();
    const certificate = await x509.X509CertificateGenerator.createSelfSigned({
      name: [{ CN: ['manyhands run'] }],
      keys,
      signingAlgorithm: SIGNING,
      notBefore: new Date(Date.now() - CLOCK_SKEW),
      notAfter: new Date(Date.now() + AUTHORITY_DAYS * DAY),
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
      ],
    });
    const pem = certificate.toString('pem');
    const secret = `${pem.trim()}\n${pemOf(keys.privateKey)}`;
    return { authority: new Authority(new ParsedCertificate(pem), keys.privateKey), secret };
  }

  /**
   * Reads a certificate and its key, PEM in any order, of an authority for EC P-256.
   * @throws Error with the reason where they are not, do not belong together, or have expired
   */
  static async read(secret: string): Promise<Authority> {
    const parsed = new ParsedCertificate(secret);
    const key = createPrivateKey(secret);
    if (!parsed.ca) throw new Error('its certificate is not that of an authority');
    if (!isP256(key)) throw new Error('its key is not an EC P-256 key');
    if (!parsed.checkPrivateKey(key)) throw new Error('its certificate and its key do not belong together');
    if (Date.parse(parsed.validTo) < Date.now()) throw new Error(`it has expired on ${parsed.validTo}`);
    const pkcs8 = key.export({ format: 'der', type: 'pkcs8' });
    const signer = await webcrypto.subtle.importKey('pkcs8', pkcs8, KEY_KIND, false, ['sign']);
    return new Authority(parsed, signer);
  }

  /** A new certificate for the coordinator, with the authority's own after it. */
  async forCoordinator(): Promise<KeyPair> {
    const x509 = await library();
    const keys = await newKeys();
    const certificate = await this.sign(COORDINATOR_NAME, keys.publicKey, AUTHORITY_DAYS, [
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth], true),
      new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: COORDINATOR_NAME }]),
    ]);
    return {
      certificate: `${certificate.toString('pem').trim()}\n${this.certificate}`,
      key: pemOf(keys.privateKey),
    };
  }

  /**
   * A certificate for a worker, DER, which proves the name and serves for nothing else.
   * @param request PKCS #10 in DER; nothing but its key is taken
   * @throws RequestError where it is damaged, not signed by its own key, or for another kind of key
   */
  async forWorker(name: string, request: Uint8Array, days = WORKER_DAYS): Promise<Buffer> {
    const x509 = await library();
    const key = await keyOfRequest(request);
    const certificate = await this.sign(name, key, days, [
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth], true),
    ]);
    return Buffer.from(certificate.rawData);
  }

  private async sign(
    name: string,
    publicKey: webcrypto.CryptoKey,
    days: number,
    extensions: InstanceType<Awaited<ReturnType<typeof library>>['Extension']>[],
  ) {
    const x509 = await library();
    const end = Math.min(Date.now() + days * DAY, Date.parse(this.parsed.validTo));
    return x509.X509CertificateGenerator.create({
      subject: [{ CN: [name] }],
      issuer: new x509.X509Certificate(this.parsed.raw).subjectName,
      publicKey,
      signingKey: this.key,
      signingAlgorithm: SIGNING,
      notBefore: new Date(Math.min(Date.now() - CLOCK_SKEW, end - 1000)),
      notAfter: new Date(end),
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        ...extensions,
      ],
    });
  }
}

/** A new key, PEM, and a request in DER for its certificate. */
export async function createRequest(): Promise<{ key: string; request: Buffer }> {
  const x509 = await library();
  const keys = await newKeys();
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: [{ CN: ['worker'] }],
    keys,
    signingAlgorithm: SIGNING,
  });
  return { key: pemOf(keys.privateKey), request: Buffer.from(request.rawData) };
}

/** sha256 of a certificate, 64 hexadecimal digits. */
export function fingerprintOf(certificate: ParsedCertificate): string {
  return certificate.fingerprint256.replaceAll(':', '').toLowerCase();
}

async function keyOfRequest(request: Uint8Array): Promise<webcrypto.CryptoKey> {
  if (request.length > MAXIMUM_REQUEST_BYTES) {
    throw new RequestError(`a certificate request has ${MAXIMUM_REQUEST_BYTES} bytes at most`);
  }
  const x509 = await library();
  try {
    const parsed = new x509.Pkcs10CertificateRequest(request);
    const spki = parsed.publicKey.rawData;
    // Only a P-256 key can be read as one.
    const key = await webcrypto.subtle.importKey('spki', spki, KEY_KIND, true, ['verify']);
    if (await parsed.verify()) return key;
  } catch {
    throw new RequestError('the certificate request is not one for an EC P-256 key');
  }
  throw new RequestError('the certificate request is not signed by its own key');
}

function newKeys() {
  return webcrypto.subtle.generateKey(KEY_KIND, true, ['sign', 'verify']);
}

function pemOf(key: webcrypto.CryptoKey): string {
  return KeyObject.from(key).export({ format: 'pem', type: 'pkcs8' }).toString();
}

function isP256(key: KeyObject): boolean {
  return key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1';
}
