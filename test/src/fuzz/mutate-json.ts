import type { RandomStream } from '@manyhands/core/numeric';
import { happens, pick } from './choose.js';
import { HOSTILE_TEXTS, mutateText } from './mutate-text.js';

/** Stands for a piece of JSON as it follows, with ' for ", for what JSON.stringify does not write. */
const RAW = '@raw:';

const HOSTILE_VALUES: readonly unknown[] = [
  null,
  true,
  false,
  [],
  {},
  0,
  -1,
  1,
  0.5,
  64,
  65536,
  1e6,
  2 ** 24,
  2 ** 31,
  2 ** 32,
  2 ** 53 - 1,
  2 ** 53,
  1e15,
  1e300,
  `${RAW}1e999`,
  `${RAW}-0`,
  `${RAW}${'9'.repeat(400)}`,
  `${RAW}${'['.repeat(20000)}${']'.repeat(20000)}`,
  `${RAW}${"{'a':".repeat(4000)}1${'}'.repeat(4000)}`,
  [[[[]]]],
  Array.from({ length: 3000 }, (_, i) => i),
  Object.fromEntries(Array.from({ length: 2000 }, (_, i) => [`k${i}`, i])),
  Object.fromEntries([['__proto__', { polluted: true }]]),
  { constructor: { prototype: { polluted: true } } },
  ...HOSTILE_TEXTS,
];

/**
 * Changes parsed JSON in one to three places and prints it; null where the text is no JSON. Keys may come twice and
 * may be `__proto__`.
 */
export function mutateJson(text: string, random: RandomStream): string | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  for (let left = 1 + random.below(3); left > 0; left--) value = change(value, random);
  const indent = text.includes('\n  ') ? 2 : undefined;
  let printed: string;
  try {
    printed = JSON.stringify(value, null, indent) ?? 'null';
  } catch {
    return null; // what was nested too deeply to print was read from a text already
  }
  printed = printed.replace(/"@raw:([^"]*)"/g, (_, raw: string) => raw.replaceAll("'", '"'));
  return happens(random, 8) ? doubleKey(printed, random) : printed;
}

function change(value: unknown, random: RandomStream): unknown {
  if (typeof value !== 'object' || value === null) return nudged(value, random);
  if (happens(random, 8)) return pick(random, HOSTILE_VALUES);
  if (Array.isArray(value)) {
    const items: unknown[] = [...value];
    changeOne(items, random, (item) => change(item, random), pick(random, HOSTILE_VALUES));
    return items;
  }
  const entries: [string, unknown][] = Object.entries(value);
  const added: [string, unknown] = [pick(random, HOSTILE_TEXTS), pick(random, HOSTILE_VALUES)];
  const altered = ([key, inner]: [string, unknown]): [string, unknown] =>
    happens(random, 8) ? [pick(random, HOSTILE_TEXTS), inner] : [key, change(inner, random)];
  changeOne(entries, random, altered, added);
  return Object.fromEntries(entries);
}

/** A little beside what it was, as often as something else altogether. */
function nudged(value: unknown, random: RandomStream): unknown {
  if (happens(random, 2)) return pick(random, HOSTILE_VALUES);
  if (typeof value === 'number') return pick(random, [value + 1, value - 1, 2 * value, value / 2, -value]);
  if (typeof value === 'boolean') return !value;
  return typeof value === 'string' ? mutateText(value, random) : pick(random, [0, '', [], {}]);
}

/** Alters, removes, doubles or adds one. */
function changeOne<T>(items: T[], random: RandomStream, altered: (item: T) => T, added: T): void {
  const at = random.below(items.length + 1);
  const what = at === items.length ? 7 : random.below(8);
  if (what < 5) items[at] = altered(items[at]);
  else if (what === 5) items.splice(at, 1);
  else if (what === 6) items.splice(random.below(items.length), 0, items[at]);
  else items.splice(at, 0, added);
}

/** The first entry of an object once more, with another value. */
function doubleKey(text: string, random: RandomStream): string {
  const keys = [...text.matchAll(/"[\w.-]{1,40}"\s*:/g)];
  if (keys.length === 0) return text;
  const { index, 0: key } = pick(random, keys);
  return `${text.slice(0, index)}${key} 1, ${text.slice(index)}`;
}
