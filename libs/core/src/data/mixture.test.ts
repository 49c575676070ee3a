import assert from 'node:assert/strict';
import { symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import type { SplitName } from './manifest.js';
import { temperedWeights } from './mixture.js';
import { type PrepareOptions, prepare } from './prepare.js';
import type { SourceSpec } from './sources.js';
import { byteEncoder, folder, prose } from './testing.js';
import { openTokenData } from './token-data.js';
import { evaluationWindows, sampleWindows } from './windows.js';

const options = (
  sources: readonly SourceSpec[],
  out: string,
  more: Partial<PrepareOptions> = {},
): PrepareOptions => ({
  sources,
  encoder: byteEncoder,
  out,
  validation: 0.1,
  threads: 1,
  ...more,
});

const refused = (pattern: RegExp) => (error: unknown) =>
  error instanceof Error && error.name === 'UserError' && pattern.test(error.message);

test('weights by temperature: from every token alike at 1 to every source alike', () => {
  assert.deepEqual(temperedWeights([300, 100], 1), [0.75, 0.25]);
  const [large, small] = temperedWeights([1_000_000, 10_000], 2);
  assert.ok(Math.abs(large / small - 10) < 1e-12, 'the square root of the sizes');
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 1e9 }), { minLength: 2, maxLength: 8 }),
      fc.double({ min: 1, max: 50, noNaN: true }),
      (tokens, temperature) => {
        const [weights, flatter] = [temperature, temperature * 2].map((t) => temperedWeights(tokens, t));
        assert.ok(Math.abs(weights.reduce((sum, weight) => sum + weight) - 1) < 1e-12);
        tokens.forEach((count, at) => {
          const other = (at + 1) % tokens.length;
          const ratio = (all: number[]) => all[at] / all[other];
          const expected = (count / tokens[other]) ** (1 / temperature);
          assert.ok(Math.abs(ratio(weights) / expected - 1) < 1e-9);
          if (count > tokens[other]) assert.ok(ratio(flatter) <= ratio(weights) && ratio(flatter) >= 1);
        });
      },
    ),
  );
  assert.ok(temperedWeights([1e9, 1, 50], 1e9).every((weight) => Math.abs(weight - 1 / 3) < 1e-6));
  assert.deepEqual(temperedWeights([8, 0], 3), [1, 0], 'nothing is drawn where there is nothing');
});

test('the sizes that a temperature looks at are the tokens that are trained on, of each source that is', async (t) => {
  const dir = folder(t, { 'a.txt': prose(9000), 'b.txt': prose(3000), 'c.txt': prose(5000) });
  const sources = ['a', 'b', 'c'].map((name) => ({ path: join(dir, `${name}.txt`), heldOut: name === 'c' }));
  const out = join(dir, 'out');
  const [a, b, c] = (await prepare(options(sources, out, { temperature: 3 }))).sources;
  assert.deepEqual(
    [a.weight, b.weight, c.weight],
    [...temperedWeights([a.train.tokens, b.train.tokens], 3), 0],
  );
  const again = await prepare(options(sources, out, { temperature: 1 }));
  assert.equal(
    again.sources[0].weight,
    a.train.tokens / (a.train.tokens + b.train.tokens),
    'without a new preparation',
  );
});

