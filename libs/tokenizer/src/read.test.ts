import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { fromJson, loadTokenizer, TokenizerError, trainBpe, trainChar } from './index.js';

const fixture: {
  texts: string[];
  files: { tokenizer: object; ids: number[][] }[];
} = JSON.parse(readFileSync(new URL('../fixtures/huggingface.json', import.meta.url), 'utf8'));

test("files that Hugging Face wrote give Hugging Face's ids", () => {
  for (const { tokenizer, ids } of fixture.files) {
    const ours = fromJson(JSON.stringify(tokenizer));
    assert.deepEqual(
      fixture.texts.map((text) => [...ours.encode(text, { allowSpecial: true })]),
      ids,
    );
    assert.deepEqual(
      fixture.texts.map((_, i) => ours.decode(ids[i])),
      fixture.texts,
    );
    assert.equal(ours.endOfText, ours.vocabSize - 1);
    assert.equal(fromJson(ours.toJson()).hash, ours.hash);
  }
});

test('merges may be written as pairs', () => {
  const json = trainBpe(['low lower lowest'], { vocabSize: 262, pattern: 'gpt2' }).toJson();
  const file: { model: { merges: string[] } } = JSON.parse(json);
  const merges = file.model.merges.map((merge) => merge.split(' '));
  assert.equal(fromJson(JSON.stringify({ ...file, model: { ...file.model, merges } })).toJson(), json);
});

test('with ignore_merges a piece that is a token is that token, though no merge makes it', () => {
  const file: { model: { vocab: object } } = JSON.parse(
    trainBpe([], { vocabSize: 257, pattern: 'gpt2' }).toJson(),
  );
  Object.assign(file.model.vocab, { word: 257 });
  const read = (ignore_merges: boolean) =>
    fromJson(JSON.stringify({ ...file, model: { ...file.model, ignore_merges } }));
  assert.deepEqual([...read(true).encode('word words')], [257, 220, 86, 78, 81, 67, 82]);
  assert.equal(read(false).encode('word').length, 4);
  assert.equal(fromJson(read(true).toJson()).encode('word').length, 1);
});

test('an added token that is not special counts in every text, the longest of those that begin together', () => {
  const file: { added_tokens: object[] } = JSON.parse(
    trainBpe(['ab'], { vocabSize: 257, pattern: 'gpt2' }).toJson(),
  );
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: true };
  file.added_tokens.push({ id: 300, content: '<a>', special: false, ...flags });
  file.added_tokens.push({ id: 301, content: '<a><b>', special: false, ...flags });
  const tokenizer = fromJson(JSON.stringify(file));
  assert.deepEqual([...tokenizer.encode('<a>x<a><b>')], [300, 87, 301]);
  assert.equal(tokenizer.vocabSize, 302);
  assert.equal(tokenizer.decode([300, 87, 301]), '<a>x<a><b>');
  assert.equal(fromJson(tokenizer.toJson()).hash, tokenizer.hash);
});

/** What is wrong in a file: the place, what stands there instead (undefined: nothing), what the sentence says. */
const damages: [name: string, place: (string | number)[], instead: unknown, says: RegExp][] = [
  ['no model', ['model'], undefined, /model is missing/],
  ['another model', ['model', 'type'], 'Unigram', /model.*"Unigram"/],
  ['no vocabulary', ['model', 'vocab'], [], /model\.vocab must be an object/],
  ['an empty vocabulary', ['model', 'vocab'], {}, /model\.vocab has no token/],
  ['an id that is no number', ['model', 'vocab', '!'], '0', /id of "!" is "0", not a whole number/],
  ['a negative id', ['model', 'vocab', '!'], -1, /id of "!" is -1/],
  ['a gigantic id', ['model', 'vocab', '!'], 2 ** 31, /id of "!" is 2147483648/],
  ['one id twice', ['model', 'vocab', '!'], 1, /two tokens have the id 1/],
  ['an empty token', ['model', 'vocab', ''], 300, /id 300 is empty/],
  ['a token in no bytes', ['model', 'vocab', '日'], 300, /"日" is not written in byte-level/],
  ['an unknown half', ['model', 'merges', 0], 'a zz', /merge 0 \("a zz"\)/],
  ['a merge of three', ['model', 'merges', 0], 'a b c', /merge 0 is "a b c", not a pair/],
  ['a merge that is a number', ['model', 'merges', 1], 7, /merge 1 is 7, not a pair/],
  ['a merge twice', ['model', 'merges', 1], 'l o', /merge 1 joins the same tokens as merge 0/],
  ['a normalizer', ['normalizer'], { type: 'NFC' }, /normalizer is \{"type":"NFC"\}/],
  ['no pre-tokenizer', ['pre_tokenizer'], null, /pre_tokenizer is null/],
  ['a prefix space', ['pre_tokenizer', 'add_prefix_space'], true, /add_prefix_space is true/],
  ['no split', ['pre_tokenizer', 'use_regex'], false, /pre_tokenizer is none of those known/],
  ['dropout', ['model', 'dropout'], 0.1, /model\.dropout is 0\.1/],
  ['byte fallback', ['model', 'byte_fallback'], true, /model\.byte_fallback is true/],
  ['a word suffix', ['model', 'end_of_word_suffix'], '</w>', /end_of_word_suffix is "<\/w>"/],
  ['a stripping token', ['added_tokens', 0, 'lstrip'], true, /added_tokens\.0\.lstrip is true/],
  ['an added id that is taken', ['added_tokens', 0, 'id'], 5, /"<\|endoftext\|>" the id 5/],
  ['an added id too large', ['added_tokens', 0, 'id'], 2 ** 31, /added_tokens\.0\.id is 2147483648/],
];

