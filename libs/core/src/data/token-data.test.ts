import assert from 'node:assert/strict';
import { cpSync, readFileSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { inspectData } from './inspect.js';
import { prepare } from './prepare.js';
import { byteEncoder, folder, pieceEncoder, prose } from './testing.js';
import { openTokenData } from './token-data.js';

const small = { threads: 1, blockBytes: 500, shardTokens: 1000 };

async function prepared(t: TestContext, bytes = 10_000, encoder = byteEncoder): Promise<string> {
  const dir = folder(t, { 'a.txt': prose(bytes), 'b.txt': prose(40, 2) });
  const sources = [
    { path: join(dir, 'a.txt'), weight: 1 },
    { path: join(dir, 'b.txt'), weight: 1 },
  ];
  await prepare({ ...small, sources, encoder, out: join(dir, 'out'), validation: 0.1 });
  return join(dir, 'out');
}

const refused = (pattern: RegExp) => (error: unknown) =>
  error instanceof Error && error.name === 'UserError' && pattern.test(error.message);

test('a window is its stretch of the text, over the ends of shards, with −1 beyond the last token', async (t) => {
  const dir = await prepared(t);
  const data = await openTokenData(dir);
  const whole = Buffer.from(prose(10_000));
  const parts = {
    train: whole.subarray(0, Math.floor(whole.length * 0.9)),
    validation: whole.subarray(Math.floor(whole.length * 0.9)),
  };
  fc.assert(
    fc.property(
      fc.constantFrom('train' as const, 'validation' as const),
      fc.nat(12_000),
      fc.nat(2500),
      (split, offset, context) => {
        const expected = Array.from({ length: context + 1 }, (_, at) => parts[split][offset + at] ?? -1);
        assert.deepEqual([...data.tokens({ split, source: 0, offset }, context)], expected);
      },
    ),
  );
  assert.throws(() => data.tokens({ split: 'train', source: 2, offset: 0 }, 4), RangeError);
  assert.throws(() => data.tokens({ split: 'train', source: 0, offset: -1 }, 4), RangeError);
  assert.throws(() => data.tokens({ split: 'train', source: 0, offset: 0.5 }, 4), RangeError);
  data.close();
});

test('data beyond what is held in memory reads the same', async (t) => {
  for (const encoder of [byteEncoder, pieceEncoder]) {
    const dir = await prepared(t, 10_000, encoder);
    const [held, read] = [await openTokenData(dir), await openTokenData(dir, { heldBytes: 5000 })];
    for (let offset = 0; offset < held.sources[0].train.tokens; offset += 97) {
      const window = { split: 'train', source: 0, offset } as const;
      assert.deepEqual(read.tokens(window, 300), held.tokens(window, 300));
    }
    held.close();
    read.close();
  }
});

test('counts, bytes and names are those of the text', async (t) => {
  const data = await openTokenData(await prepared(t));
  const size = Buffer.byteLength(prose(10_000));
  const cut = Math.floor(size * 0.9);
  const { name, weight, train, validation } = data.sources[0];
  assert.deepEqual([name, weight, data.vocab, data.vocabHash, data.endOfText], ['a', 1, 257, 'bytes', 256]);
  assert.deepEqual([train.tokens, train.bytes, train.documents], [cut, cut, 1]);
  assert.deepEqual([validation.tokens, validation.bytes], [size - cut, size - cut]);
  data.close();
});

test('the data hash is that of the tokens: the same elsewhere, another for another text, order or vocabulary', async (t) => {
  const hash = async (files: Record<string, string>, spec = 'bytes') => {
    const dir = folder(t, files);
    const sources = Object.keys(files).map((file) => ({ path: join(dir, file), weight: 1 }));
    const encoder = { ...byteEncoder, spec };
    return (await prepare({ ...small, sources, encoder, out: join(dir, 'out'), validation: 0.1 })).dataHash;
  };
  const base = await hash({ a: 'some text', b: 'more' });
  assert.equal(await hash({ c: 'some text', d: 'more' }), base);
  const others = [
    await hash({ b: 'more', a: 'some text' }),
    await hash({ a: 'some texT', b: 'more' }),
    await hash({ a: 'some text', b: 'more' }, 'other'),
  ];
  assert.equal(new Set([base, ...others]).size, 4);
});

test('damage is told with the file and the hashes, by open and by inspect', async (t) => {
  const dir = await prepared(t);
  assert.deepEqual((await inspectData(dir)).damage, []);
  const copy = (name: string) => {
    const to = join(dir, '..', name);
    cpSync(dir, to, { recursive: true });
    return to;
  };
  const todo = (where: string) =>
    new RegExp(
      `[;:] delete the folder \\S*${basename(where)} and prepare the data again \\(in a run, --resume does so\\)\\.$`,
    );
  const both = async (where: string, message: RegExp) => {
    await assert.rejects(openTokenData(where), refused(message));
    await assert.rejects(openTokenData(where), refused(todo(where)));
    const { damage } = await inspectData(where);
    assert.equal(damage.length, 1);
    assert.match(damage[0] ?? '', message);
    assert.match(damage[0] ?? '', todo(where));
  };
  const turned = copy('turned');
  const shard = join(turned, '000.train.00003.bin');
  const bytes = readFileSync(shard);
  bytes.writeUInt8(bytes.readUInt8(700) ^ 4, 700);
  writeFileSync(shard, bytes);
  await both(turned, /000\.train\.00003\.bin is damaged: its tokens' sha256 should be [0-9a-f]{64} and is/);

  const missing = copy('missing');
  unlinkSync(join(missing, '001.validation.00000.bin'));
  await both(missing, /001\.validation\.00000\.bin is missing/);

  const exchanged = copy('exchanged');
  writeFileSync(join(exchanged, '000.train.00001.bin'), readFileSync(join(dir, '000.train.00002.bin')));
  await both(exchanged, /000\.train\.00001\.bin is not the shard of its manifest: sha256 should be/);
});

test('a manifest from elsewhere is bounded: unfinished, damaged or pointing out of its folder, it is refused', async (t) => {
  const dir = await prepared(t);
  const file = join(dir, 'manifest.json');
  const text = readFileSync(file, 'utf8');
  const cases: [string, RegExp][] = [
    ['{', /manifest\.json is damaged \(not JSON\)/],
    ['[]', /manifest\.json is damaged or of another version/],
    [text.replace('"version": 1', '"version": 2'), /another version: version/],
    [text.replace('000.train.00001.bin', '../../secret'), /shards\.1\.file/],
    [
      text.replace(/"tokens": 1\d\d\d,/, '"tokens": 7,'),
      /its data hash is [0-9a-f]{64}, its contents give [0-9a-f]{64}/,
    ],
    [text.replace('"weight": 1', '"weight": -1'), /sources\.0\.weight/],
  ];
  for (const [content, message] of cases) {
    assert.notEqual(content, text);
    writeFileSync(file, content);
    await assert.rejects(openTokenData(dir), refused(message));
    await assert.rejects(openTokenData(dir), refused(/[;:] delete the folder .* and prepare the data again/));
  }
  rmSync(file);
  await assert.rejects(
    openTokenData(dir),
    refused(/out is not a folder of prepared data: it has no manifest\.json/),
  );
});