test('no token of a source that is held out is ever in a training window, or among those kept for validation', async (t) => {
  // The held-out text is of digits, and no other text has one.
  const letters = prose(20_000).replace(/\d/g, 'x');
  const dir = folder(t, {
    'a.txt': letters,
    'b.txt': letters.toUpperCase().slice(0, 7000),
    'held.txt': '0123456789'.repeat(900),
  });
  const sources = [
    { path: join(dir, 'a.txt'), weight: 1 },
    { path: join(dir, 'held.txt'), name: 'never seen', heldOut: true },
    {
      path: join(dir, 'b.txt'),
      weight: [
        [0, 0],
        [50, 4],
      ] as const,
    },
  ];
  const manifest = await prepare(options(sources, join(dir, 'out')));
  const [, held] = manifest.sources;
  assert.deepEqual([held.name, held.heldOut, held.weight, held.train.tokens], ['never seen', true, 0, 0]);
  assert.deepEqual([held.validation.tokens, held.validation.documents], [9000, 1]);
  const data = await openTokenData(join(dir, 'out'));
  t.after(() => data.close());
  const digits = (tokens: Int32Array) => tokens.some((token) => token >= 48 && token <= 57);
  fc.assert(
    fc.property(fc.nat(), fc.nat({ max: 100 }), fc.integer({ min: 1, max: 64 }), (seed, step, context) => {
      for (const window of sampleWindows(data, { seed, step, sequences: 8, context })) {
        assert.equal(digits(data.tokens(window, context)), false);
      }
    }),
  );
  for (const split of ['train', 'validation'] as const) {
    for (const window of evaluationWindows(data, split, { context: 16, maximum: 1e9 })) {
      assert.equal(digits(data.tokens(window, 16)), false);
    }
  }
  const apart = evaluationWindows(data, 'validation', { context: 16, maximum: 1e9, heldOut: true });
  assert.equal(apart.length, Math.ceil(8999 / 16));
  assert.ok(apart.every(({ source }) => source === 1));
});

test('whole documents and the ends of long ones: of what is held out both are for validation', async (t) => {
  const lines = Array.from({ length: 300 }, (_, at) => JSON.stringify({ text: `document ${at}` })).join('\n');
  const dir = folder(t, { 'many.jsonl': lines, 'one.txt': prose(2000), 'a.txt': prose(2000, 5) });
  const held = ['many.jsonl', 'one.txt'].map((file) => ({ path: join(dir, file), heldOut: true }));
  const { sources } = await prepare(
    options([{ path: join(dir, 'a.txt') }, ...held], join(dir, 'out'), { validation: 0 }),
  );
  assert.deepEqual(
    sources.map(({ train, validation }) => [train.documents, validation.documents]),
    [
      [1, 0],
      [0, 300],
      [0, 1],
    ],
  );
});

test('a text near one that is held out is told of, also where nothing else is kept for validation', async (t) => {
  const text = Array.from({ length: 200 }, (_, at) => `word${(at * 7919) % 1009}`).join(' ');
  const dir = folder(t, { 'a.txt': text, 'b.txt': `${text} end` });
  const sources = [{ path: join(dir, 'a.txt') }, { path: join(dir, 'b.txt'), heldOut: true }];
  const { nearDuplicates } = await prepare(options(sources, join(dir, 'out'), { validation: 0 }));
  assert.deepEqual([nearDuplicates?.found, nearDuplicates?.pairs[0]?.document], [1, join(dir, 'b.txt')]);
});

test('a prepared folder can be held out, renamed, and brings along what it held out itself', async (t) => {
  const dir = folder(t, { 'a.txt': prose(3000), 'b.txt': prose(4000, 2), 'c.txt': prose(2000, 3) });
  const file = (name: string) => join(dir, `${name}.txt`);
  const [a] = (await prepare(options([{ path: file('a') }], join(dir, 'one')))).sources;
  await prepare(
    options(
      [
        { path: file('b'), weight: 2 },
        { path: file('c'), heldOut: true },
      ],
      join(dir, 'two'),
    ),
  );
  const sources = [
    { path: join(dir, 'one'), name: 'unseen', heldOut: true },
    {
      path: join(dir, 'two'),
      name: 'both',
      weight: [
        [0, 1],
        [10, 3],
      ] as const,
    },
  ];
  const manifest = await prepare(options(sources, join(dir, 'out')));
  assert.deepEqual(
    manifest.sources.map(({ name, weight, heldOut, train }) => [name, weight, heldOut, train.tokens > 0]),
    [
      ['unseen', 0, true, false],
      [
        'both/b',
        [
          [0, 1],
          [10, 3],
        ],
        undefined,
        true,
      ],
      ['both/c', 0, true, false],
    ],
  );
  const [unseen] = manifest.sources;
  const sum = (count: 'tokens' | 'bytes' | 'documents') => a.train[count] + a.validation[count];
  const { tokens, bytes, documents } = unseen.validation;
  assert.deepEqual([tokens, bytes, documents], [sum('tokens'), sum('bytes'), sum('documents')]);
  const read = async (out: string, split: SplitName, count: number) => {
    const data = await openTokenData(join(dir, out));
    t.after(() => data.close());
    return [...data.tokens({ split, source: 0, offset: 0 }, count - 1)];
  };
  const before = await Promise.all(
    (['train', 'validation'] as const).map((split) => read('one', split, a[split].tokens)),
  );
  assert.deepEqual(await read('out', 'validation', tokens), before.flat());
});

