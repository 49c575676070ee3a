import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { awkwardText } from './fuzz.js';
import { byName, TokenizerError, trainBpe, trainChar } from './index.js';

test('a stream gives the text of all ids, whatever they are, and never half a character', async () => {
  const r50k = await byName('r50k_base');
  const bytes = trainBpe([], { vocabSize: 257, pattern: 'gpt2' });
  const anyIds = fc.oneof(
    fc.tuple(fc.constant(bytes), fc.array(fc.nat(256))),
    fc.tuple(fc.constant(r50k), fc.array(fc.nat(50256))),
    awkwardText.map((text) => [bytes, Array.from(bytes.encode(text))] as const),
    awkwardText.map((text) => [r50k, Array.from(r50k.encode(text))] as const),
  );
  fc.assert(
    fc.property(anyIds, ([tokenizer, ids]) => {
      const stream = tokenizer.stream();
      const pieces = ids.map((id) => stream.push(id));
      pieces.push(stream.end());
      for (const piece of pieces) assert.ok(!/\p{Cs}/u.test(piece), `half of a surrogate pair in ${ids}`);
      assert.equal(pieces.join(''), tokenizer.decode(ids));
      assert.equal(tokenizer.decode(ids), Buffer.from(tokenizer.decodeBytes(ids)).toString('utf8'));
    }),
    { numRuns: 2000 },
  );
});

test('a stream holds a character back until its last byte, and tells of one that never came', () => {
  const bytes = trainBpe([], { vocabSize: 257, pattern: 'gpt2' });
  const ids = bytes.encode('👍');
  const stream = bytes.stream();
  assert.deepEqual(
    Array.from(ids, (id) => stream.push(id)),
    ['', '', '', '👍'],
  );
  assert.equal(stream.end(), '');
  stream.push(ids[0]);
  assert.equal(stream.end(), '\ufffd');
});

test('an id that is no token is refused by name', async () => {
  const cl100k = await byName('cl100k_base');
  const char = trainChar(['ab']);
  for (const [tokenizer, id] of [
    [cl100k, 100256],
    [cl100k, 100277],
    [cl100k, -1],
    [cl100k, 1.5],
    [cl100k, Number.NaN],
    [char, 2],
  ] as const) {
    const error = { name: 'TokenizerError', message: new RegExp(`^${id} is not a token of this vocabulary`) };
    assert.throws(() => tokenizer.decode([id]), error);
    assert.throws(() => tokenizer.decodeBytes([id]), error);
    assert.throws(() => tokenizer.stream().push(id), error);
    assert.throws(() => tokenizer.token(id), error);
  }
  assert.throws(() => char.decode([2]), TokenizerError);
});

test('a token for people shows controls and lone bytes', async () => {
  const r50k = await byName('r50k_base');
  const shown = (text: string) => Array.from(r50k.encode(text), (id) => r50k.token(id));
  assert.deepEqual(shown(' world'), [' world']);
  assert.deepEqual(shown('\n\t'), ['\\n', '\\t']);
  assert.deepEqual(shown('\u0000'), ['\\x00']);
  assert.deepEqual(shown('\ufeff'), ['\\xEF', '\\xBB', '\\xBF']);
  assert.equal(r50k.token(50256), '<|endoftext|>');
});
