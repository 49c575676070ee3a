import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import * as cl100k from 'gpt-tokenizer/encoding/cl100k_base';
import * as o200k from 'gpt-tokenizer/encoding/o200k_base';
import * as r50k from 'gpt-tokenizer/encoding/r50k_base';
import { awkwardText, sotu } from './fuzz.js';
import { byName, fromJson, loadTokenizer, TokenizerError, trainBpe, vocabularyNames } from './index.js';

/** gpt-tokenizer, told to take special tokens as text, as we do by default. */
const plain = { disallowedSpecial: new Set<string>() };
const peers = {
  r50k_base: (text: string) => r50k.encode(text, plain),
  cl100k_base: (text: string) => cl100k.encode(text, plain),
  o200k_base: (text: string) => o200k.encode(text, plain),
};

/** How many tokens are not special. */
const ordinary = { r50k_base: 50256, cl100k_base: 100256, o200k_base: 199998 };

for (const name of vocabularyNames) {
  test(`${name} gives gpt-tokenizer's ids for all of sotu`, async () => {
    const text = sotu().join('\n');
    const ids = (await byName(name)).encode(text);
    assert.ok(Buffer.from(ids.buffer).equals(Buffer.from(Uint32Array.from(peers[name](text)).buffer)));
  });

  test(`${name} gives gpt-tokenizer's ids for awkward text, also after a trip through tokenizer.json`, async () => {
    const tokenizer = await byName(name);
    const again = fromJson(tokenizer.toJson());
    assert.equal(again.hash, tokenizer.hash);
    fc.assert(
      fc.property(awkwardText, (text) => {
        const ids = [...tokenizer.encode(text)];
        // gpt-tokenizer never finds a token that begins with a byte order mark: its TextDecoder removes it.
        if (!text.includes('\ufeff')) assert.deepEqual(ids, peers[name](text));
        assert.deepEqual([...again.encode(text)], ids);
      }),
      { numRuns: 2000 },
    );
  });

  test(`every token of ${name} encodes to itself where it is text and one piece`, async () => {
    const tokenizer = await byName(name);
    let alone = 0;
    for (let id = 0; id < ordinary[name]; id++) {
      const text = tokenizer.decode([id]);
      if (text.includes('\ufffd')) continue;
      const ids = tokenizer.encode(text);
      assert.equal(tokenizer.decode(ids), text);
      if (ids.length === 1) {
        assert.equal(ids[0], id);
        alone++;
      }
    }
    assert.ok(alone > 0.9 * tokenizer.vocabSize, `${alone}`);
  });
}

test('what is decoded is what was encoded, lone surrogates as U+FFFD', async () => {
  const tokenizers = await Promise.all(vocabularyNames.map(byName));
  tokenizers.push(trainBpe([], { vocabSize: 257, pattern: 'gpt2' }));
  fc.assert(
    fc.property(awkwardText, (text) => {
      for (const tokenizer of tokenizers) {
        const ids = tokenizer.encode(text);
        assert.deepEqual(Buffer.from(tokenizer.decodeBytes(ids)), Buffer.from(text, 'utf8'));
        assert.equal(tokenizer.decode(ids), Buffer.from(text, 'utf8').toString('utf8'));
      }
    }),
    { numRuns: 1000 },
  );
});

test('any bytes can be written with a vocabulary, and come back unchanged', async () => {
  const tokenizer = await byName('r50k_base');
  const ids = new Map<number, number>();
  for (let id = 0; id < 256; id++) ids.set(tokenizer.decodeBytes([id])[0], id);
  assert.equal(ids.size, 256);
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      assert.deepEqual(tokenizer.decodeBytes(Array.from(bytes, (byte) => ids.get(byte) ?? -1)), bytes);
    }),
  );
});

