import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatJoinUrl, parseJoinUrl } from './join-url.js';

test('a join URL is read back as it was written, with names, IPv4 and IPv6', () => {
  fc.assert(
    fc.property(
      fc.constantFrom('127.0.0.1', 'localhost', 'node-7.cluster.local', '::1', 'fe80::2'),
      fc.integer({ min: 1, max: 65535 }),
      fc.string({ minLength: 1, maxLength: 40, unit: 'grapheme' }),
      (host, port, token) => {
        assert.deepEqual(parseJoinUrl(formatJoinUrl({ host, port, token })), { host, port, token });
      },
    ),
  );
});

for (const [text, complaint] of [
  ['', /cannot be read/],
  ['127.0.0.1:9000', /expected manyhands:/],
  ['http://127.0.0.1:9000?token=a', /begins with "http:"/],
  ['manyhands://127.0.0.1?token=a', /no host and port/],
  ['manyhands://127.0.0.1:9000', /no token/],
  ['manyhands://127.0.0.1:99999?token=a', /cannot be read/],
] as const) {
  test(`"${text}" is refused with a sentence that says what is expected`, () => {
    assert.throws(() => parseJoinUrl(text), complaint);
  });
}

test('an error never repeats the token', () => {
  assert.throws(
    () => parseJoinUrl('manyhands://host?token=geheim'),
    (error: Error) => !error.message.includes('geheim'),
  );
});
