import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync, webcrypto, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { createServer, connect as dial } from 'node:tls';
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import fc from 'fast-check';
import { Authority, COORDINATOR_NAME, createRequest, type KeyPair, RequestError } from './certificates.js';

/* What OpenSSL, in Node, makes of our certificates. */

const { authority, secret } = await Authority.create();
const coordinator = await authority.forCoordinator();
const worker = await createWorker();

async function createWorker(days?: number): Promise<KeyPair> {
  const { key, request } = await createRequest();
  const certificate = new X509Certificate(await authority.forWorker('ada-1', request, days)).toString();
  return { key, certificate };
}

/** A TLS handshake between a server and a client, and what each makes of the other; null for no complaint. */
async function handshake(server: KeyPair, client: KeyPair | null) {
  const ca = authority.certificate;
  const options = {
    ca,
    cert: server.certificate,
    key: server.key,
    requestCert: true,
    rejectUnauthorized: false,
  };
  const listening = createServer(options).listen(0, '127.0.0.1');
  await once(listening, 'listening');
  const { port } = listening.address() as AddressInfo;
  const accepted = once(listening, 'secureConnection');
  const socket = dial({
    port,
    host: '127.0.0.1',
    servername: COORDINATOR_NAME,
    ca,
    rejectUnauthorized: false,
    ...(client && { cert: client.certificate, key: client.key }),
  });
  await once(socket, 'secureConnect');
  const [other] = await accepted;
  const seen = {
    byServer: other.authorized ? null : other.authorizationError,
    byClient: socket.authorized ? null : String(socket.authorizationError),
    name: other.getPeerX509Certificate()?.subject,
  };
  socket.destroy();
  other.destroy();
  listening.close();
  return seen;
}

test('both sides of a run know each other', async () => {
  assert.deepEqual(await handshake(coordinator, worker), {
    byServer: null,
    byClient: null,
    name: 'CN=ada-1',
  });
});

test('without a certificate, or with one that has expired, a client is not known', async () => {
  assert.notEqual((await handshake(coordinator, null)).byServer, null);
  assert.equal((await handshake(coordinator, await createWorker(-1))).byServer, 'CERT_HAS_EXPIRED');
});

test('a worker cannot pass for the coordinator, nor the coordinator’s certificate for a worker', async () => {
  assert.match((await handshake(worker, null)).byClient ?? '', /INVALID_PURPOSE|purpose/i);
  assert.match((await handshake(coordinator, coordinator)).byServer ?? '', /INVALID_PURPOSE|purpose/i);
});

test('a worker’s certificate signs no others', async () => {
  const parsed = new X509Certificate(worker.certificate);
  assert.equal(parsed.ca, false);
  assert.ok(parsed.verify(new X509Certificate(authority.certificate).publicKey));
  assert.equal(parsed.subjectAltName, undefined);
});

test('an authority is read back as it was, also from a key that OpenSSL wrote, whatever the order', async () => {
  const again = await Authority.read(secret);
  assert.equal(again.fingerprint, authority.fingerprint);
  assert.match(again.fingerprint, /^[0-9a-f]{64}$/);
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const foreign = await foreignAuthority(
    privateKey.export({ format: 'der', type: 'pkcs8' }),
    publicKey.export({ format: 'der', type: 'spki' }),
  );
  const sec1 = privateKey.export({ format: 'pem', type: 'sec1' }).toString();
  const other = await Authority.read(`${sec1}\n${foreign}`);
  const { key, request } = await createRequest();
  const issued = new X509Certificate(await other.forWorker('bob', request));
  assert.ok(issued.checkIssued(new X509Certificate(foreign)));
  assert.ok(issued.verify(publicKey));
  assert.ok(key.includes('PRIVATE KEY'));
});

async function foreignAuthority(
  pkcs8: Buffer,
  spki: Buffer,
  ca = true,
  ends = Date.now() + 1e9,
): Promise<string> {
  const kind = { name: 'ECDSA', namedCurve: 'P-256' };
  const keys = {
    privateKey: await webcrypto.subtle.importKey('pkcs8', pkcs8, kind, true, ['sign']),
    publicKey: await webcrypto.subtle.importKey('spki', spki, kind, true, ['verify']),
  };
  const made = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'O=Elsewhere, CN=their CA',
    keys,
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
    notBefore: new Date(ends - 1e10),
    notAfter: new Date(ends),
    extensions: [new x509.BasicConstraintsExtension(ca, undefined, true)],
  });
  return `${made.toString('pem')}\n`;
}

test('what is no authority is refused with the reason', async () => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const der = [
    privateKey.export({ format: 'der', type: 'pkcs8' }),
    publicKey.export({ format: 'der', type: 'spki' }),
  ] as const;
  const pem = privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
  const rsaPem = rsa.export({ format: 'pem', type: 'pkcs8' }).toString();
  await assert.rejects(Authority.read(`${authority.certificate}${pem}`), /do not belong together/);
  await assert.rejects(Authority.read(`${authority.certificate}${rsaPem}`), /no.* EC P-256 key/);
  await assert.rejects(
    Authority.read(`${await foreignAuthority(...der, false)}${pem}`),
    /not that of an authority/,
  );
  await assert.rejects(
    Authority.read(`${await foreignAuthority(...der, true, Date.now() - 1e6)}${pem}`),
    /has expired/,
  );
  await assert.rejects(Authority.read(authority.certificate));
  await assert.rejects(Authority.read(pem));
  await assert.rejects(Authority.read(''));
});

test('a request for another kind of key, or signed by another, is refused', async () => {
  const kind = { name: 'ECDSA', namedCurve: 'P-384' };
  const keys = await webcrypto.subtle.generateKey(kind, true, ['sign', 'verify']);
  const large = await x509.Pkcs10CertificateRequestGenerator.create({
    name: 'CN=x',
    keys,
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-384' },
  });
  await assert.rejects(authority.forWorker('x', new Uint8Array(large.rawData)), RequestError);
  const { request } = await createRequest();
  const damaged = Buffer.from(request);
  damaged[damaged.length - 1] ^= 1;
  await assert.rejects(authority.forWorker('x', damaged), /not signed by its own key/);
  await assert.rejects(authority.forWorker('x', Buffer.alloc(5000)), /4096 bytes at most/);
});

test('a damaged request is refused, or gets a certificate for nothing but the key that signed it', async () => {
  const { key, request } = await createRequest();
  const signer = createPublicKey(key).export({ format: 'der', type: 'spki' });
  await fc.assert(
    fc.asyncProperty(
      fc.nat(request.length - 1),
      fc.integer({ min: 1, max: 255 }),
      fc.nat(request.length),
      async (at, change, length) => {
        const bytes = Buffer.from(request.subarray(0, length));
        if (at < length) bytes[at] ^= change;
        if (bytes.equals(request)) return;
        try {
          const { publicKey } = new X509Certificate(await authority.forWorker('x', bytes));
          assert.deepEqual(publicKey.export({ format: 'der', type: 'spki' }), signer);
        } catch (error) {
          assert.ok(error instanceof RequestError, String(error));
        }
      },
    ),
    // The outer length alone may be short by one: the signature still holds, and what it covers is whole.
    { numRuns: 300, examples: [[2, 1, request.length]] },
  );
});
