import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { manyhands, temporaryFolder, tiny } from './command-line.js';

/** Documents of a made-up language: words of its own syllables, at random. */
function write(seed: number, syllables: readonly string[], documents: number): string[] {
  let state = seed;
  const below = (most: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * most);
  };
  const word = () => Array.from({ length: 1 + below(3) }, () => syllables[below(syllables.length)]).join('');
  return Array.from({ length: documents }, () => Array.from({ length: 20 + below(60) }, word).join(' '));
}

const ours = ['ka', 'lo', 'mi', 'ten', 'sur', 'a'];
const foreign = ['sch', 'ich', 'ung', 'wer', 'ö', 'zu'];
const jsonl = (texts: readonly string[]) => texts.map((text) => `${JSON.stringify({ text })}\n`).join('');

describe('eval --shift', () => {
  const hooks: (() => unknown)[] = [];
  const folder = temporaryFolder({ after: (hook: () => void) => void hooks.unshift(hook) });
  const at = (file: string) => path.join(folder, file);
  const run = (...args: string[]) => manyhands(args, { cwd: folder });
  const train = async (out: string, ...args: string[]) => {
    const trained = await run('train', '--steps', '1', '--seed', '1', '--out', out, ...args, ...tiny);
    assert.equal(trained.status, 0, trained.stderr);
  };
  const prepare = async (out: string, ...data: string[]) => {
    const tokenizer = ['--tokenizer', 'run/tokenizer.json'];
    const prepared = await run('data', 'prepare', '--data', ...data, ...tokenizer, '--out', out);
    assert.equal(prepared.status, 0, prepared.stderr);
  };

  before(async () => {
    writeFileSync(at('ours.jsonl'), jsonl(write(1, ours, 300)));
    writeFileSync(at('more.jsonl'), jsonl(write(2, ours, 60)));
    writeFileSync(at('foreign.jsonl'), jsonl(write(3, foreign, 60)));
    await train('run', '--data', 'ours.jsonl', '--tokenizer', 'bpe');
  });
  after(async () => {
    for (const hook of hooks) await hook();
  });

  it('tells another language from more of the same, with numbers that belong together', async () => {
    const texts = ['more.jsonl', 'foreign.jsonl', 'ours.jsonl'];
    const { stdout, stderr } = await run('eval', '--model', 'run', '--shift', ...texts, '--json');
    assert.notEqual(stdout, '', stderr);
    const { validation, texts: found } = JSON.parse(stdout).shift;
    const verdicts = texts.map((name) => found[name].verdict);
    assert.deepEqual(verdicts.slice(0, 2), ['no other', 'other']);
    assert.notEqual(verdicts[2], 'other', 'what it was trained on');
    assert.ok(found['foreign.jsonl'].orders[4].difference > 2);
    assert.equal(validation.length, 5);
    for (const [name, documents] of [
      ['more.jsonl', 60],
      ['foreign.jsonl', 60],
    ] as const) {
      const lengths = write(name === 'more.jsonl' ? 2 : 3, name === 'more.jsonl' ? ours : foreign, 60);
      const bytes = lengths.reduce((sum, text) => sum + Buffer.byteLength(text) - 1, 0);
      found[name].orders.forEach((cost: Record<string, number>, i: number) => {
        assert.deepEqual(
          [cost.bytes, cost.documents],
          [bytes, documents],
          'all bytes but each document’s first',
        );
        assert.ok(Math.abs(cost.difference - (cost.bitsPerByte - validation[i].bitsPerByte)) < 1e-12);
      });
    }
    const said = await run('eval', '--model', 'run', '--shift', ...texts);
    assert.equal(said.status, 0);
    for (const name of texts) assert.ok(said.stdout.includes(found[name].conclusion), said.stdout);
  });

  it('counts sources by their weights, whatever their length', async () => {
    await prepare('mix', 'ours.jsonl', 'foreign.jsonl');
    const file = at('mix/manifest.json');
    const manifest = JSON.parse(readFileSync(file, 'utf8'));
    const cost = async (weight: number | [step: number, weight: number][]) => {
      manifest.sources[0].weight = weight;
      writeFileSync(file, JSON.stringify(manifest));
      const args = ['eval', '--model', 'run', '--data', 'mix', '--shift', 'more.jsonl', '--json'];
      return JSON.parse((await run(...args)).stdout).shift.validation[0].bitsPerByte;
    };
    const [few, half, most] = [await cost(0.1), await cost(1), await cost(10)];
    // So short that all of it is counted each time: what moves is the mean of the two, by shares 1/11, 1/2 and 10/11.
    assert.ok(Math.abs(few - most) > 0.05, `${few}, ${most}`);
    assert.ok(Math.abs(half - (few + most) / 2) < 1e-9, `${few}, ${half}, ${most}`);
    const late = await cost([
      [0, 0.1],
      [1e6, 10],
    ]);
    assert.ok(Math.abs(late - few) < 0.001, 'what the steps so far were drawn by counts');
  });

  it('refuses what cannot be measured, in one sentence', async () => {
    mkdirSync(at('empty'));
    writeFileSync(at('empty.txt'), '');
    writeFileSync(at('letter.txt'), 'a');
    writeFileSync(at('picture.txt'), Uint8Array.of(0x89, 0x50, 0, 1));
    writeFileSync(at('two.txt'), 'ab'); // a byte to learn from, and one kept apart
    await prepare('two', 'two.txt');
    await train('char', '--data', 'ours.jsonl', '--tokenizer', 'char');
    const refusals: readonly [args: readonly string[], sentence: RegExp][] = [
      [['--model', 'run', '--shift', 'nowhere'], /nowhere does not exist/],
      [['--model', 'run', '--shift', 'empty.txt'], /empty\.txt is empty/],
      [['--model', 'run', '--shift', 'empty'], /empty holds no text/],
      [['--model', 'run', '--shift', 'letter.txt'], /letter\.txt has fewer than two bytes/],
      [['--model', 'run', '--shift', 'picture.txt'], /picture\.txt is not text/],
      [['--model', 'run', '--shift', 'more.jsonl', './more.jsonl'], /more\.jsonl is named twice/],
      [['--model', 'run', '--data', 'empty', '--shift', 'more.jsonl'], /has no prepared data with it/],
      [['--model', 'char', '--data', 'run/data', '--shift', 'more.jsonl'], /prepared with another tokenizer/],
      [
        ['--model', 'run', '--data', 'two', '--shift', 'more.jsonl'],
        /has no validation text to compare with/,
      ],
      [
        ['--model', 'char', '--data', 'foreign.jsonl'],
        /foreign\.jsonl:1 is not for this model: the character/,
      ],
      [['--model', 'char', '--data', 'more.jsonl', 'nowhere'], /nowhere does not exist/],
      [['--model', 'char', '--data', 'letter.txt', '--report', 'x.html'], /fewer than two tokens/],
      [['--model', 'char', '--data', 'empty', '--report', 'x.html'], /empty holds no text/],
    ];
    for (const [args, sentence] of refusals) {
      const { status, stdout, stderr } = await run('eval', ...args);
      assert.equal(status, 2, `${args.join(' ')}: ${stderr}`);
      assert.match(stderr, sentence);
      assert.equal(stderr.trim().split('\n').length, 1, stderr);
      assert.equal(stdout, '');
    }
    assert.equal(statSync(at('x.html'), { throwIfNoEntry: false }), undefined, 'no page of nothing');
  });
});
