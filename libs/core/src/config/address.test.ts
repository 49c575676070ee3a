import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseAddress } from './address.js';

for (const [text, expected] of [
  ['127.0.0.1:0', { host: '127.0.0.1', port: 0 }],
  ['[::1]:7070', { host: '::1', port: 7070 }],
  ['node-3.cluster_a.org:65535', { host: 'node-3.cluster_a.org', port: 65535 }],
  ['::1:7070', null],
  ['[::1]', null],
  ['127.0.0.1', null],
  ['127.0.0.1:', null],
  [':7070', null],
  ['127.0.0.1:65536', null],
  ['127.0.0.1:-1', null],
  ['a b:1', null],
  ['http://a:1', null],
  ['', null],
] as const) {
  test(`${JSON.stringify(text)} is ${expected === null ? 'no address' : 'an address'}`, () => {
    assert.deepEqual(parseAddress(text), expected);
  });
}
