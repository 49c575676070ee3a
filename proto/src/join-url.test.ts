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
      fc.option(fc.string({ minLength: 64, maxLength: 64, unit: fc.constantFrom(...'0123456789abcdef') })),
      (host, port, token, ca) => {
        const join = { host, port, token, ...(ca !== null && { ca }) };
        assert.deepEqual(parseJoinUrl(formatJoinUrl(join)), join);
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
  ['manyhands://10.0.0.1:7070?token=a', /ends with &ca=…, and this one was cut off.*in quotes/],
  ['manyhands://10.0.0.1:7070?token=a&insecure=0', /ends with &ca=/],
  ['manyhands://10.0.0.1:7070?token=a&ca=', /64 hexadecimal digits/],
  ['manyhands://127.0.0.1:7070?token=a&ca=0123', /64 hexadecimal digits/],
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

test('what is refused is not repeated at length', () => {
  assert.throws(
    () => parseJoinUrl(`${'x'.repeat(5000)}:`),
    (error: Error) => error.message.length < 200,
  );
});

test('a fingerprint is taken as other tools print it', () => {
  const pairs = Array.from({ length: 32 }, (_, i) => i.toString(16).padStart(2, '0').toUpperCase());
  const { ca } = parseJoinUrl(`manyhands://10.0.0.1:7070?token=a&ca=${pairs.join(':')}`);
  assert.equal(ca, pairs.join('').toLowerCase());
});

test('plain text to another machine is asked for in words, and never by a line that lost its end', () => {
  const join = { host: '10.0.0.1', port: 7070, token: 'a' };
  assert.equal(formatJoinUrl(join), 'manyhands://10.0.0.1:7070?token=a&insecure=1');
  assert.throws(() => parseJoinUrl(formatJoinUrl(join).split('&')[0]));
  assert.throws(() => parseJoinUrl(formatJoinUrl({ ...join, ca: 'a'.repeat(64) }).split('&')[0]));
});
