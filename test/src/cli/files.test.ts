import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { manyhands, parity, temporaryFolder, tiny } from './command-line.js';

const gpt2 = path.join(parity, 'gpt2-tiny');

function write(folder: string, name: string, content: string | Uint8Array): string {
  const file = path.join(folder, name);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, content);
  return file;
}

/** Data that no run can start from, and what is said about it. */
const bad: readonly [what: string, prepare: (folder: string) => string, sentence: RegExp][] = [
  ['a file that is missing', () => 'nothing.txt', /nothing\.txt does not exist/],
  ['an empty file', (folder) => write(folder, 'empty.txt', ''), /empty\.txt is empty/],
  [
    'a folder without text',
    (folder) => path.dirname(write(folder, 'pictures/a.png', 'x')),
    /pictures holds no text/,
  ],
  [
    'a binary file',
    (folder) =>
      write(
        folder,
        'binary.txt',
        Uint8Array.from({ length: 4096 }, (_, i) => (i * 131) % 256),
      ),
    /binary\.txt.*(not text|binary|UTF-8)/i,
  ],
  ['a glob without a match', () => '*.nothing', /\*\.nothing matches no file/],
  ['a corpus misspelt', () => 'mobydick', /did you mean moby-dick/],
];

for (const [what, prepare, sentence] of bad) {
  test(`training on ${what} is refused with status 2, and no run is left behind`, async (context) => {
    const folder = temporaryFolder(context);
    const args = ['train', '--data', prepare(folder), '--out', 'run', '--steps', '1', ...tiny];
    const { status, stderr } = await manyhands(args, { cwd: folder });
    assert.equal(status, 2, stderr);
    assert.match(stderr, sentence);
    assert.ok(!existsSync(path.join(folder, 'run/checkpoints')));
  });
}

test('a folder that holds a run is refused without --resume, and stays as it is', async (context) => {
  const folder = temporaryFolder(context);
  const config = write(folder, 'run/config.yaml', 'run: {steps: 5}\n');
  write(folder, 'run/data/manifest.json', '{}');
  const data = write(folder, 'text.txt', 'to be or not to be, that is the question\n'.repeat(50));
  const args = ['train', '--data', data, '--out', 'run', '--steps', '1', ...tiny];
  const { status, stderr } = await manyhands(args, { cwd: folder });
  assert.equal(status, 2, stderr);
  assert.match(stderr, /run holds a run already: add --resume/);
  assert.equal(readFileSync(config, 'utf8'), 'run: {steps: 5}\n');
});

test('--resume without a run there is refused', async (context) => {
  const folder = temporaryFolder(context);
  const { status, stderr } = await manyhands(['train', '--resume', '--out', 'run'], { cwd: folder });
  assert.equal(status, 2);
  assert.match(stderr, /run holds no run to resume/);
});

test('a port that is taken is named, with what to do', async (context) => {
  const folder = temporaryFolder(context);
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  context.after(() => server.close());
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const data = write(folder, 'text.txt', 'to be or not to be, that is the question\n'.repeat(50));
  const config = write(folder, 'run.yaml', `data: {sources: [${JSON.stringify(data)}]}\nrun: {steps: 1}\n`);
  const listen = `127.0.0.1:${port}`;
  const args = ['coordinator', '--config', config, '--listen', listen, '--out', 'run'];
  const { status, stderr } = await manyhands(args, { cwd: folder });
  assert.equal(status, 2, stderr);
  assert.match(stderr, new RegExp(`--listen ${listen} cannot be used: the port is in use; choose another`));
});

test('a tokenizer of another model is found out before anything is generated', async (context) => {
  const folder = temporaryFolder(context);
  cpSync(gpt2, path.join(folder, 'model'), { recursive: true });
  const text = write(folder, 'text.txt', 'to be or not to be, that is the question\n'.repeat(50));
  const made = await manyhands(
    ['tokenizer', 'train', '--data', text, '--vocab', '300', '--out', 'model/tokenizer.json'],
    { cwd: folder },
  );
  assert.equal(made.status, 0, made.stderr);
  const { status, stderr } = await manyhands(['generate', '--model', 'model', '--prompt', 'to'], {
    cwd: folder,
  });
  assert.equal(status, 2);
  assert.match(stderr, /tokenizer\.json has \d+ tokens, but the model has 96/);
});

test('a model without a tokenizer says which file is missing', async () => {
  const { status, stderr } = await manyhands(['generate', '--model', gpt2, '--prompt', 'x']);
  assert.equal(status, 2);
  assert.match(stderr, /gpt2-tiny has no tokenizer\.json/);
});

/** Model directories that are not whole, and what is said about them. */
const damaged: readonly [what: string, damage: (folder: string) => void, sentence: RegExp][] = [
  [
    'weights cut short',
    (folder) => truncate(path.join(folder, 'model.safetensors'), 5000),
    /model\.safetensors/,
  ],
  [
    'weights of nothing',
    (folder) => writeFileSync(path.join(folder, 'model.safetensors'), ''),
    /model\.safetensors/,
  ],
  [
    'a config that is no JSON',
    (folder) => writeFileSync(path.join(folder, 'config.json'), '{'),
    /config\.json is not JSON/,
  ],
  [
    'a config of another model',
    (folder) => {
      const file = path.join(folder, 'config.json');
      writeFileSync(file, readFileSync(file, 'utf8').replace('"n_embd": 32', '"n_embd": 64'));
    },
    /model\.safetensors: .* is \[.*\], but config\.json makes it/,
  ],
];