for (const [name, place, instead, says] of damages) {
  test(`refused in one sentence: ${name}`, () => {
    const file: object = JSON.parse(trainBpe(['low low'], { vocabSize: 262, pattern: 'gpt2' }).toJson());
    const key = place.at(-1) ?? '';
    const parent = place.slice(0, -1).reduce((value, step) => Reflect.get(value, step), file);
    Reflect.set(parent, key, instead);
    assert.throws(
      () => fromJson(JSON.stringify(file)),
      (error) => {
        assert.ok(error instanceof TokenizerError);
        assert.match(error.message, says);
        assert.match(error.message, /^tokenizer\.json[^\n]{5,400}\.$/);
        return true;
      },
    );
  });
}

test('refused in one sentence: a word-level file that is not of characters', () => {
  const file: object = JSON.parse(trainChar(['ab']).toJson());
  assert.throws(
    () => fromJson(JSON.stringify({ ...file, model: { type: 'WordLevel', vocab: { a: 0, word: 1 } } })),
    { name: 'TokenizerError', message: /"word" \(id 1\) is not one character/ },
  );
  const pre = { type: 'ByteLevel', add_prefix_space: false, use_regex: true };
  assert.throws(() => fromJson(JSON.stringify({ ...file, pre_tokenizer: pre })), /split at every character/);
});

test('whatever is damaged in a file, it is read or refused with a sentence', () => {
  const files = [
    trainBpe(['low lower lowest low'], { vocabSize: 262, pattern: 'gpt4' }).toJson(),
    trainChar(['abc'], { endOfText: true }).toJson(),
  ];
  let refused = 0;
  fc.assert(
    fc.property(
      fc.constantFrom(...files),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      fc.nat(6),
      fc.constantFrom(
        '',
        '"',
        '{',
        '}',
        ']',
        ',',
        '0',
        '-1',
        '1e9',
        'null',
        'true',
        '__proto__',
        '\u0000',
        'Ġ',
      ),
      (json, place, cut, instead) => {
        const at = Math.floor(place * json.length);
        const damaged = json.slice(0, at) + instead + json.slice(at + cut);
        try {
          const tokenizer = fromJson(damaged);
          assert.equal(fromJson(tokenizer.toJson()).hash, tokenizer.hash);
        } catch (error) {
          assert.ok(error instanceof TokenizerError, String(error));
          refused++;
        }
      },
    ),
    { numRuns: 1500 },
  );
  assert.ok(refused > 500, `${refused}`);
  for (const json of ['', 'null', '[]', '1', '"x"', '{}', `${'['.repeat(1e5)}`]) {
    assert.throws(() => fromJson(json), TokenizerError);
  }
});

test('a file is loaded by its path, and what is wrong with it names the path', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tokenizer-'));
  try {
    const good = trainChar(['ab']);
    await writeFile(join(folder, 'good.json'), good.toJson());
    await writeFile(join(folder, 'bad.json'), '{');
    assert.equal((await loadTokenizer(join(folder, 'good.json'))).hash, good.hash);
    await assert.rejects(loadTokenizer(join(folder, 'bad.json')), {
      name: 'TokenizerError',
      message: /^\S+bad\.json is not JSON \(.*\): give a Hugging Face tokenizer\.json\.$/,
    });
    await writeFile(
      join(folder, 'normal.json'),
      JSON.stringify({ ...JSON.parse(good.toJson()), normalizer: 1 }),
    );
    await assert.rejects(loadTokenizer(join(folder, 'normal.json')), {
      name: 'TokenizerError',
      message: /^\S+normal\.json: normalizer is 1, which is not supported \(.*\)\.$/,
    });
    await writeFile(join(folder, 'text.json'), 'Two\nlines');
    await assert.rejects(loadTokenizer(join(folder, 'text.json')), /^TokenizerError: .*$/);
    await assert.rejects(loadTokenizer(folder), { name: 'TokenizerError', message: /is a folder: .*\.$/ });
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('what is told of a file is short, in one line, in plain words, however deep or strange the file is', () => {
  const file: { model: object } = JSON.parse(trainChar(['ab']).toJson());
  const deep = `${'['.repeat(50_000)}${']'.repeat(50_000)}`;
  for (const json of [
    `{"pre_tokenizer": ${deep}, "model": 1}`,
    JSON.stringify({ ...file, model: { ...file.model, vocab: { 'a\u009b2J': 7.5 } } }),
    JSON.stringify({ ...file, normalizer: '\u202e\u0007' }),
    '\u0000\u001b[2J',
    '{}',
  ]) {
    assert.throws(
      () => fromJson(json),
      (error) => {
        assert.ok(error instanceof TokenizerError, String(error));
        assert.match(error.message, /^[^\p{Cc}\p{Cf}]{1,400}$/u);
        assert.doesNotMatch(error.message, /undefined|call stack/);
        return true;
      },
    );
  }
  assert.throws(() => fromJson('{"model": {}}'), {
    message: /pre_tokenizer is missing, which is not supported/,
  });
});