test('names that are given are kept, and those that follow from paths step aside', async (t) => {
  const dir = folder(t, { 'a.txt': prose(500), 'b.txt': prose(500, 2) });
  const sources = [{ path: join(dir, 'a.txt') }, { path: join(dir, 'b.txt'), name: 'a' }];
  const manifest = await prepare(options(sources, join(dir, 'out')));
  assert.deepEqual(
    manifest.sources.map(({ name }) => name),
    ['a-2', 'a'],
  );
});

test('sources that say two things at once are refused in one sentence', async (t) => {
  const dir = folder(t, {
    'a.txt': prose(500),
    'b.txt': prose(500, 2),
    'c.txt': prose(500, 3),
    'e.jsonl': '{"text": ""}\n',
  });
  const path = (name: string) => join(dir, name);
  const [a, b] = [path('a.txt'), path('b.txt')];
  symlinkSync(a, path('a by another name'));
  const cases: [sources: SourceSpec[], sentence: RegExp][] = [
    [
      [
        { path: a, name: 'x' },
        { path: b, name: 'x' },
      ],
      /^Two sources are called "x": give each its own name\.$/,
    ],
    [
      [
        { path: a, heldOut: true },
        { path: a, heldOut: true },
      ],
      /a\.txt is named twice: name each source once\.$/,
    ],
    [[{ path: a }, { path: a, heldOut: true }], /a\.txt is named twice: name each source once\.$/],
    [
      [{ path: dir }, { path: a, heldOut: true }],
      /a\.txt is part of .* and of .*a\.txt, which is held out: leave it out of one of them\.$/,
    ],
    [
      [{ path: path('a by another name') }, { path: a, heldOut: true }],
      /another name is part of .* and of .*a\.txt, which is held out/,
    ],
    [
      [{ path: b }, { path: path('*.txt'), heldOut: true }, { path: a, heldOut: true }],
      /a\.txt is held out twice, in .*\*\.txt and in .*a\.txt: once is enough\.$/,
    ],
    [
      [
        { path: a, heldOut: true },
        { path: b, heldOut: true },
      ],
      /^Every source is held out: there is nothing to learn from\.$/,
    ],
    [[{ path: a }, { path: path('e.jsonl'), heldOut: true }], /e\.jsonl holds no text\.$/],
    [[{ path: a, weight: -1 }], /^The weight of .*a\.txt is -1, but must be a number above 0 /],
    [
      [
        {
          path: a,
          weight: [
            [5, 1],
            [5, 2],
          ],
        },
      ],
      /^The weight of .*a\.txt is \[\[5,1\],\[5,2\]\], but must be .* whose steps rise/,
    ],
  ];
  for (const [sources, sentence] of cases) {
    await assert.rejects(prepare(options(sources, join(dir, 'out'))), refused(sentence));
  }
  writeFileSync(path('d.txt'), prose(600, 4));
  const two = [
    {
      path: a,
      weight: [
        [0, 1],
        [5, 2],
      ] as const,
    },
    { path: path('d.txt') },
  ];
  await prepare(options(two, join(dir, 'two')));
  await assert.rejects(
    prepare(options([{ path: join(dir, 'two') }], join(dir, 'three'))),
    refused(/two was prepared with weights that follow a schedule, which cannot be shared out/),
  );
});
