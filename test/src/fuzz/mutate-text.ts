import type { RandomStream } from '@manyhands/core/numeric';
import { happens, pick } from './choose.js';

/** What parsers of texts have stumbled over. */
export const HOSTILE_TEXTS: readonly string[] = [
  '',
  ' ',
  '__proto__',
  'constructor',
  'prototype',
  'hasOwnProperty',
  'toString',
  '../../../etc/passwd',
  'a\u0000b',
  '\u001b[2J\u0007',
  '\n\r\u2028',
  '\u202e\u200f',
  '\ud800',
  '💥',
  '\ufeff',
  'null',
  'true',
  'NaN',
  '-Infinity',
  '9007199254740993',
  '1e999',
  '-1',
  '0x10',
  '%00%ff',
  '{{7*7}}',
  '$(id)',
  '<script>',
  "'; DROP TABLE",
  '!!js/function "x"',
  '!!binary aGk=',
  '&a [*a, *a]',
  '*missing',
  '<<: {a: 1}',
  '? key',
  '--- \n...',
  '|+\n  x',
  '"',
  "'",
  '\\u',
  'x'.repeat(5000),
  '['.repeat(20000),
  '{"a":'.repeat(5000),
  '- '.repeat(3000),
  '%'.repeat(300),
];

/** Changes a text in one to four places: inserts, removes, doubles, swaps lines, words and numbers. */
export function mutateText(input: string, random: RandomStream): string {
  let text = input;
  for (let left = 1 + random.below(4); left > 0; left--) text = change(text, random);
  return text;
}

function change(text: string, random: RandomStream): string {
  const at = random.below(text.length + 1);
  switch (random.below(6)) {
    case 0:
      return text.slice(0, at) + pick(random, HOSTILE_TEXTS) + text.slice(at);
    case 1:
      return replaceOne(text, /-?\d+(?:\.\d+)?/g, random, pick(random, HOSTILE_TEXTS.slice(15)));
    case 2:
      return replaceOne(text, /[\w./-]+/g, random, pick(random, HOSTILE_TEXTS));
    case 3:
      return text.slice(0, at) + text.slice(at + 1 + random.below(12));
    case 4: {
      const lines = text.split('\n');
      const [from, to] = [random.below(lines.length), random.below(lines.length)];
      if (happens(random, 2)) lines.splice(to, 0, lines[from]);
      else [lines[from], lines[to]] = [lines[to], lines[from]];
      return lines.join('\n');
    }
    default: {
      const part = text.slice(at, at + 1 + random.below(20));
      return text.slice(0, at) + part.repeat(1 + random.below(50)) + text.slice(at);
    }
  }
}

function replaceOne(text: string, pattern: RegExp, random: RandomStream, by: string): string {
  const found = [...text.matchAll(pattern)];
  if (found.length === 0) return text + by;
  const { index, 0: old } = pick(random, found);
  return text.slice(0, index) + by + text.slice(index + old.length);
}
