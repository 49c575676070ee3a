import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { refusal } from './guard.js';

/** Through 10.0.0.5, where the server listens on every address. */
const through = (host: string | undefined, origin?: string) =>
  refusal({ host, origin }, '0.0.0.0', '10.0.0.5');

for (const host of [
  'localhost:9464',
  'LOCALHOST',
  '127.0.0.1:9464',
  '127.9.9.9',
  '[::1]:9464',
  '10.0.0.5:9464',
  '10.0.0.5',
]) {
  test(`answered: a request for ${host}`, () => assert.equal(through(host), null));
}

for (const host of [
  undefined,
  '',
  'evil.example',
  'evil.example:9464',
  'localhost.evil.example',
  '127.0.0.1.evil.example',
  'localhost@evil.example',
  'localhost:9464:1',
  '10.0.0.6:9464',
  '[::2]',
  'localhost/..',
  ' localhost',
]) {
  test(`refused: a request for ${host === undefined ? 'no host' : JSON.stringify(host)}`, () =>
    assert.notEqual(through(host), null));
}

test('the name that the server was told to listen on is its own', () => {
  assert.equal(refusal({ host: 'metrics.lan:9464' }, 'Metrics.lan', '10.0.0.5'), null);
  assert.notEqual(refusal({ host: 'other.lan:9464' }, 'metrics.lan', '10.0.0.5'), null);
});

test('an IPv4 address that came through an IPv6 socket is its own', () => {
  assert.equal(refusal({ host: '10.0.0.5:9464' }, '::', '::ffff:10.0.0.5'), null);
});

test('only a page of the same host and port may ask, and only over HTTP', () => {
  assert.equal(through('localhost:9464', 'http://localhost:9464'), null);
  for (const origin of [
    'http://localhost:80',
    'http://localhost',
    'https://localhost:9464',
    'http://evil.example',
    'null',
    '',
  ]) {
    assert.notEqual(through('localhost:9464', origin), null, origin);
  }
});

test('no name but loopback’s and its own is answered, whatever it is', () => {
  fc.assert(
    fc.property(fc.oneof(fc.domain(), fc.ipV4(), fc.webAuthority(), fc.string()), (host) => {
      const own = /^(localhost|127(\.\d{1,3}){3}|\[::1\]|10\.0\.0\.5)(:\d{1,5})?$/i.test(host);
      assert.equal(through(host) === null, own, host);
    }),
    { numRuns: 2000 },
  );
});
