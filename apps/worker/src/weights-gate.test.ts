import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WeightsGate } from './weights-gate.js';

test('what waits for a version passes when it is here, and not when a later one came', async () => {
  const gate = new WeightsGate();
  const { signal } = new AbortController();
  const [second, third] = [gate.reached(2, signal), gate.reached(3, signal)];
  gate.arrived(1);
  gate.arrived(3);
  assert.deepEqual(await Promise.all([second, third]), [false, true]);
  assert.equal(await gate.reached(3, signal), true);
  assert.equal(await gate.reached(2, signal), false);
});

test('what is not wanted any more waits no longer, before and while it waits', async () => {
  const gate = new WeightsGate();
  const unwanted = new AbortController();
  const waiting = gate.reached(1, unwanted.signal);
  const other = gate.reached(1, new AbortController().signal);
  unwanted.abort();
  assert.equal(await waiting, false);
  assert.equal(await gate.reached(1, unwanted.signal), false);
  gate.arrived(1);
  assert.equal(await other, true);
});

test('a gate that closes lets nothing pass', async () => {
  const gate = new WeightsGate();
  const waiting = gate.reached(1, new AbortController().signal);
  gate.close();
  assert.equal(await waiting, false);
});
