import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { UserError } from '@manyhands/core/config';
import { JoinToken } from './token.js';

const root = mkdtempSync(join(tmpdir(), 'manyhands-token-'));
after(() => rmSync(root, { recursive: true, force: true }));
const newRun = () => mkdtempSync(join(root, 'run-'));
const fileOf = (out: string) => join(out, 'join-token');
const keep = (out: string, text: string) => writeFileSync(fileOf(out), text, { mode: 0o600 });

test('a token has 128 bits at least, is kept for its owner’s eyes only, and stays with the run', async () => {
  const out = newRun();
  const { secret } = await JoinToken.open(out);
  assert.ok(Buffer.from(secret, 'base64url').length * 8 >= 128);
  if (process.platform !== 'win32') assert.equal(statSync(fileOf(out)).mode & 0o777, 0o600);
  assert.equal((await JoinToken.open(out)).secret, secret);
  assert.notEqual((await JoinToken.open(newRun())).secret, secret);
});

test('the token is good, any other is a guess', async () => {
  const token = await JoinToken.open(newRun());
  const { secret } = token;
  assert.equal(token.check(secret), null);
  for (const guess of ['', 'x', secret.slice(1), `${secret}x`, secret.toUpperCase()]) {
    assert.deepEqual(token.check(guess), { guess: true, reason: 'the token does not belong to this run' });
  }
});

test('a token that has expired is good no more, until it is given new time', async () => {
  const out = newRun();
  const token = await JoinToken.open(out, { ttl: -1 });
  const { secret } = token;
  assert.deepEqual(token.use(secret), { guess: false, reason: 'the token has expired' });
  assert.equal(token.check('x')?.guess, true);
  assert.equal((await JoinToken.open(out, { ttl: 60 })).secret, secret);
  assert.equal(token.use(secret), null);
});

test('so many join as the token allows, also over a restart', async () => {
  const out = newRun();
  const token = await JoinToken.open(out, { joins: 3 });
  const { secret } = token;
  assert.equal(token.use(secret), null);
  assert.equal(token.use('x')?.guess, true);
  assert.equal((await JoinToken.open(out)).use(secret), null);
  assert.equal(token.use(secret), null);
  assert.match(token.use(secret)?.reason ?? '', /as many workers have joined as the token allows/);
  assert.match((await JoinToken.open(out)).use(secret)?.reason ?? '', /as many/);
});

test('limits are kept beside each other', async () => {
  const out = newRun();
  await JoinToken.open(out, { ttl: 3600 });
  await JoinToken.open(out, { joins: 5 });
  const { expires, joins } = JSON.parse(readFileSync(fileOf(out), 'utf8'));
  assert.equal(joins, 5);
  assert.ok(Date.parse(expires) > Date.now());
});

test('who deletes the file revokes the token at once, who replaces it changes it', async () => {
  const out = newRun();
  const token = await JoinToken.open(out);
  const { secret } = token;
  rmSync(fileOf(out));
  assert.deepEqual(token.use(secret), { guess: false, reason: 'the token was revoked' });
  assert.throws(() => token.secret, /is gone: nobody can join/);
  const other = 'another-token-of-22-letters';
  keep(out, JSON.stringify({ token: other, expires: null, joins: null }));
  assert.equal(token.use(other), null);
  assert.equal(token.use(secret)?.guess, true);
});

for (const text of [
  '',
  'a',
  '{}',
  'null',
  '[]',
  '{"token":"short","expires":null,"joins":null}',
  `{"token":"${'a'.repeat(32)}","expires":"soon","joins":null}`,
  `{"token":"${'a'.repeat(32)}","expires":null,"joins":-1}`,
  `{"token":"${'a'.repeat(32)}","expires":null,"joins":1.5}`,
  `{"token":"${'a'.repeat(32)}","expires":null}`,
]) {
  test(`a file with ${JSON.stringify(text)} stops the start, and lets nobody in later`, async () => {
    const out = newRun();
    const token = await JoinToken.open(out);
    const { secret } = token;
    keep(out, text);
    await assert.rejects(
      JoinToken.open(out),
      (error) => error instanceof UserError && /holds no token: delete it/.test(error.message),
    );
    assert.deepEqual(token.check(secret), { guess: false, reason: 'the coordinator cannot read its token' });
  });
}

test('a token that others may have read stops the start', {
  skip: process.platform === 'win32',
}, async () => {
  const out = newRun();
  const { secret } = await JoinToken.open(out);
  chmodSync(fileOf(out), 0o644);
  await assert.rejects(
    JoinToken.open(out),
    (error: Error) => /other users/.test(error.message) && !error.message.includes(secret),
  );
});
