import assert from 'node:assert/strict';
import { test } from 'node:test';
import { plot } from './plot.js';

const options = { width: 9, height: 5, label: String, ticks: [], mark: null, most: 100 };
const line = Array.from({ length: 9 }, (_, x) => ({ x, y: 8 - x }));

test('a curve that falls evenly runs from the upper left to the lower right, between its labels', () => {
  assert.equal(
    plot(line, options),
    ['8 ┤●', '  │ ●●', '4 ┤   ●●', '  │     ●●', '0 ┤       ●●', '  └─────────'].join('\n'),
  );
});

test('ticks stand below their values of x, and so does the mark', () => {
  const rows = plot(line, {
    ...options,
    ticks: [
      { x: 0, text: 'a' },
      { x: 8, text: 'b' },
    ],
    mark: { x: 5, text: 'here' },
  }).split('\n');
  assert.deepEqual(rows.slice(5), ['  └┴───────┴', '   a       b', '        ▲ here']);
  assert.deepEqual([rows[0], rows[4]], ['8 ┤●    ┊', '0 ┤     ┊ ●●']);
});

test('what lies above the most, or is no number, is drawn at the upper edge', () => {
  for (const y of [9, 1e9, Number.NaN, Number.POSITIVE_INFINITY]) {
    const wild = line.map((point) => (point.x === 8 ? { x: 8, y } : point));
    const rows = plot(wild, { ...options, most: 8 }).split('\n');
    assert.equal(rows[0].trimStart(), '8 ┤●       ●');
  }
});

test('points of one column are drawn once, at their mean', () => {
  const rows = plot([...line.slice(0, 5), { x: 4, y: 0 }, ...line.slice(5)], options).split('\n');
  assert.equal(rows.join('').split('●').length - 1, 9);
  assert.match(rows[3], /│ {4}●●●/);
  assert.equal(plot([{ x: 1, y: 1 }], options).split('●').length - 1, 1);
});
