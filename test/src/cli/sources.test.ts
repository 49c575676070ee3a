import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { readJournal } from '@manyhands/core/checkpoint';
import { sampleText } from '../cluster/cluster.js';
import { manyhands, temporaryFolder, tiny } from './command-line.js';

const folder = temporaryFolder({ after });
mkdirSync(path.join(folder, 'mail'));
writeFileSync(path.join(folder, 'books.txt'), sampleText(20_000));
writeFileSync(path.join(folder, 'mail', 'a.txt'), sampleText(9000).split(' ').reverse().join(' '));
writeFileSync(path.join(folder, 'forum.txt'), '0123456789 '.repeat(600));
writeFileSync(path.join(folder, 'empty.jsonl'), '{"text": ""}\n');

const train = (out: string, sources: unknown, ...more: string[]) =>
  manyhands(['train', '--out', out, ...tiny, '--set', `data.sources=${JSON.stringify(sources)}`, ...more], {
    cwd: folder,
  });

test('the losses of each source are on the screen, in metrics.jsonl and in inspect', async () => {
  const sources = [
    {
      path: 'books.txt',
      weight: [
        [0, 1],
        [4, 3],
      ],
    },
    { path: 'mail', name: 'letters', weight: 2 },
    { path: 'forum.txt', heldOut: true },
  ];
  const trained = await train('run', sources, '--steps', '4', '--set', 'run.evalEvery=2');
  assert.equal(trained.status, 0, trained.stderr);
  // Weights 1, 1.5, 2, 2.5 in the four steps, beside 2.
  assert.match(
    trained.stderr,
    /^of the text that is trained on: books 45\.4 %, letters 54\.6 %, forum held out$/m,
  );
  const line = readJournal(path.join(folder, 'run', 'metrics.jsonl')).findLast(({ kind }) => kind === 'eval');
  const told = (name: 'sources' | 'trainSources', source: string) =>
    Number(Object(line?.[name])[source]).toFixed(4);
  const both = (source: string) =>
    `${source} ${told('sources', source)} (train ${told('trainSources', source)})`;
  const words = `step 4  by source: ${both('books')}, ${both('letters')}, forum ${told('sources', 'forum')} (held out)\n`;
  assert.ok(trained.stderr.includes(words), trained.stderr);
  assert.ok(
    Number(told('sources', 'forum')) > Number(told('sources', 'books')),
    'what was never seen is the harder one',
  );

  const inspected = await manyhands(['inspect', 'run', '--json'], { cwd: folder });
  assert.deepEqual(
    JSON.parse(inspected.stdout).sources.map(({ name, heldOut, train }: Record<string, unknown>) => [
      name,
      heldOut,
      train === null,
    ]),
    [
      ['books', false, false],
      ['letters', false, false],
      ['forum', true, true],
    ],
  );
  const plain = await manyhands(['inspect', 'run'], { cwd: folder });
  assert.match(plain.stdout, /^ {2}books +\d\.\d+ in training, \d\.\d+ in validation$/m);
  assert.match(plain.stdout, /^ {2}forum +held out, \d\.\d+ in validation$/m);

  const data = await manyhands(['data', 'inspect', path.join('run', 'data')], { cwd: folder });
  assert.match(data.stdout, /^books, weight 1 \(step 0\) … 3 \(step 4\): train /m);
  assert.match(data.stdout, /^forum, held out: 6,600 tokens/m);
});

test('data prepare keeps what is held out apart, and train takes the folder as it is', async () => {
  const tokenizer = path.join('run', 'tokenizer.json');
  const prepare = [
    'data',
    'prepare',
    '--tokenizer',
    tokenizer,
    '--data',
    'books.txt',
    '--held-out',
    'forum.txt',
  ];
  const prepared = await manyhands([...prepare, '--out', 'shards'], { cwd: folder });
  assert.equal(prepared.status, 0, prepared.stderr);
  assert.match(prepared.stderr, /^forum, held out: 6,600 tokens/m);
  const trained = await train('from-shards', 'shards', '--steps', '2', '--set', 'run.evalEvery=2');
  assert.equal(trained.status, 0, trained.stderr);
  assert.match(trained.stderr, /^step 2 {2}by source: books .*, forum \d\.\d+ \(held out\)$/m);
});

const wrong: readonly [what: string, sources: unknown, sentence: RegExp, ...more: string[]][] = [
  [
    'without a document',
    ['books.txt', { path: 'empty.jsonl', heldOut: true }],
    /empty\.jsonl holds no text\.$/m,
  ],
  [
    'of weight 0',
    [{ path: 'books.txt', weight: 0 }],
    /data\.sources\[0\]\.weight is 0, but must be a number above 0/,
  ],
  ['of weight below 0', [{ path: 'books.txt', weight: -2 }], /data\.sources\[0\]\.weight is -2, but must be/],
  [
    'whose schedule does not rise',
    [
      {
        path: 'books.txt',
        weight: [
          [5, 1],
          [5, 2],
        ],
      },
    ],
    /whose steps rise/,
  ],
  [
    'that nothing is drawn from at a step',
    [
      {
        path: 'books.txt',
        weight: [
          [0, 1],
          [9, 0],
        ],
      },
      {
        path: 'mail',
        weight: [
          [0, 1],
          [8, 0],
        ],
      },
    ],
    /data\.sources is .* at step 9 none is\.$/m,
  ],
  [
    'held out twice',
    ['books.txt', { path: 'mail', heldOut: true }, { path: './mail', heldOut: true }],
    /mail is named twice/,
  ],
  [
    'held out and trained on',
    ['*.txt', { path: 'forum.txt', heldOut: true }],
    /forum\.txt is part of \*\.txt and of forum\.txt, which is held out/,
  ],
  ['that are all held out', [{ path: 'books.txt', heldOut: true }], /a source that is not held out/],
  [
    'of one name',
    [
      { path: 'books.txt', name: 'x' },
      { path: 'mail', name: 'x' },
    ],
    /data\.sources\[1\]\.name is "x", but must be another/,
  ],
  [
    'with an unknown key',
    [{ path: 'books.txt', held: true }],
    /"data\.sources\[0\]\.held": the nearest known one is data\.sources\[0\]\.heldOut/,
  ],
  [
    'of their own weight and a temperature',
    [{ path: 'books.txt', weight: 2 }, 'mail'],
    /data\.sources\[0\]\.weight is 2, but must be left out/,
    '--set',
    'data.temperature=2',
  ],
];

for (const [what, sources, sentence, ...more] of wrong) {
  test(`sources ${what} are refused with status 2 and one sentence`, async () => {
    const { status, stderr } = await train(
      'wrong',
      sources,
      '--steps',
      '2',
      '--set',
      'data.tokenizer=r50k_base',
      ...more,
    );
    assert.equal(status, 2, stderr);
    const sentences = stderr
      .trim()
      .split('\n')
      .filter((line) => line.startsWith('manyhands:'));
    assert.equal(sentences.length, 1, stderr);
    assert.match(sentences[0], sentence);
  });
}

test('data prepare of nothing but what is held out is refused', async () => {
  const args = [
    'data',
    'prepare',
    '--tokenizer',
    'r50k_base',
    '--data',
    'books.txt',
    '--held-out',
    'books.txt',
    '--out',
    'x',
  ];
  const { status, stderr } = await manyhands(args, { cwd: folder });
  assert.equal(status, 2);
  assert.match(stderr, /books\.txt is named twice/);
});
