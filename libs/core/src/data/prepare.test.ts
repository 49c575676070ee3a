import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Manifest, SplitName } from './manifest.js';
import { type PrepareEvent, type PrepareOptions, prepare } from './prepare.js';
import { byteEncoder, charEncoder, folder, fussyEncoder, pieceEncoder, prose } from './testing.js';
import { openTokenData } from './token-data.js';

/** All tokens of one split of a prepared folder. */
async function tokensOf(dir: string, source: number, split: SplitName): Promise<number[]> {
  const data = await openTokenData(dir);
  const { tokens } = data.sources[source]?.[split] ?? { tokens: 0 };
  const all = data.tokens({ split, source, offset: 0 }, tokens - 1);
  data.close();
  return [...all];
}

function text(tokens: readonly number[]): string {
  return Buffer.from(tokens).toString('utf8');
}

function options(path: string, out: string, more: Partial<PrepareOptions> = {}): PrepareOptions {
  return { sources: [{ path, weight: 1 }], encoder: byteEncoder, out, validation: 0.1, threads: 1, ...more };
}

const refused = (pattern: RegExp) => (error: unknown) =>
  error instanceof Error && error.name === 'UserError' && pattern.test(error.message);

test('one document: the last tenth is for validation, as nanoGPT splits its text', async (t) => {
  const content = prose(5000);
  const dir = folder(t, { 'a.txt': content });
  const manifest = await prepare(options(join(dir, 'a.txt'), join(dir, 'out'), { encoder: charEncoder }));
  const cut = Math.floor(Buffer.byteLength(content) * 0.9);
  const [source] = manifest.sources;
  assert.equal(source?.train.bytes, cut);
  assert.equal(source?.validation.bytes, Buffer.byteLength(content) - cut);
  const units = (part: string) => Array.from({ length: part.length }, (_, at) => part.charCodeAt(at));
  const bytes = Buffer.from(content);
  assert.deepEqual(await tokensOf(join(dir, 'out'), 0, 'train'), units(bytes.toString('utf8', 0, cut)));
  assert.deepEqual(await tokensOf(join(dir, 'out'), 0, 'validation'), units(bytes.toString('utf8', cut)));
});

test('the split never falls inside a character', async (t) => {
  const dir = folder(t, { 'a.txt': '😀'.repeat(9) });
  for (const validation of [0, 0.1, 0.3, 0.5, 0.99]) {
    const out = join(dir, `out-${validation}`);
    await prepare(options(join(dir, 'a.txt'), out, { validation, encoder: charEncoder }));
    const train = String.fromCharCode(...(await tokensOf(out, 0, 'train')));
    const rest = validation === 0 ? '' : String.fromCharCode(...(await tokensOf(out, 0, 'validation')));
    assert.equal(train + rest, '😀'.repeat(9));
    assert.doesNotMatch(train, /\p{Surrogate}/u);
  }
});

test('many documents: each is whole on one side, by its own hash, apart from the others by the end of text', async (t) => {
  const lines = Array.from({ length: 400 }, (_, index) => `document ${index} says ${index * 7}`);
  const dir = folder(t, { 'a.jsonl': lines.map((line) => JSON.stringify({ text: line })).join('\n') });
  const [source] = (await prepare(options(join(dir, 'a.jsonl'), join(dir, 'out')))).sources;
  const documents: Record<SplitName, string[]> = { train: [], validation: [] };
  for (const split of ['train', 'validation'] as const) {
    const tokens = await tokensOf(join(dir, 'out'), 0, split);
    let start = 0;
    for (let at = 0; at <= tokens.length; at++) {
      if (at < tokens.length && tokens[at] !== 256) continue;
      documents[split].push(text(tokens.slice(start, at)));
      start = at + 1;
    }
  }
  const expected = (line: string) =>
    createHash('sha256').update(line).digest().readUInt32BE(0) / 2 ** 32 < 0.1;
  assert.deepEqual(documents.validation, lines.filter(expected));
  assert.deepEqual(
    documents.train,
    lines.filter((line) => !expected(line)),
  );
  assert.equal(source?.train.documents, documents.train.length);
  assert.equal(source?.validation.documents, documents.validation.length);
  assert.equal(source?.train.bytes, documents.train.join('').length);
});

