import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as settled } from 'node:timers/promises';
import { Turns } from './turns.js';

/** So many callers at once; tells whose turn it has become, and ends turns. */
function callers(turns: Turns, count: number) {
  const begun: number[] = [];
  const ends = new Map<number, () => void>();
  for (let i = 0; i < count; i++) {
    void turns.take().then((end) => {
      begun.push(i);
      ends.set(i, end);
    });
  }
  return { begun, end: (i: number) => ends.get(i)?.() };
}

test('no more than so many have a turn at once, in order, and each end lets one more begin', async () => {
  const { begun, end } = callers(new Turns(2, 1000), 5);
  await settled();
  assert.deepEqual(begun, [0, 1]);
  end(1);
  end(1); // a second time, which is nothing
  await settled();
  assert.deepEqual(begun, [0, 1, 2]);
  end(0);
  end(2);
  await settled();
  assert.deepEqual(begun, [0, 1, 2, 3, 4]);
});

test('turns that are free again are taken at once', async () => {
  const turns = new Turns(1, 1000);
  for (const _ of [1, 2, 3]) (await turns.take())();
});

test('who stands still holds up nobody for longer than the patience', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const { begun, end } = callers(new Turns(1, 1000), 3);
  await settled();
  context.mock.timers.tick(999);
  await settled();
  assert.deepEqual(begun, [0]);
  context.mock.timers.tick(1);
  await settled();
  assert.deepEqual(begun, [0, 1]);
  end(0); // its turn was over already: nobody begins for it
  await settled();
  assert.deepEqual(begun, [0, 1]);
});
