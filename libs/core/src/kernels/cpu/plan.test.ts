import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type Lifetime, placeTensors } from './plan.js';

const lifetime = fc
  .record({ bytes: fc.nat(50).map((lines) => 64 * lines), from: fc.nat(30), length: fc.nat(10) })
  .map(({ bytes, from, length }): Lifetime => ({ bytes, from, until: from + length }));

describe('the plan of a memory', () => {
  test('never lets two overlap that live at once', () => {
    fc.assert(
      fc.property(fc.array(lifetime, { maxLength: 40 }), (items) => {
        const { offsets, bytes } = placeTensors(items);
        for (const [i, a] of items.entries()) {
          assert.ok(offsets[i] >= 0 && offsets[i] + a.bytes <= bytes && offsets[i] % 64 === 0);
          for (const [j, b] of items.entries()) {
            const together = i < j && a.from <= b.until && b.from <= a.until && a.bytes > 0 && b.bytes > 0;
            if (!together) continue;
            assert.ok(offsets[i] + a.bytes <= offsets[j] || offsets[j] + b.bytes <= offsets[i]);
          }
        }
      }),
    );
  });

  test('needs what lives at the busiest moment, or little more', () => {
    fc.assert(
      fc.property(fc.array(lifetime, { minLength: 1, maxLength: 40 }), (items) => {
        const at = (time: number) =>
          items.reduce((sum, { bytes, from, until }) => sum + (from <= time && time <= until ? bytes : 0), 0);
        const busiest = Math.max(...Array.from({ length: 45 }, (_, time) => at(time)));
        const { bytes } = placeTensors(items);
        assert.ok(bytes >= busiest);
        assert.ok(bytes <= 2 * busiest, `${bytes} bytes for ${busiest}`);
      }),
    );
  });

  test('of a chain needs two links only', () => {
    const chain = Array.from({ length: 20 }, (_, i) => ({ bytes: 640, from: i, until: i + 1 }));
    assert.equal(placeTensors(chain).bytes, 1280);
  });
});
