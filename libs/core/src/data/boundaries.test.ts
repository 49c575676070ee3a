import assert from 'node:assert/strict';
import { isUtf8 } from 'node:buffer';
import { test } from 'node:test';
import fc from 'fast-check';
import { codePointStart, lastSafeCut, wholeCodePoints } from './boundaries.js';

/** The split patterns of GPT-2, GPT-4 and GPT-4o, as their publishers print them. */
const patterns = {
  gpt2: /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu,
  gpt4: /'(?:[sdmtSDMT]|[lL]{2}|[vV][eE]|[rR][eE])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+$|\s*[\r\n]|\s+(?!\S)|\s/gu,
  gpt4o:
    /[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?:'[sdmtSDMT]|'[lL]{2}|'[vV][eE]|'[rR][eE])?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?:'[sdmtSDMT]|'[lL]{2}|'[vV][eE]|'[rR][eE])?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+/gu,
};

/** Characters that the patterns tell apart, and those that trouble a cut. */
const characters =
  ' \n\r\t\u00a0\u3000\u0085\ufeff\'’./!-"。、「」aZséßǅ漢字かー١٢٣12345Ⅷ\u093ce\u0301😀👩\u200d🚀\u2028';
const nasty = fc.constantFrom(...characters, "'ll", "'s", '\r\n', '\n\n', '  ');
const text = fc.array(nasty, { maxLength: 40 }).map((parts) => parts.join(''));

function pieces(of: string, pattern: RegExp): string[] {
  return of.match(pattern) ?? [];
}

for (const [name, pattern] of Object.entries(patterns)) {
  test(`a safe cut leaves the pieces of ${name} as they are, whatever stands around it`, () => {
    fc.assert(
      fc.property(text, text, (before, after) => {
        // Whatever follows a cut within the text must not matter, so the text goes on behind what the cut has seen.
        const seen = Buffer.from(before);
        const cut = lastSafeCut(seen);
        const whole = Buffer.from(before + after);
        const left = whole.toString('utf8', 0, cut);
        const right = whole.toString('utf8', cut);
        assert.equal(left + right, before + after);
        assert.deepEqual(
          [...pieces(left, pattern), ...pieces(right, pattern)],
          pieces(before + after, pattern),
        );
      }),
      { numRuns: 3000 },
    );
  });
}

test('English, Chinese and code all have safe cuts', () => {
  for (const sample of ['one two', 'end. Then', 'line\nline', '漢字、漢字', 'f(x);\r\n  g(y)']) {
    assert.ok(lastSafeCut(Buffer.from(sample)) > 0, sample);
  }
});

test('one word, digits, white space and emptiness have none', () => {
  for (const sample of ['', 'word', '1234567890', ' \n\n ', '!!!\n\n', "don't"]) {
    assert.equal(lastSafeCut(Buffer.from(sample)), 0, sample);
  }
});

test('a cut far from the end of a long block is found', () => {
  const block = Buffer.from(`begin ${'x'.repeat(200_000)}`);
  assert.equal(lastSafeCut(block), 5);
});

test('a prefix of whole code points is valid UTF-8, and no longer one would be', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.nat(), (value, at) => {
      const bytes = Buffer.from(value);
      const end = bytes.length === 0 ? 0 : at % (bytes.length + 1);
      const whole = wholeCodePoints(bytes.subarray(0, end));
      assert.ok(isUtf8(bytes.subarray(0, whole)));
      for (let longer = whole + 1; longer <= end; longer++) assert.ok(!isUtf8(bytes.subarray(0, longer)));
    }),
  );
});

test('the start of the code point at any byte splits the text into two valid halves', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', minLength: 1 }), fc.nat(), (value, at) => {
      const bytes = Buffer.from(value);
      const start = codePointStart(bytes, at % bytes.length);
      assert.ok(isUtf8(bytes.subarray(0, start)) && isUtf8(bytes.subarray(start)));
    }),
  );
});
