import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { findNearDuplicates } from './near-duplicates.js';
import { prepare } from './prepare.js';
import { dense, Sketcher, similarity } from './sketch.js';
import { resolveSources, type TextSource } from './sources.js';
import { splitDocuments } from './split.js';
import { byteEncoder, folder } from './testing.js';

/** The definition, with nothing hashed: |A ∩ B| ÷ |A ∪ B| of the sets of five words in a row. */
function jaccard(a: string, b: string): number {
  const shingles = (text: string) => {
    const words = text.toLowerCase().match(/[a-z0-9]+/g) ?? [];
    const count = Math.max(1, words.length - 4);
    return new Set(Array.from({ length: count }, (_, at) => words.slice(at, at + 5).join(' ')));
  };
  const [left, right] = [shingles(a), shingles(b)];
  const common = [...left].filter((shingle) => right.has(shingle)).length;
  return common / (left.size + right.size - common);
}

function sketch(text: string, cut = text.length) {
  const sketcher = new Sketcher();
  for (const part of [text.slice(0, cut), text.slice(cut)]) sketcher.push(Buffer.from(part));
  return sketcher.end() ?? assert.fail('no word');
}

/** A text of `words` words, and the same with every word replaced with the probability `change`. */
const pairs = fc
  .record({
    words: fc.integer({ min: 5, max: 600 }),
    change: fc.double({ min: 0, max: 0.3, noNaN: true }),
    seed: fc.nat(),
  })
  .map(({ words, change, seed }) => {
    let state = seed >>> 0;
    const random = () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state / 2 ** 32;
    };
    const word = () => `w${Math.floor(random() * 1e6)}`;
    const first = Array.from({ length: words }, word);
    return [first.join(' '), first.map((own) => (random() < change ? word() : own)).join(' ')] as const;
  });

test('the estimate is the exact Jaccard similarity within five standard errors, and without bias', () => {
  let [error, count] = [0, 0];
  fc.assert(
    fc.property(pairs, ([a, b]) => {
      const exact = jaccard(a, b);
      const estimate = similarity(sketch(a), sketch(b));
      assert.ok(Math.abs(estimate - exact) <= 5 * Math.sqrt(0.25 / 128), `${estimate}, exactly ${exact}`);
      error += estimate - exact;
      count += 1;
    }),
    { numRuns: 400, seed: 1 },
  );
  assert.ok(Math.abs(error / count) < 0.01, `biased by ${error / count}`);
});

test('case, punctuation and where a text is cut do not matter; other words do', () => {
  fc.assert(
    fc.property(pairs, fc.nat(), ([a], at) => {
      assert.deepEqual(sketch(a.toUpperCase().replaceAll(' ', ', '), at % a.length), sketch(a));
      assert.ok(dense(sketch(a)).every((value) => value !== 0xffffffff));
    }),
  );
  assert.equal(similarity(sketch('one two three four five'), sketch('one two three four six')), 0);
  assert.equal(similarity(sketch('我们都是很好的朋友'), sketch('我们都是很好的朋友。')) > 0.5, true);
  assert.deepEqual(sketch('我one好two的three'), sketch('我 one 好 two 的 three'));
  assert.equal(new Sketcher().end(), null);
});

/** Documents in threes: an original and two copies of it, edited more or less. */
function documents(count: number): string[] {
  const words = (seed: number) => {
    let state = seed >>> 0;
    return Array.from({ length: 120 }, () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return `w${state >>> 16}`;
    });
  };
  return Array.from({ length: count }, (_, index) => {
    const own = words(index - (index % 3));
    // Up to 28 words of the copies are changed, at the end: similarities from 1 down to 0.6.
    const changed = index % 3 === 0 ? 0 : index % 29;
    return [...own.slice(0, 120 - changed), ...words(index + 1000).slice(0, changed), '.'].join(' ');
  });
}

async function source(dir: string): Promise<TextSource> {
  const [only] = await resolveSources([{ path: join(dir, 'texts.jsonl'), weight: 1 }]);
  return only?.kind === 'text' ? only : assert.fail();
}

const lines = (texts: readonly string[]) => texts.map((text) => JSON.stringify({ text })).join('\n');

test('what is found across the split is what comparing every pair finds', async (t) => {
  const texts = documents(300);
  const dir = folder(t, { 'texts.jsonl': lines(texts) });
  const sides: Record<'train' | 'validation', string[]> = { train: [], validation: [] };
  const own = await source(dir);
  let number = 0;
  for await (const { cut } of splitDocuments(own, 0.3))
    sides[cut > 0 ? 'train' : 'validation'].push(texts[number++]);
  const { found, documents: compared } = await findNearDuplicates([own], 0.3);
  assert.deepEqual(compared, { train: sides.train.length, validation: sides.validation.length });
  const known = new Map(found.map((pair) => [texts[Number(pair.document.split(':').at(-1)) - 1], pair]));
  let [twins, missed] = [0, 0];
  for (const text of sides.validation) {
    const exact = Math.max(...sides.train.map((other) => jaccard(text, other)));
    const pair = known.get(text);
    if (exact >= 0.9) assert.ok(pair, `missed a pair of similarity ${exact}`);
    if (exact <= 0.7) assert.equal(pair, undefined, `took ${exact} for nearly the same`);
    if (pair) {
      twins += 1;
      const twin = texts[Number(pair.of.split(':').at(-1)) - 1];
      missed += exact - jaccard(text, twin);
      assert.ok(Math.abs(pair.similarity - exact) < 0.15);
    }
  }
  assert.ok(twins > 10);
  assert.equal(twins, found.length);
  assert.ok(missed / twins < 0.01, 'the most alike text is named, as far as estimates tell');
});

test('near-duplicates are told, or left out of validation; the training data stay as they are', async (t) => {
  const dir = folder(t, { 'texts.jsonl': lines(documents(300)) });
  const made = (out: string, nearDuplicates: 'ignore' | 'report' | 'drop') =>
    prepare({
      sources: [{ path: join(dir, 'texts.jsonl'), weight: 1 }],
      encoder: byteEncoder,
      out: join(dir, out),
      validation: 0.3,
      threads: 1,
      nearDuplicates,
    });
  const [ignored, told, dropped] = [
    await made('ignored', 'ignore'),
    await made('told', 'report'),
    await made('dropped', 'drop'),
  ];
  assert.equal(ignored.nearDuplicates, undefined);
  const { found = 0, pairs = [] } = told.nearDuplicates ?? {};
  assert.ok(found > 10 && pairs.length > 0 && !told.nearDuplicates?.dropped);
  assert.equal(told.dataHash, ignored.dataHash);
  assert.equal(told.plan, ignored.plan);
  assert.deepEqual({ ...dropped.nearDuplicates, dropped: false }, told.nearDuplicates);
  const [before, after] = [told.sources[0], dropped.sources[0]];
  assert.deepEqual(after.train, before.train);
  assert.equal(after.validation.documents, before.validation.documents - found);
  assert.deepEqual(await made('dropped', 'drop'), dropped, 'done already');
  await assert.rejects(made('dropped', 'report'), /prepared from other text or in another way/);
});