for (const [what, damage, sentence] of damaged) {
  test(`a model with ${what} is refused and the file named`, async (context) => {
    const folder = temporaryFolder(context);
    cpSync(gpt2, folder, { recursive: true });
    damage(folder);
    const { status, stderr } = await manyhands(['inspect', folder]);
    assert.equal(status, 2, stderr);
    assert.match(stderr, sentence);
  });
}

function truncate(file: string, bytes: number): void {
  writeFileSync(file, readFileSync(file).subarray(0, bytes));
}

/** Batches and optimisers that explain cannot take. */
const explained: readonly [flag: string, content: string, sentence: RegExp][] = [
  ['--batch', '[1, 2]', /must hold a JSON object/],
  ['--batch', '{"input_ids": []}', /input_ids is \[\], but must be rows of token ids/],
  ['--batch', '{"input_ids": [[1, 2]], "labels": [[2]]}', /row 0 of labels has 1 entries, the first row 2/],
  ['--batch', '{"input_ids": [[1, 96]], "labels": [[2, 3]]}', /token 96, but the model’s vocabulary has 96/],
  ['--batch', '{"input_ids": [[1, 2]], "labels": [[-100, -100]]}', /nothing to learn/],
  ['--optimizer', '{"name": "adam"}', /name is "adam", but must be one of adamw, sgd, muon/],
  ['--optimizer', '{"learning_rate": 1}', /learning_rate is no key of an optimiser/],
  ['--optimizer', '{"betas": [0.9, 1]}', /betas is \[0\.9,1\], but must be two numbers/],
];

for (const [flag, content, sentence] of explained) {
  test(`explain ${flag} refuses ${content}`, async (context) => {
    const file = write(temporaryFolder(context), 'given.json', content);
    const batch = flag === '--batch' ? file : path.join(gpt2, 'batch.json');
    const rest = flag === '--optimizer' ? ['--optimizer', file] : [];
    const { status, stderr } = await manyhands(['explain', '--model', gpt2, '--batch', batch, ...rest]);
    assert.equal(status, 2, stderr);
    assert.match(stderr, sentence);
  });
}

test('an output file that cannot be written is found out before the work', async (context) => {
  const cwd = temporaryFolder(context);
  const batch = path.join(gpt2, 'batch.json');
  for (const [out, sentence] of [
    ['nowhere/x', /nowhere\/x cannot be written: make the folder nowhere first\.$/m],
    ['.', / \. is a folder: give the name of a file\.$/m],
  ] as const) {
    for (const args of [
      ['explain', '--model', gpt2, '--batch', batch, '--dump', out],
      ['explain', '--model', gpt2, '--prompt', 'a', '--answer', 'b', '--html', out],
      ['tokenizer', 'train', '--data', 'moby-dick', '--vocab', '300', '--out', out],
    ]) {
      const { status, stdout, stderr } = await manyhands(args, { cwd });
      assert.equal(status, 2, stderr);
      assert.match(stderr, sentence);
      assert.equal(stdout, '');
    }
  }
});

test('a vocabulary that the text cannot fill says how far it got', async (context) => {
  const folder = temporaryFolder(context);
  const data = write(folder, 'text.txt', 'to be or not to be, that is the question\n'.repeat(50));
  const args = ['tokenizer', 'train', '--data', data, '--vocab', '99999', '--out', 't.json'];
  const { status, stderr } = await manyhands(args, { cwd: folder });
  assert.equal(status, 0, stderr);
  assert.match(stderr, /the text gave only \d{3} of 99,999 tokens/);
});

test('damaged shards are refused with status 2', async (context) => {
  const folder = temporaryFolder(context);
  write(folder, 'text.txt', 'to be or not to be, that is the question\n'.repeat(50));
  const args = ['data', 'prepare', '--data', 'text.txt', '--tokenizer', 'r50k_base', '--out', 'data'];
  const made = await manyhands(args, { cwd: folder });
  assert.equal(made.status, 0, made.stderr);
  assert.match(made.stderr, /1 shard\)/);
  const [shard] = readdirSync(path.join(folder, 'data'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !/\.json$/.test(entry.name))
    .map((entry) => path.join(entry.parentPath, entry.name));
  const content = readFileSync(shard);
  content[content.length - 1] ^= 1;
  writeFileSync(shard, content);
  const { status, stderr } = await manyhands(['data', 'inspect', 'data'], { cwd: folder });
  assert.equal(status, 2, stderr);
  assert.ok(stderr.includes(path.basename(shard)), stderr);
});

test('a full disk is one sentence and status 1', {
  skip: existsSync('/dev/full') ? false : 'there is no /dev/full',
}, async (context) => {
  const folder = temporaryFolder(context);
  const data = write(folder, 'text.txt', 'to be or not to be, that is the question\n'.repeat(50));
  const args = ['tokenizer', 'train', '--data', data, '--vocab', '300', '--out', '/dev/full'];
  const { status, stderr } = await manyhands(args);
  assert.equal(status, 1, stderr);
  assert.match(stderr, /the disk is full/);
  assert.doesNotMatch(stderr, /\n\s+at /);
});
