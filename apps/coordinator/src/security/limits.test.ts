import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Bucket } from './bucket.js';
import { FailedTries, networkOf } from './failed-tries.js';
import { Refusals } from './refusals.js';

/** A clock that tests turn. */
function handClock() {
  let now = 0;
  const clock = () => now;
  return { clock, pass: (seconds: number) => (now += seconds * 1000) };
}

test('a bucket never lets more through than its burst and its rate, whenever they come', () => {
  const waits = fc.array(fc.double({ min: 0, max: 5, noNaN: true }), { maxLength: 200 });
  fc.assert(
    fc.property(
      waits,
      fc.integer({ min: 1, max: 20 }),
      fc.integer({ min: 1, max: 50 }),
      (pauses, burst, rate) => {
        const { clock, pass } = handClock();
        const bucket = new Bucket(burst, rate, clock);
        let passed = 0;
        for (const pause of pauses) {
          pass(pause);
          if (bucket.take()) passed += 1;
        }
        assert.ok(passed <= burst + (clock() / 1000) * rate + 1e-6);
        if (pauses.length <= burst) assert.equal(passed, pauses.length);
      },
    ),
  );
});

test('ten wrong tokens from one address, and the next is not looked at for a while; others are', () => {
  const { clock, pass } = handClock();
  const tries = new FailedTries(clock);
  for (let i = 0; i < 10; i++) {
    assert.ok(tries.mayTry('10.0.0.1'));
    tries.failed('10.0.0.1');
  }
  assert.equal(tries.mayTry('10.0.0.1'), false);
  assert.equal(tries.mayTry('::ffff:10.0.0.1'), false);
  assert.ok(tries.mayTry('10.0.0.2'));
  pass(6.1);
  assert.ok(tries.mayTry('10.0.0.1'));
});

test('wrong tokens from very many addresses are limited in all, and remembered in bounded memory', () => {
  const { clock, pass } = handClock();
  const tries = new FailedTries(clock);
  for (let i = 0; i < 5000; i++) tries.failed(`10.0.${i >> 8}.${i & 255}`);
  assert.ok(tries.size <= 1000);
  assert.equal(tries.mayTry('192.168.0.1'), false);
  pass(60);
  assert.ok(tries.mayTry('192.168.0.1'));
});

for (const [address, network] of [
  ['10.1.2.3', '10.1.2.3'],
  ['::ffff:10.1.2.3', '10.1.2.3'],
  ['::1', '0:0:0:0::/64'],
  ['2001:db8::7', '2001:db8:0:0::/64'],
  ['2001:DB8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:db8:1:2::', '2001:db8:1:2::/64'],
  ['1::2:3:4:5:6:7', '1:0:2:3::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  ['undefined', 'undefined'],
] as const) {
  test(`${address} belongs to ${network}`, () => {
    assert.equal(networkOf(address), network);
  });
}

test('each refusal has a line, a flood is counted', () => {
  const { clock, pass } = handClock();
  const lines: string[] = [];
  const refusals = new Refusals((line) => lines.push(line), clock);
  for (let i = 0; i < 1030; i++) refusals.tell('10.0.0.1:5', 'no');
  assert.equal(lines.length, 30);
  assert.equal(lines[0], '10.0.0.1:5 was refused: no');
  pass(6);
  refusals.tell('10.0.0.2:6', 'no');
  assert.equal(lines[30], '10.0.0.2:6 was refused: no (and 1000 more since the last line)');
  refusals.tell('10.0.0.2:6', 'no');
  refusals.close();
  assert.equal(lines[31], 'callers were refused (and 1 more since the last line)');
  refusals.close();
  assert.equal(lines.length, 32);
});
