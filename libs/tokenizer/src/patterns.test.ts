import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  CL100K_TOKEN_SPLIT_REGEX,
  O200K_TOKEN_SPLIT_REGEX,
  R50K_TOKEN_SPLIT_REGEX,
} from 'gpt-tokenizer/esm/encodingParams/constants';
import { awkwardText } from './fuzz.js';
import { byName, type Tokenizer, trainBpe, vocabularyNames } from './index.js';
import { lastSafeCut, type PatternName, patterns, splitText } from './patterns.js';

/** Regular expressions that others wrote; llama3's own, with its (?i:…) spelt out for JavaScript. */
const references: Record<PatternName, RegExp> = {
  gpt2: R50K_TOKEN_SPLIT_REGEX,
  gpt4: CL100K_TOKEN_SPLIT_REGEX,
  llama3: new RegExp(
    patterns.llama3.source.replace(
      "(?i:'s|'t|'re|'ve|'m|'ll|'d)",
      "'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])",
    ),
    'gu',
  ),
  o200k: O200K_TOKEN_SPLIT_REGEX,
};

for (const pattern of Object.values(patterns)) {
  test(`the scanner of ${pattern.name} cuts any text as its regular expression does`, () => {
    const same = (text: string) => {
      const expected = text.match(references[pattern.name]) ?? [];
      assert.deepEqual([...splitText(text, pattern)], [...expected]);
    };
    for (const text of [
      '',
      ' ',
      'a',
      "'",
      "'l",
      '\u0301ABC',
      '!\u0301A',
      'あABC',
      'ABCあd',
      'x \n \n  ',
      '1234567',
    ]) {
      same(text);
    }
    fc.assert(fc.property(awkwardText, same), { numRuns: 3000 });
  });

  test(`every code point is split as the regular expression of ${pattern.name} does, between letters and alone`, () => {
    for (let block = 0; block < 0x110000; block += 0x800) {
      let text = '';
      for (let point = block; point < block + 0x800; point++) text += `A${String.fromCodePoint(point)}b`;
      const expected = text.match(references[pattern.name]) ?? [];
      assert.deepEqual([...splitText(text, pattern)], [...expected]);
    }
  });
}

test('the sources in tokenizer.json are the expressions that the scanners stand for', () => {
  const { gpt2, gpt4, o200k } = patterns;
  assert.equal(gpt2.source, R50K_TOKEN_SPLIT_REGEX.source);
  assert.equal(o200k.source, O200K_TOKEN_SPLIT_REGEX.source);
  assert.equal(gpt4.source.replace('(?![\\s\\S])', '$'), CL100K_TOKEN_SPLIT_REGEX.source);
});

test('a text cut at lastSafeCut has the ids of the whole text, whatever comes after', async () => {
  const tokenizers: Tokenizer[] = await Promise.all(vocabularyNames.map(byName));
  tokenizers.push(trainBpe(['low lower lowest newer newest wider'], { vocabSize: 280, pattern: 'gpt4' }));
  let cuts = 0;
  fc.assert(
    fc.property(awkwardText, awkwardText, (head, tail) => {
      const cut = lastSafeCut(head);
      if (cut > 0) cuts++;
      for (const tokenizer of tokenizers) {
        const parts = [...tokenizer.encode(head.slice(0, cut)), ...tokenizer.encode(head.slice(cut) + tail)];
        assert.deepEqual(parts, [...tokenizer.encode(head + tail)]);
      }
    }),
    { numRuns: 1000 },
  );
  assert.ok(cuts > 300, `only ${cuts} texts had a cut`);
  assert.equal(lastSafeCut('one two three'), 7);
  assert.equal(lastSafeCut('one'), 0);
  assert.equal(lastSafeCut(''), 0);
});
