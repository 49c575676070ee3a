import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { byteOrder } from './byte-level.js';
import { awkwardText, sotu } from './fuzz.js';
import { fromJson, trainBpe, trainChar } from './index.js';
import { learnMerges } from './learn.js';

function mergesIn(json: string): string[] {
  const file: { model: { merges: string[] } } = JSON.parse(json);
  return file.model.merges;
}

/** Count all pairs, take the most frequent, the lower pair of equals, replace it from the left; again. */
function byDefinition(pieces: ReadonlyMap<string, number>, tokens: string[], size: number): number[] {
  const words = [...pieces].map(([piece, count]) => ({
    count,
    ids: [...piece].map((c) => tokens.indexOf(c)),
  }));
  const triples: number[] = [];
  while (tokens.length < size) {
    const counts = new Map<string, number>();
    for (const { ids, count } of words) {
      for (let i = 0; i + 1 < ids.length; i++) {
        const key = `${ids[i]} ${ids[i + 1]}`;
        counts.set(key, (counts.get(key) ?? 0) + count);
      }
    }
    const order = [...counts].map(([key, count]) => ({ pair: key.split(' ').map(Number), count }));
    order.sort((a, b) => b.count - a.count || a.pair[0] - b.pair[0] || a.pair[1] - b.pair[1]);
    if (order.length === 0 || order[0].count < 2) break;
    const [left, right] = order[0].pair;
    const merged = tokens.push(tokens[left] + tokens[right]) - 1;
    triples.push(left, right, merged);
    for (const word of words) {
      for (let i = 0; i + 1 < word.ids.length; i++) {
        if (word.ids[i] === left && word.ids[i + 1] === right) word.ids.splice(i, 2, merged);
      }
    }
  }
  return triples;
}

test('the merges are those of the definition, ties by the lower pair', () => {
  const piece = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 14 });
  const corpus = fc.array(fc.tuple(piece, fc.integer({ min: 1, max: 4 })), { minLength: 1, maxLength: 12 });
  fc.assert(
    fc.property(corpus, (entries) => {
      const pieces = new Map(entries);
      const tokens = ['a', 'b', 'c'];
      assert.deepEqual([...learnMerges(pieces, tokens, 40)], byDefinition(pieces, ['a', 'b', 'c'], 40));
      assert.equal(new Set(tokens).size, tokens.length, 'a token was made twice');
    }),
    { numRuns: 2000 },
  );
});

test('all of sotu gives the merges of Hugging Face, the same at each run, whatever the order of documents', () => {
  const fixture: {
    sotu: { pattern: 'gpt2'; vocabSize: number; merges: number; sha256: string };
  } = JSON.parse(readFileSync(new URL('../fixtures/huggingface.json', import.meta.url), 'utf8'));
  const { pattern, vocabSize, merges, sha256 } = fixture.sotu;
  const tokenizer = trainBpe(sotu(), { vocabSize, pattern });
  const ours = mergesIn(tokenizer.toJson());
  assert.equal(ours.length, merges);
  assert.equal(createHash('sha256').update(ours.join('\n')).digest('hex'), sha256);
  assert.equal(tokenizer.vocabSize, vocabSize);
  assert.equal(tokenizer.endOfText, vocabSize - 1);
  assert.equal(trainBpe(sotu().reverse(), { vocabSize, pattern }).hash, tokenizer.hash);
});

test('a tie goes to the lower pair, not to the one seen first', () => {
  // In the order of byteOrder 'a' < 'b' < 'c' < 'd': (a, b) and (c, d) occur twice each.
  const merges = mergesIn(trainBpe(['cd', 'ab', 'cd', 'ab'], { vocabSize: 259, pattern: 'gpt2' }).toJson());
  assert.deepEqual(merges, ['a b', 'c d']);
});

test('training stops where no pair occurs twice, and never joins two documents', () => {
  const tokenizer = trainBpe(['ab', 'ab', 'x', 'y', 'x', 'y'], { vocabSize: 1000, pattern: 'gpt4' });
  assert.equal(tokenizer.vocabSize, 258);
  assert.equal(tokenizer.endOfText, 257);
});

test('texts may come at once, as a string, or over time, with the same result', async () => {
  async function* later() {
    yield 'low lower ';
    yield 'lowest';
  }
  const options = { vocabSize: 270, pattern: 'gpt2' } as const;
  const over = await trainBpe(later(), options);
  assert.equal(over.hash, trainBpe(['low lower ', 'lowest'], options).hash);
  assert.equal(trainBpe('low lower ', options).hash, trainBpe(['low lower '], options).hash);
  assert.equal((await trainChar(later())).hash, trainChar('low lower lowest').hash);
});

test('a trained tokenizer encodes any text, and so does the one read from its file', () => {
  fc.assert(
    fc.property(
      fc.array(awkwardText, { maxLength: 4 }),
      awkwardText,
      fc.constantFrom('gpt2', 'gpt4'),
      (texts, text, pattern) => {
        const tokenizer = trainBpe(texts, { vocabSize: 400, pattern });
        const again = fromJson(tokenizer.toJson());
        assert.equal(again.toJson(), tokenizer.toJson());
        assert.deepEqual(again.encode(text), tokenizer.encode(text));
        assert.deepEqual(Buffer.from(again.decodeBytes(again.encode(text))), Buffer.from(text, 'utf8'));
      },
    ),
    { numRuns: 200 },
  );
});

test('the first 256 ids are the bytes in the order of GPT-2', () => {
  assert.deepEqual(byteOrder.slice(0, 3), [0x21, 0x22, 0x23]);
  assert.equal(new Set(byteOrder).size, 256);
  const tokenizer = trainBpe([], { vocabSize: 257, pattern: 'gpt2' });
  assert.deepEqual([...tokenizer.decodeBytes(byteOrder.map((_, id) => id))], [...byteOrder]);
});

test('a vocabulary without room for the bytes is refused', () => {
  for (const vocabSize of [0, 256, 1.5, Number.NaN, 2 ** 21]) {
    assert.throws(() => trainBpe(['a'], { vocabSize, pattern: 'gpt2' }), {
      name: 'TokenizerError',
      message: /257 .* to 1048576\.$/,
    });
  }
});
