import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { documents, openTokenData, prepare } from '@manyhands/core/data';
import { byName, trainBpe, trainChar } from '@manyhands/tokenizer';

const module = new URL('./encoder.js', import.meta.url).href;

function folder(context: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'manyhands-data-'));
  context.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** The whole text of each document of a source, in order. */
async function documentTexts(path: string): Promise<string[]> {
  const texts = new Map<string, string>();
  for await (const block of documents([{ path, weight: 1 }])) {
    texts.set(block.path, (texts.get(block.path) ?? '') + block.text);
  }
  return [...texts.values()];
}

for (const name of ['r50k_base', 'cl100k_base', 'o200k_base'] as const) {
  test(`all of sotu, cut into small blocks over two threads, has the tokens of ${name} on whole documents`, async (t) => {
    const dir = folder(t);
    const tokenizer = await byName(name);
    const options = { validation: 0, threads: 2, blockBytes: 3000, shardTokens: 500_000 };
    await prepare({
      ...options,
      sources: [{ path: 'sotu', weight: 1 }],
      encoder: { module, spec: name },
      out: dir,
    });
    const data = await openTokenData(dir);
    let offset = 0;
    for (const [index, text] of (await documentTexts('sotu')).entries()) {
      const expected = [...(index === 0 ? [] : [tokenizer.endOfText ?? -1]), ...tokenizer.encode(text)];
      const actual = data.tokens({ split: 'train', source: 0, offset }, expected.length - 1);
      assert.ok(
        expected.every((id, at) => id === actual[at]),
        `document ${index}`,
      );
      offset += expected.length;
    }
    assert.equal(data.sources[0].train.tokens, offset);
    assert.equal(data.vocabHash, tokenizer.hash);
    data.close();
  });
}

test('a tokenizer trained on the data prepares it, and its tokens decode to the text', async (t) => {
  const texts = await documentTexts('moby-dick');
  const char = trainChar(texts);
  const bpe = trainBpe(texts, { vocabSize: 1000, pattern: 'gpt4' });
  for (const tokenizer of [char, bpe]) {
    const out = folder(t);
    const encoder = { module, spec: tokenizer.toJson() };
    const manifest = await prepare({
      sources: [{ path: 'moby-dick', weight: 1 }],
      encoder,
      out,
      validation: 0.1,
    });
    const data = await openTokenData(out);
    const decoded = (['train', 'validation'] as const).map((split) => {
      const { tokens } = data.sources[0][split];
      return tokenizer.decode(data.tokens({ split, source: 0, offset: 0 }, tokens - 1));
    });
    assert.equal(decoded.join(''), texts.join(''));
    assert.equal(manifest.sources[0].train.bytes, Buffer.byteLength(decoded[0]));
    data.close();
  }
});

test('a text as long as TinyShakespeare gives the token counts of nanoGPT', async (t) => {
  const dir = folder(t);
  const line = 'First Citizen:\nBefore we proceed any further, hear me speak.\n\n';
  const text = line.repeat(20_000).slice(0, 1_115_394);
  writeFileSync(join(dir, 'input.txt'), text);
  const manifest = await prepare({
    sources: [{ path: join(dir, 'input.txt'), weight: 1 }],
    encoder: { module, spec: trainChar([text]).toJson() },
    out: join(dir, 'out'),
    validation: 0.1,
  });
  assert.equal(manifest.sources[0].train.tokens, 1_003_854);
  assert.equal(manifest.sources[0].validation.tokens, 111_540);
});

test('with a vocabulary of 100,000 tokens too, preparation takes less than 500 MB, by its own choice of threads', async (t) => {
  const dir = folder(t);
  const text = (await documentTexts('moby-dick')).join('');
  writeFileSync(join(dir, 'a.txt'), text.repeat(20));
  const sources = [{ path: join(dir, 'a.txt'), weight: 1 }];
  const options = {
    sources,
    encoder: { module, spec: 'cl100k_base' },
    out: join(dir, 'out'),
    validation: 0.1,
  };
  const script = `
    import { prepare } from ${JSON.stringify(import.meta.resolve('@manyhands/core/data'))};
    await prepare(${JSON.stringify(options)});
    process.send(process.resourceUsage().maxRSS * 1024);
    process.disconnect();`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  let peak = 0;
  child.on('message', (bytes: number) => {
    peak = bytes;
  });
  const [code] = await once(child, 'exit');
  assert.equal(code, 0);
  assert.ok(peak > 10e6 && peak < 500e6, `peak memory: ${Math.round(peak / 1e6)} MB`);
});