test('tokens are those of the whole text, however small the blocks and shards', async (t) => {
  const content = prose(30_000);
  const dir = folder(t, { 'a.txt': content });
  const whole = join(dir, 'whole');
  await prepare(options(join(dir, 'a.txt'), whole, { encoder: pieceEncoder, validation: 0 }));
  const expected = await tokensOf(whole, 0, 'train');
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 16, max: 5000 }),
      fc.integer({ min: 500, max: 5000 }),
      async (blockBytes, shardTokens) => {
        const out = join(dir, `out-${blockBytes}-${shardTokens}`);
        const manifest = await prepare(
          options(join(dir, 'a.txt'), out, { encoder: pieceEncoder, validation: 0, blockBytes, shardTokens }),
        );
        assert.deepEqual(await tokensOf(out, 0, 'train'), expected);
        const shards = manifest.sources[0]?.train.shards ?? [];
        assert.ok(shards.slice(0, -1).every((shard) => shard.tokens >= shardTokens));
      },
    ),
    { numRuns: 8 },
  );
});

test('one thread and three give the same folder, byte for byte', async (t) => {
  const dir = folder(t, { 'a.txt': prose(200_000), 'b.md': prose(100_000, 2) });
  const manifests: Manifest[] = [];
  for (const threads of [1, 3]) {
    const out = join(dir, `out-${threads}`);
    const small = { threads, blockBytes: 4096, shardTokens: 20_000, encoder: pieceEncoder };
    manifests.push(await prepare(options(dir, out, small)));
  }
  assert.deepEqual(manifests[0], manifests[1]);
  const names = readdirSync(join(dir, 'out-1')).sort();
  assert.deepEqual(readdirSync(join(dir, 'out-3')).sort(), names);
  assert.ok(names.length > 4);
  for (const name of names) {
    assert.ok(readFileSync(join(dir, 'out-1', name)).equals(readFileSync(join(dir, 'out-3', name))), name);
  }
});

test('stopped half-way, it goes on from the finished shards and ends in the same folder', async (t) => {
  const dir = folder(t, { 'a.txt': prose(200_000) });
  const small = { blockBytes: 2048, shardTokens: 15_000 };
  const whole = await prepare(options(join(dir, 'a.txt'), join(dir, 'whole'), small));
  const out = join(dir, 'out');
  const stop = new AbortController();
  let shards = 0;
  const report = (event: PrepareEvent) => {
    if (event.kind === 'shard' && ++shards === 3) stop.abort();
  };
  await assert.rejects(prepare(options(join(dir, 'a.txt'), out, { ...small, report, signal: stop.signal })), {
    name: 'AbortError',
  });
  const left = readdirSync(out).sort();
  assert.ok(!left.includes('manifest.json'));
  assert.ok(!left.some((name) => name.endsWith('.part')), 'nothing half-written lies about');
  const inode = statSync(join(out, '000.train.00001.bin')).ino;
  const third = join(out, '000.train.00002.bin');
  const bytes = readFileSync(third);
  bytes.writeUInt16LE(bytes.readUInt16LE(500) ^ 1, 500);
  writeFileSync(third, bytes);
  const kept: string[] = [];
  const again = await prepare(
    options(join(dir, 'a.txt'), out, {
      ...small,
      threads: 2,
      report: (event) => event.kind === 'shard' && event.kept && kept.push(event.file),
    }),
  );
  assert.deepEqual(again, whole);
  assert.deepEqual(kept, ['000.train.00000.bin', '000.train.00001.bin'], 'the damaged third is made again');
  assert.equal(statSync(join(out, '000.train.00001.bin')).ino, inode);
  assert.ok(readFileSync(third).equals(readFileSync(join(dir, 'whole', '000.train.00002.bin'))));
});

test('asked again, it does nothing; a damaged shard is made again; other text is refused', async (t) => {
  const dir = folder(t, { 'a.txt': prose(20_000) });
  const file = join(dir, 'a.txt');
  const out = join(dir, 'out');
  const first = await prepare(options(file, out));
  const events: PrepareEvent[] = [];
  const report = (event: PrepareEvent) => events.push(event);
  assert.deepEqual(await prepare(options(file, out, { report })), first);
  assert.deepEqual(events, []);
  const shard = join(out, '000.train.00000.bin');
  truncateSync(shard, 300);
  assert.deepEqual(await prepare(options(file, out, { report })), first);
  assert.match(JSON.stringify(events), /000\.train\.00000\.bin in .* damaged or missing: made again/);
  await openTokenData(out).then((data) => data.close());
  const heavier = { ...options(file, out), sources: [{ path: file, weight: 3 }] };
  assert.equal((await prepare(heavier)).sources[0]?.weight, 3, 'weights change without a new preparation');
  utimesSync(file, 1, 1);
  await assert.rejects(
    prepare(options(file, out)),
    refused(/out holds data .* choose another output folder/),
  );
  await assert.rejects(prepare(options(file, out, { validation: 0.2 })), refused(/holds data/));
  await assert.rejects(
    prepare(options(file, out, { encoder: { ...byteEncoder, spec: 'other' } })),
    refused(/holds data/),
  );
});