test('a megabyte without a space is encoded in good time and comes back', { timeout: 120_000 }, async () => {
  const tokenizer = await byName('cl100k_base');
  const texts = ['a', 'ab', ' ', '\n ', '!', '1', '中', "'", '\ud800', 'e\u0301'];
  for (const unit of texts) {
    const text = unit.repeat(1e6 / unit.length);
    assert.equal(tokenizer.decode(tokenizer.encode(text)), text.replaceAll('\ud800', '\ufffd'));
  }
});

test('the cache of pieces never changes an answer, however many pieces fight for a place', async () => {
  const tokenizer = await byName('r50k_base');
  const pieces = Array.from(
    { length: 300_000 },
    (_, i) => ` ${(i * 2654435761).toString(26).replace(/\d/g, 'q')}`,
  );
  const once = tokenizer.encode(pieces.join(''));
  assert.deepEqual(tokenizer.encode(pieces.join('')), once);
  const fresh = await byName('r50k_base');
  const alone = pieces.slice(-500).flatMap((piece) => [...fresh.encode(piece)]);
  assert.deepEqual([...once.subarray(once.length - alone.length)], alone);
});

test('the cache of pieces leaves out those whose ids have no room in it', () => {
  const bytes = trainBpe([], { vocabSize: 257, pattern: 'gpt2' });
  // With a token a byte, 24 letters are 24 ids: too many for a record, and its neighbours hold short words.
  const words = Array.from({ length: 60_000 }, (_, i) => {
    const word = (i * 2654435761).toString(26).replace(/\d/g, 'q');
    return ` ${i % 2 === 0 ? word : word.padEnd(23, 'xyz')}`;
  });
  const text = words.join('');
  for (let round = 0; round < 2; round++) assert.equal(bytes.decode(bytes.encode(text)), text);
});

test('a byte order mark is the token that tiktoken 0.14 gives it', async () => {
  const [r50k, cl100k, o200k] = await Promise.all(vocabularyNames.map(byName));
  assert.deepEqual([...r50k.encode('\ufeffa')], [171, 119, 123, 64]);
  assert.deepEqual([...cl100k.encode('\ufeffa')], [3305, 64]);
  assert.deepEqual([...o200k.encode('\ufeffa')], [5574, 64]);
});

test('special tokens count only where they are allowed', async () => {
  const tokenizer = await byName('cl100k_base');
  const text = 'a<|endoftext|><|fim_prefix|>b';
  const plainIds = [...tokenizer.encode(text)];
  assert.ok(plainIds.every((id) => id < 100257));
  assert.deepEqual([...tokenizer.encode(text, { allowSpecial: false })], plainIds);
  assert.deepEqual([...tokenizer.encode(text, { allowSpecial: new Set() })], plainIds);
  assert.deepEqual([...tokenizer.encode(text, { allowSpecial: true })], [64, 100257, 100258, 65]);
  const [first, second, ...rest] = tokenizer.encode(text, { allowSpecial: new Set(['<|endoftext|>']) });
  assert.deepEqual([first, second], [64, 100257]);
  assert.ok(rest.every((id) => id < 100257));
  assert.equal(tokenizer.decode([64, 100257, 100258, 65]), text);
  assert.throws(() => tokenizer.encode('x', { allowSpecial: new Set(['<|nothing|>']) }), {
    name: 'TokenizerError',
    message: /^<\|nothing\|> is not a special token of this tokenizer \(it has <\|endoftext\|>, /,
  });
});

test('vocabularies have the sizes and separators that their models were trained with', async () => {
  const facts = await Promise.all(vocabularyNames.map(byName));
  assert.deepEqual(
    facts.map(({ kind, vocabSize, endOfText }) => [kind, vocabSize, endOfText]),
    [
      ['bpe', 50257, 50256],
      ['bpe', 100277, 100257],
      ['bpe', 200019, 199999],
    ],
  );
});

test('an unknown name or file is one clear sentence', async () => {
  const message =
    'There is no file no-such.json, and no vocabulary of that name: r50k_base, cl100k_base, o200k_base are known.';
  await assert.rejects(loadTokenizer('no-such.json'), { name: 'TokenizerError', message });
  await assert.rejects(loadTokenizer('constructor'), TokenizerError);
});
