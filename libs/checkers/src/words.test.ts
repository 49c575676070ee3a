import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BLACK, WHITE } from './position.js';
import { WON } from './search.js';
import { valueInWords } from './words.js';

for (const [value, turn, words] of [
  [0.42, BLACK, 'Black +0.42'],
  [0.42, WHITE, 'White +0.42'],
  [-1.5, BLACK, 'White +1.50'],
  [-0.004, WHITE, 'even'],
  [WON - 1, BLACK, 'Black wins in 1'],
  [WON - 5, WHITE, 'White wins in 3'],
  [2 - WON, BLACK, 'White wins in 1'],
  [-WON, BLACK, 'White has won'],
] as const) {
  test(`${value} for ${turn === BLACK ? 'Black' : 'White'} is “${words}”`, () =>
    assert.equal(valueInWords(value, turn), words));
}
