import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fromJson, trainChar } from './index.js';

const anyText = fc.string({ unit: 'binary', maxLength: 50 });

test('the vocabulary is the sorted set of characters, and a text comes back from its ids', () => {
  fc.assert(
    fc.property(fc.array(anyText, { minLength: 1 }), fc.boolean(), (texts, endOfText) => {
      fc.pre(texts.join('') !== '');
      const tokenizer = trainChar(texts, { endOfText });
      const sorted = [...new Set([...texts.join('')])].sort(
        (a, b) => (a.codePointAt(0) ?? 0) - (b.codePointAt(0) ?? 0),
      );
      assert.equal(tokenizer.vocabSize, sorted.length + Number(endOfText));
      assert.equal(tokenizer.endOfText, endOfText ? sorted.length : null);
      assert.equal(tokenizer.decode(sorted.map((_, id) => id)), sorted.join(''));
      const again = fromJson(tokenizer.toJson());
      assert.deepEqual(
        [again.hash, again.kind, again.endOfText],
        [tokenizer.hash, 'char', tokenizer.endOfText],
      );
      for (const text of texts) {
        const ids = tokenizer.encode(text);
        assert.deepEqual(
          Array.from(ids, (id) => sorted[id]),
          [...text],
        );
        assert.equal(tokenizer.decode(ids), text);
        assert.deepEqual(again.encode(text), ids);
      }
    }),
  );
});

test('a character that is not in the vocabulary is named, with its place', () => {
  const tokenizer = trainChar(['to be or not\n']);
  assert.throws(() => tokenizer.encode('to bé'), {
    name: 'TokenizerError',
    message: /^the character "é" \(U\+00E9, at offset 4\) is not one of the 8 characters of this tokenizer/,
  });
  assert.throws(() => tokenizer.encode('t👍'), /"👍" \(U\+1F44D, at offset 1\)/);
  assert.throws(() => tokenizer.encode('\ud800'), /U\+FFFD/);
});

test('lone surrogates are the replacement character, in training and in encoding', () => {
  const tokenizer = trainChar(['a\ud800']);
  assert.deepEqual([...tokenizer.encode('\udc00a\ufffd')], [1, 0, 1]);
  assert.equal(tokenizer.decode([0, 1]), 'a\ufffd');
});

test('the separator is an id only where it is allowed', () => {
  const tokenizer = trainChar(['<|endoftext|>ab'], { endOfText: true });
  const id = tokenizer.endOfText ?? -1;
  assert.equal(tokenizer.encode('a<|endoftext|>').length, 14);
  assert.deepEqual([...tokenizer.encode('a<|endoftext|>', { allowSpecial: true })].slice(1), [id]);
  assert.equal(tokenizer.decode([id]), '<|endoftext|>');
});

test('no text at all is refused', () => {
  assert.throws(() => trainChar([]), { name: 'TokenizerError', message: /no text/ });
  assert.throws(() => trainChar(['']), { name: 'TokenizerError' });
});

test('the file is this, to the letter: hashes of runs and shards depend on it', () => {
  assert.equal(
    trainChar(['b7"'], { endOfText: true }).toJson(),
    '{"version":"1.0","truncation":null,"padding":null,"added_tokens":[{"id":3,"content":"<|endoftext|>",' +
      '"single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}],"normalizer":null,' +
      '"pre_tokenizer":{"type":"Split","pattern":{"Regex":"[\\\\s\\\\S]"},"behavior":"Isolated","invert":false},' +
      '"post_processor":null,"decoder":{"type":"Fuse"},"model":{"type":"WordLevel",' +
      '"vocab":{"\\"":0,"7":1,"b":2,"<|endoftext|>":3},"unk_token":"<unk>"}}',
  );
});
