import assert from 'node:assert/strict';
import { mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { documents } from './documents.js';
import { readFailure } from './files.js';
import { resolveSources } from './sources.js';
import { folder, prose } from './testing.js';
import { type Document, pieces } from './text.js';

async function read(...paths: string[]): Promise<{ path: string; text: string }[]> {
  const blocks: { path: string; text: string }[] = [];
  for await (const { path, text } of documents(paths.map((path) => ({ path, weight: 1 }))))
    blocks.push({ path, text });
  return blocks;
}

const refused = (pattern: RegExp) => (error: unknown) =>
  error instanceof Error && error.name === 'UserError' && pattern.test(error.message);

test('input that is no text is refused in one sentence that names the file and the place', async (t) => {
  const lines = (...more: string[]) => ['{"text":"fine"}', ...more].join('\n');
  const cases: [name: string, content: string | Uint8Array, RegExp][] = [
    ['zero.txt', Uint8Array.of(0x61, 0x62, 0, 0x63), /zero\.txt is not text: it has a zero byte at offset 2/],
    [
      'latin.txt',
      Buffer.from('caf\u00e9 noir', 'latin1'),
      /latin\.txt is not UTF-8 text: byte 0xe9 at offset 3/,
    ],
    ['short.txt', Buffer.from('ab漢').subarray(0, 4), /short\.txt is not UTF-8 text: byte 0xe6 at offset 2/],
    ['surrogate.txt', Uint8Array.of(0x61, 0xed, 0xa0, 0x80), /byte 0xed at offset 1/],
    [
      'mark.txt',
      Uint8Array.of(0xef, 0xbb, 0xbf, 0x61, 0xff),
      /mark\.txt is not UTF-8 text: byte 0xff at offset 4/,
    ],
    ['wide.txt', Buffer.from('\ufefftext', 'utf16le'), /wide\.txt is UTF-16 text: convert it to UTF-8/],
    [
      'far.txt',
      Buffer.concat([Buffer.from(prose(3 << 20)), Uint8Array.of(0xff)]),
      /byte 0xff at offset 3\d{6} is not valid/,
    ],
    ['empty.txt', '', /empty\.txt is empty/],
    ['bad.jsonl', lines('{"text": "cut'), /bad\.jsonl:2 is not JSON \(.+\): each line must be \{"text"/],
    ['none.jsonl', lines('', '{"body":"x"}'), /none\.jsonl:3 has no "text"/],
    ['number.jsonl', lines('{"text":7}'), /number\.jsonl:2 has no "text"/],
    ['list.jsonl', lines('["text"]'), /list\.jsonl:2 has no "text"/],
    ['null.jsonl', lines('null'), /null\.jsonl:2 has no "text"/],
    ['half.jsonl', lines('{"text":"\\ud83d"}'), /half\.jsonl:2 has half a surrogate pair/],
    ['latin.jsonl', Buffer.from('{"text":"caf\u00e9"}', 'latin1'), /latin\.jsonl:1 is not UTF-8 text/],
    ['zero.jsonl', lines('{"text":"a\\u0000"}'), /zero\.jsonl:2 is not text: it has a zero byte at offset 1/],
  ];
  const dir = folder(t);
  for (const [name, content, message] of cases) {
    const path = join(dir, name);
    writeFileSync(path, content);
    await assert.rejects(read(path), refused(message), name);
  }
});

test('a path that leads to no text is refused, with what to do', async (t) => {
  const dir = folder(t, { 'a.bin': 'x', 'empty.txt': '' });
  mkdirSync(join(dir, 'full'));
  writeFileSync(join(dir, 'full', 'blank.txt'), '');
  mkdirSync(join(dir, 'bare'));
  await assert.rejects(
    read(join(dir, 'missing.txt')),
    refused(/missing\.txt does not exist: give a file, a folder/),
  );
  await assert.rejects(read(join(dir, 'a.bin', 'x')), refused(/does not exist/));
  await assert.rejects(read('mobydick'), refused(/did you mean moby-dick\?/));
  await assert.rejects(read('toString'), refused(/toString does not exist/));
  await assert.rejects(read(join(dir, 'bare')), refused(/bare holds no text: \.txt, \.md and \.jsonl/));
  await assert.rejects(read(join(dir, 'full')), refused(/full holds no text: its one file is empty\.$/));
  await assert.rejects(read(join(dir, '*.md')), refused(/\*\.md matches no file/));
  await assert.rejects(read(join(dir, 'empty.txt')), refused(/empty\.txt is empty: it holds no text\.$/));
  await assert.rejects(read(), refused(/There is no data/));
  for (const path of [join(dir, 'a.bin'), 'sotu', join(dir, 'bare')]) {
    const again = path === 'sotu' ? path : `${path}/../${basename(path)}`;
    const specs = [path, 'moby-dick', again].map((one) => ({ path: one, weight: 1 }));
    const twice = `${again} is named twice: name each source once.`;
    await assert.rejects(resolveSources(specs), { name: 'UserError', message: twice });
  }
  await assert.rejects(resolveSources([{ path: 'sotu', weight: 0 }]), refused(/The weight of sotu is 0/));
  if (process.platform === 'linux')
    await assert.rejects(read('/dev/null'), refused(/neither a file nor a folder/));
});

test('a file that the system will not read is told with the reason', () => {
  const failure = (code: string) => readFailure(Object.assign(new Error(code), { code }), 'secret.txt');
  for (const [code, message] of [
    ['EACCES', /secret\.txt cannot be read: permission denied/],
    ['EISDIR', /secret\.txt is a folder/],
    ['EIO', /secret\.txt cannot be read: the disk reports an input\/output error/],
  ] as const) {
    assert.ok(refused(message)(failure(code)), code);
  }
  const other = new Error('a bug');
  assert.equal(readFailure(other, 'secret.txt'), other);
});

test('files, folders, globs and links give the same text', async (t) => {
  const dir = folder(t, { 'a.txt': '\ufeffwith a mark', 'b.md': 'plain', 'c.bin': 'named' });
  symlinkSync(join(dir, 'b.md'), join(dir, 'd.txt'));
  const texts = async (...paths: string[]) => (await read(...paths)).map((block) => block.text);
  assert.deepEqual(await texts(dir), ['with a mark', 'plain', 'plain']);
  assert.deepEqual(await texts(join(dir, '*.{txt,md}')), ['with a mark', 'plain', 'plain']);
  assert.deepEqual(await texts(join(dir, 'c.bin'), join(dir, 'a.txt')), ['named', 'with a mark']);
});

test('the bundled corpora are whole: 233 addresses, one novel', async () => {
  const sotu = await read('sotu');
  assert.equal(new Set(sotu.map((block) => block.path)).size, 233);
  const size = sotu.reduce((sum, block) => sum + Buffer.byteLength(block.text), 0);
  const files = new Set(sotu.map((block) => block.path));
  assert.equal(
    size,
    [...files].reduce((sum, path) => sum + statSync(path).size, 0),
  );
  assert.match(sotu[0]?.text ?? '', /^Fellow-Citizens of the Senate/);
  const whale = await read('moby-dick');
  assert.equal(new Set(whale.map((block) => block.path)).size, 1);
  assert.equal(dirname(whale[0]?.path ?? '').endsWith('data'), true);
  assert.match(
    whale.map((block) => block.text).join(''),
    /^CHAPTER 1\. Loomings\.[\s\S]+rolled five thousand years ago\.\s*$/,
  );
});

test('lines of any length, blank lines and a missing last line break read as lines', async (t) => {
  const long = prose(3 << 20, 3);
  const lines = ['first', '', long, 'last'];
  const content = lines.map((text) => (text === '' ? '' : JSON.stringify({ text }))).join('\n');
  const dir = folder(t, { 'a.jsonl': `\ufeff${content}` });
  const blocks = await read(join(dir, 'a.jsonl'));
  const joined = new Map<string, string>();
  for (const { path, text } of blocks) joined.set(path.slice(-2), (joined.get(path.slice(-2)) ?? '') + text);
  assert.deepEqual(
    [...joined],
    [
      [':1', 'first'],
      [':3', long],
      [':4', 'last'],
    ],
  );
});

test('pieces join to the text whatever their size and however few bytes a read gives', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.string({ unit: 'binary', maxLength: 300 }).map((value) => value.replaceAll('\0', ' ')),
      fc.integer({ min: 1, max: 100 }),
      fc.integer({ min: 1, max: 7 }),
      async (value, size, reads) => {
        const content = Buffer.from(value);
        const document: Document = {
          label: 'text',
          size: content.length,
          skipped: 0,
          read: async (into, position) =>
            content.copy(into, 0, position, Math.min(content.length, position + reads)),
        };
        const parts: string[] = [];
        let at = 0;
        for await (const { bytes, offset } of pieces(document, 0, content.length, size)) {
          assert.equal(offset, at);
          at += bytes.length;
          parts.push(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
        }
        assert.equal(parts.join(''), value);
      },
    ),
    { numRuns: 50 },
  );
});

test('a file that becomes shorter while it is read is an error, not an endless wait', async () => {
  const document: Document = { label: 'shrunk.txt', size: 10, skipped: 0, read: async () => 0 };
  await assert.rejects(pieces(document, 0, 10, 5).next(), refused(/shrunk\.txt became shorter/));
});