test('an attempt at something else leaves no shard behind in the new one', async (t) => {
  const dir = folder(t, { 'a.txt': prose(100_000), 'b.txt': prose(5000, 2) });
  const stop = new AbortController();
  const report = (event: PrepareEvent) => event.kind === 'shard' && stop.abort();
  const small = { blockBytes: 2048, shardTokens: 5000 };
  const out = join(dir, 'out');
  await assert.rejects(prepare(options(join(dir, 'a.txt'), out, { ...small, report, signal: stop.signal })));
  await prepare(options(join(dir, 'b.txt'), out));
  assert.equal(
    text(await tokensOf(out, 0, 'train')) + text(await tokensOf(out, 0, 'validation')),
    prose(5000, 2),
  );
  assert.deepEqual(readdirSync(out).sort(), [
    '000.train.00000.bin',
    '000.validation.00000.bin',
    'manifest.json',
  ]);
});

test('a folder prepared before is a source: its split and its tokens are its own', async (t) => {
  const dir = folder(t, { 'a.txt': prose(3000), 'b.txt': prose(2000, 2) });
  const before = await prepare({
    ...options('', join(dir, 'before'), { validation: 0.25 }),
    sources: [
      { path: join(dir, 'a.txt'), weight: 1 },
      { path: join(dir, 'b.txt'), weight: 3 },
    ],
  });
  const sources = [
    { path: join(dir, 'before'), weight: 2 },
    { path: join(dir, 'b.txt'), weight: 1 },
  ];
  const out = join(dir, 'out');
  const manifest = await prepare({ ...options('', out), sources });
  assert.deepEqual(
    manifest.sources.map(({ name, weight }) => [name, weight]),
    [
      ['a', 0.5],
      ['b', 1.5],
      ['b-2', 1],
    ],
  );
  assert.equal(
    text(await tokensOf(out, 1, 'validation')),
    text(await tokensOf(join(dir, 'before'), 1, 'validation')),
  );
  assert.equal(manifest.sources[0]?.train.bytes, before.sources[0]?.train.bytes);
  await assert.rejects(
    prepare({ ...options('', join(dir, 'no'), { encoder: fussyEncoder }), sources }),
    refused(/before was prepared with another tokenizer \(257 tokens, bytes…\)/),
  );
  truncateSync(join(dir, 'before', '001.train.00000.bin'), 200);
  await assert.rejects(
    prepare({ ...options('', join(dir, 'no')), sources }),
    refused(/001\.train\.00000\.bin is damaged/),
  );
});

test('wide ids are kept whole', async (t) => {
  const dir = folder(t, { 'a.txt': 'one two three four' });
  const out = join(dir, 'out');
  await prepare(options(join(dir, 'a.txt'), out, { encoder: pieceEncoder, validation: 0 }));
  const tokens = await tokensOf(out, 0, 'train');
  assert.equal(tokens.length, 4);
  assert.ok(tokens.some((token) => token > 0xffff));
  assert.equal(statSync(join(out, '000.train.00000.bin')).size, 128 + 4 * 4);
});

test('an encoder that cannot be made, or refuses a text, or gives an impossible id, is told with its place', async (t) => {
  const dir = folder(t, { 'a.txt': `${'good text '.repeat(100)}zebra`, 'b.txt': 'ok' });
  const run = (file: string, module: string) =>
    prepare(options(join(dir, file), join(dir, 'out'), { encoder: { module, spec: '' }, blockBytes: 100 }));
  await assert.rejects(
    prepare(options(join(dir, 'a.txt'), join(dir, 'out'), { encoder: fussyEncoder, blockBytes: 100 })),
    refused(/a\.txt cannot be encoded \(after byte \d+\): the character "z" is not in the vocabulary/),
  );
  await assert.rejects(
    run('b.txt', 'data:text/javascript,export const a = 1'),
    refused(/exports no function createEncoder/),
  );
  await assert.rejects(
    run('b.txt', 'data:text/javascript,throw new Error("broken")'),
    refused(/could not be made: broken\.$/),
  );
  for (const id of [5, 65536, -1, 0.5, Number.NaN]) {
    const source = `export const createEncoder = () => ({ encode: () => [${id}], endOfText: null, vocabSize: 5, hash: 'h' })`;
    await assert.rejects(
      run('b.txt', `data:text/javascript,${source}`),
      refused(new RegExp(`token ${id} is outside`)),
    );
  }
});

