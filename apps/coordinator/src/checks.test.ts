import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Answer, checkers, isChosen, verdict } from './checks.js';
import { Proofs } from './proofs.js';

const range = { first: 0, count: 2 };
const losses = { sums: [1.5, 2.5], targets: [8, 8] };

/** What `id` answered with these values, sent in pieces of ten. */
function answer(
  id: string,
  values: Float32Array,
  { kind = 'm', identity = null as string | null, tell = losses } = {},
): Answer {
  const proofs = new Proofs(5);
  for (let at = values.length - 10; at >= 0; at -= 10) {
    proofs.piece(1, range, values.subarray(at, at + 10), true);
  }
  return { id, identity, kind, proof: proofs.whole(1, range, tell).sent };
}

const values = Float32Array.from({ length: 100 }, (_, i) => Math.sin(i) / 50);

/** The same array with one bit of one value changed. */
function flipped(index: number, bit: number): Float32Array {
  const copy = values.slice();
  new Uint32Array(copy.buffer)[index] ^= 1 << bit;
  return copy;
}

const ids = (answers: readonly { id: string }[] | undefined) => answers?.map(({ id }) => id);

test('two of one kind agree where every bit is the same, and only there', () => {
  assert.deepEqual(ids(verdict([answer('a', values), answer('b', values)])?.agreeing), ['a', 'b']);
  fc.assert(
    fc.property(fc.nat({ max: 99 }), fc.nat({ max: 31 }), (index, bit) => {
      assert.equal(verdict([answer('a', values), answer('b', flipped(index, bit))]), null);
    }),
  );
  for (const tell of [
    { ...losses, sums: [1.5, 2.5000000000000004] },
    { ...losses, targets: [8, 9] },
  ]) {
    assert.equal(verdict([answer('a', values), answer('b', values, { tell })]), null);
  }
});

test('two of different kinds may differ by rounding, and by no more', () => {
  fc.assert(
    fc.property(fc.nat(), fc.constantFrom(1e-6, 1e-5, 0.05, 1, 100), (seed, size) => {
      const other = values.map((value, i) => value * (1 + size * Math.sin(seed + i * i)));
      const agreed = verdict([answer('a', values), answer('b', other, { kind: 'n' })]);
      assert.equal(agreed !== null, size < 1e-3);
    }),
  );
  const tell = { ...losses, sums: [1.5, 2.6] };
  assert.equal(
    verdict([
      answer('a', values),
      answer(
        'b',
        values.map((x) => x * (1 + 1e-6)),
        { kind: 'n', tell },
      ),
    ]),
    null,
  );
});

test('sums that are not finite agree with each other, whatever else is in them, and with no other', () => {
  const bad = (at: number, what: number) => values.with(at, what);
  const one = answer('a', bad(3, Number.NaN));
  assert.notEqual(verdict([one, answer('b', bad(90, Number.POSITIVE_INFINITY))]), null);
  for (const kind of ['m', 'n']) assert.equal(verdict([one, answer('b', values, { kind })]), null);
});

test('nobody agrees with himself: not under one number, not under one certificate', () => {
  assert.equal(verdict([answer('a', values), answer('a', values)]), null);
  const same = { identity: 'ada' };
  assert.equal(verdict([answer('a-1', values, same), answer('a-2', values, same)]), null);
  assert.equal(verdict([]), null);
});

test('of three that differ the one is found who stands alone, whoever came first', () => {
  const parts = [answer('a', values), answer('liar', flipped(4, 0)), answer('b', values)];
  fc.assert(
    fc.property(fc.shuffledSubarray(parts, { minLength: 3 }), (answers) => {
      const found = verdict(answers.at(-1)?.id === 'liar' ? [answers[2], answers[0], answers[1]] : answers);
      assert.deepEqual(ids(found?.differing), ['liar']);
      assert.deepEqual(ids(found?.agreeing)?.sort(), ['a', 'b']);
    }),
  );
});

test('who contradicts himself and then agrees is the one who differs', () => {
  const found = verdict([answer('a', flipped(0, 3)), answer('b', values), answer('a', values)]);
  assert.deepEqual(ids(found?.differing), ['a']);
});

test('a range is computed again by one who has not, of the same kind where there is one; by all again where all differ', () => {
  const party = (id: string, kind = 'm', identity: string | null = null) => ({ id, kind, identity });
  const crew = [party('a'), party('x', 'n'), party('b')];
  const ask = (answers: Answer[], who = crew) => ids(checkers({ range, answers }, who));
  assert.deepEqual(ask([answer('a', values)]), ['b']);
  assert.deepEqual(ask([answer('a', values), answer('b', flipped(1, 1))]), ['x']);
  assert.deepEqual(ask([answer('a', values)], [party('a')]), []);
  assert.deepEqual(ask([answer('a', values), answer('b', flipped(1, 1))], [party('a'), party('b')]), [
    'a',
    'b',
  ]);
  const thrice = [answer('a', values), answer('b', flipped(1, 1)), answer('a', values)];
  assert.deepEqual(ask(thrice, [party('a'), party('b')]), ['b']);
  const ada = { identity: 'ada' };
  assert.deepEqual(ask([answer('a', values, ada)], [party('again', 'm', 'ada')]), []);
});

test('the chosen share is what was asked for, and differs with the secret', () => {
  const numbers = Array.from({ length: 5000 }, (_, i) => i);
  const chosen = (verify: number, seed: number) => numbers.filter((id) => isChosen({ verify, seed }, id));
  assert.equal(chosen(0, 1).length, 0);
  assert.equal(chosen(1, 1).length, 5000);
  const some = chosen(0.1, 1);
  assert.ok(Math.abs(some.length - 500) < 100, `${some.length}`); // 21 is one deviation
  assert.notDeepEqual(some, chosen(0.1, 2));
});

test('what went into the sum is known, whoever sent which part of it', () => {
  const proofs = new Proofs(5);
  const [head, tail] = [values.subarray(0, 50), values.subarray(50)];
  proofs.piece(1, range, tail, true); // and its worker is gone
  proofs.piece(2, range, tail, false);
  proofs.piece(2, range, head, true);
  const honest = proofs.whole(2, range, losses);
  assert.equal(honest.added, honest.sent.digest);
  const mixed = new Proofs(5);
  mixed.piece(1, range, flipped(60, 0).subarray(50), true);
  mixed.piece(2, range, tail, false);
  mixed.piece(2, range, head, true);
  const found = mixed.whole(2, range, losses);
  assert.equal(found.sent.digest, honest.sent.digest);
  assert.notEqual(found.added, honest.sent.digest);
});