test('a thread that dies is an error, not a wait', async (t) => {
  const dir = folder(t, { 'b.txt': 'ok' });
  const source = `export const createEncoder = () => ({ encode: () => process.exit(7), endOfText: null, vocabSize: 5, hash: 'h' })`;
  await assert.rejects(
    prepare(
      options(join(dir, 'b.txt'), join(dir, 'out'), {
        encoder: { module: `data:text/javascript,${source}`, spec: '' },
      }),
    ),
    /thread ended early \(exit code 7\)/,
  );
});

test('an output that is a file, or lies below one, is refused', async (t) => {
  const dir = folder(t, { 'a.txt': 'some text' });
  for (const out of [join(dir, 'a.txt'), join(dir, 'a.txt', 'deeper')]) {
    await assert.rejects(
      prepare(options(join(dir, 'a.txt'), out)),
      refused(/^The folder .* cannot be made, since .*: choose another output folder\.$/),
    );
  }
  await assert.rejects(
    prepare(options(join(dir, 'a.txt'), join(dir, 'o'), { validation: 1 })),
    refused(/data\.validation is 1/),
  );
  assert.ok(!existsSync(join(dir, 'o')));
});

test('a word without end is cut between two characters, and told', async (t) => {
  const word = `é${'漢'.repeat(400_000)}`; // 1.2 MB without a place to cut
  const dir = folder(t, { 'a.txt': word });
  const warnings: string[] = [];
  const report = (event: PrepareEvent) => event.kind === 'warning' && warnings.push(event.text);
  await prepare(options(join(dir, 'a.txt'), join(dir, 'out'), { validation: 0, report }));
  assert.equal(warnings.length, 1);
  assert.match(
    warnings[0] ?? '',
    /a\.txt has no space for 1 MiB before byte 10485\d\d: a word was cut there, so the tokens may differ\.$/,
  );
  assert.equal(text(await tokensOf(join(dir, 'out'), 0, 'train')), word);
});

test('a text with many such words is told once, with their number', async (t) => {
  const dir = folder(t, { 'a.txt': 'x'.repeat(3_300_000), 'b.txt': 'short' });
  const warnings: string[] = [];
  const report = (event: PrepareEvent) => event.kind === 'warning' && warnings.push(event.text);
  await prepare(options(dir, join(dir, 'out'), { validation: 0, report }));
  assert.deepEqual(warnings, [
    `${join(dir, 'a.txt')} has no space for 1 MiB before byte 1048576: a word was cut there (3 cuts in all), so the tokens may differ.`,
  ]);
});

test('the same source twice is refused before any work', async (t) => {
  const dir = folder(t, { 'a.txt': 'some text' });
  const sources = ['a.txt', './a.txt'].map((file) => ({ path: `${dir}/${file}`, weight: 1 }));
  await assert.rejects(
    prepare({ ...options('', join(dir, 'out')), sources }),
    refused(/\/\.\/a\.txt is named twice: name each source once\.$/),
  );
  assert.ok(!existsSync(join(dir, 'out')));
});

test('names of sources are unique, and a folder is read in the order of its paths', async (t) => {
  const dir = folder(t, { 'b.txt': 'BB', 'a.MD': 'AA', 'c.csv': 'CC' });
  mkdirSync(join(dir, 'a'));
  writeFileSync(join(dir, 'a', 'b.txt'), 'bb');
  writeFileSync(join(dir, 'a', 'z.jsonl'), '{"text":"ZZ"}\n\n{"text":""}\r\n{"text":"YY","more":1}');
  const sources = [
    { path: dir, weight: 1 },
    { path: join(dir, '*.csv'), weight: 1 },
    { path: join(dir, 'b.txt'), weight: 1 },
    { path: join(dir, 'a', 'b.txt'), weight: 1 },
  ];
  const out = folder(t);
  const manifest = await prepare({ ...options('', join(out, 'o'), { validation: 0 }), sources });
  const names = manifest.sources.map((source) => source.name);
  assert.deepEqual(names.slice(2), ['b', 'b-2']);
  const read = await Promise.all([0, 1, 2, 3].map((source) => tokensOf(join(out, 'o'), source, 'train')));
  const separated = (parts: string[]) =>
    parts.map((part) => [...Buffer.from(part)]).flatMap((part, at) => (at ? [256, ...part] : part));
  assert.deepEqual(read, [
    separated(['AA', 'bb', 'ZZ', 'YY', 'BB']),
    separated(['CC']),
    separated(['BB']),
    separated(['bb']),
  ]);
});
