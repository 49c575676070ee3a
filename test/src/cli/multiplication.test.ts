import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { loadModel, readJournal, resolveModelDirectory } from '@manyhands/core/checkpoint';
import { Graph } from '@manyhands/core/graph';
import { createReferenceKernels } from '@manyhands/core/kernels';
import { forward, parameterNodes, uploadWeights } from '@manyhands/core/model';
import { fromJson } from '@manyhands/tokenizer';
import type { Browser, Page } from 'playwright-core';
import { assertFits, noBrowser, openBrowser, visit, type Window, windows } from '../browser/browser.js';
import { type Ended, manyhands, temporaryFolder, tiny } from './command-line.js';

const example = fileURLToPath(new URL('../../../examples/multiplication/', import.meta.url));
const folder = temporaryFolder({ after });

/** Runs a script of the example as its README does, in a folder of its own. */
function script(name: string, ...args: string[]): Promise<Ended> {
  return new Promise((resolve) => {
    const options = { cwd: folder, timeout: 120_000 };
    execFile(process.execPath, [path.join(example, name), ...args], options, (error, stdout, stderr) => {
      const status = error === null ? 0 : typeof error.code === 'number' ? error.code : null;
      resolve({ status, signal: error?.signal ?? null, stdout, stderr });
    });
  });
}

const texts = (file: string): string[] =>
  readFileSync(path.join(folder, file), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line).text);

describe('the lines of multiplication', () => {
  before(async () => {
    const { status, stderr } = await script('data.mjs', 'runs/multiplication');
    assert.equal(status, 0, stderr);
  });

  it('are drawn by the seed alone', async () => {
    for (const [out, seed] of [
      ['again', '1'],
      ['other', '2'],
    ]) {
      assert.equal((await script('data.mjs', out, '--seed', seed)).status, 0);
    }
    for (const file of ['memory.jsonl', 'rule.jsonl']) {
      const first = texts(`runs/multiplication/${file}`);
      assert.deepEqual(texts(`again/${file}`), first);
      assert.notDeepEqual(texts(`other/${file}`), first);
    }
  });

  it('few are plain products, the squares among them', () => {
    const lines = new Set(texts('runs/multiplication/memory.jsonl'));
    for (const line of lines) {
      const [, x, y, product] = /^(\d{1,2})\*(\d)=(\d+)$/.exec(line) ?? assert.fail(line);
      assert.equal(Number(product), Number(x) * Number(y));
    }
    assert.equal(lines.size, 64);
    for (const line of ['2*2=4', '3*3=9', '4*4=16', '9*9=81']) assert.ok(lines.has(line), line);
  });

  it('all are worked out, and every number in them is true', () => {
    const lines = new Set(texts('runs/multiplication/rule.jsonl'));
    const asked = new Set<string>();
    for (const line of lines) {
      const worked = /^(\d{1,2})\*(\d)=(\d)(\d),(\d)(\d),(\d)\+(\d)=(\d)(\d),(\d)\+(\d)=(\d):(\d{3})$/;
      const [x, y, c, d, a, b, tens, carried, e, f, hundreds, over, top, product] =
        worked.exec(line)?.slice(1).map(Number) ?? assert.fail(line);
      asked.add(`${x} ${y}`);
      assert.equal(product, x * y, line);
      assert.equal(10 * a + b + 10 * (10 * c + d), product, line);
      assert.deepEqual([tens, carried, 10 * e + f], [d, a, d + a], line);
      assert.deepEqual([hundreds, over, top], [c, e, c + e], line);
      assert.equal(100 * top + 10 * f + b, product, line);
    }
    assert.equal(lines.size, 98 * 8);
    assert.equal(asked.size, 98 * 8);
  });
});

interface Cell {
  readonly x: number;
  readonly y: number;
  readonly seen: boolean;
  readonly kept: boolean;
  readonly said: string;
  readonly answer: string;
  readonly right: boolean;
}

interface Told {
  readonly weightsSha256: string;
  readonly cells: readonly Cell[];
  readonly seen: { right: number; asked: number };
  readonly unseen: { right: number; asked: number };
  readonly chance: number;
  readonly curve: readonly object[];
}

/** What the page draws itself from. */
function dataOf(page: string): { runs: readonly Told[]; differences: readonly (readonly string[])[] } {
  const [, json] =
    /<script type="application\/json" id="data">(.*?)<\/script>/s.exec(page) ?? assert.fail('no data');
  return JSON.parse(json);
}

describe('a run that remembers', () => {
  let told: Told;
  let page: ReturnType<typeof dataOf>;
  let printed: string;

  before(async () => {
    assert.equal((await script('data.mjs', 'runs/multiplication')).status, 0);
    const quicker = ['optimizer.lr=0.005', 'batch.sequences=8', 'run.evalEvery=50', 'run.steps=300'];
    const alone = ['--threads', '1', '--backend', 'cpu', '--reproducible'];
    const set = quicker.flatMap((key) => ['--set', key]);
    const trained = await manyhands(
      ['train', '--config', path.join(example, 'memory.yaml'), '--out', 'run', ...set, ...alone],
      { cwd: folder },
    );
    assert.equal(trained.status, 0, trained.stderr);
    // The same run once more, with another decay in its config: what the page says of it must be the same.
    cpSync(path.join(folder, 'run'), path.join(folder, 'twin'), { recursive: true });
    const config = readFileSync(path.join(folder, 'run', 'config.yaml'), 'utf8');
    writeFileSync(
      path.join(folder, 'twin', 'config.yaml'),
      config.replace(/weightDecay: 0\b/, 'weightDecay: 0.5'),
    );
    const reported = await script('report.mjs', 'run', 'twin', '--html', 'page.html');
    assert.equal(reported.status, 0, reported.stderr);
    printed = reported.stdout;
    page = dataOf(readFileSync(path.join(folder, 'page.html'), 'utf8'));
    told = page.runs[0];
  });

  it('knows all that it saw, and of the rest no more than chance', () => {
    assert.ok(told.seen.asked >= 40);
    assert.equal(told.seen.right, told.seen.asked);
    assert.ok(told.unseen.right / told.unseen.asked < 0.03, `${told.unseen.right} of ${told.unseen.asked}`);
    assert.ok(told.chance > 0 && told.chance < 0.03);
  });

  it('is told to have seen what the hash of a line gave to training', () => {
    const part = (line: string) => createHash('sha256').update(line).digest().readUInt32BE(0) / 2 ** 32;
    const lines = new Set(texts('runs/multiplication/memory.jsonl'));
    for (const { x, y, seen, kept } of told.cells) {
      const line = `${x}*${y}=${x * y}`;
      assert.equal(seen, lines.has(line) && part(line) >= 0.2, line);
      assert.equal(kept, lines.has(line) && part(line) < 0.2, line);
    }
    assert.equal(told.cells.filter(({ seen }) => seen).length, told.seen.asked);
    assert.equal(told.cells.length, told.seen.asked + told.unseen.asked);
  });

  it('is told to say what the slow, obvious backend says in one pass over the whole line', async () => {
    const directory = resolveModelDirectory(path.join(folder, 'run'));
    const { model, weights, weightsSha256, tokenizerJson } = loadModel(directory);
    assert.equal(told.weightsSha256, weightsSha256);
    const tokenizer = fromJson(tokenizerJson ?? '');
    const end = tokenizer.endOfText ?? assert.fail();
    // All that were seen, and every seventh of the others.
    const lines = told.cells
      .filter(({ seen }, at) => seen || at % 7 === 0)
      .map(({ x, y, said }) => ({
        ids: [end, ...tokenizer.encode(`${x}*${y}=${said}`), end],
        asked: `${x}*${y}=`.length,
        said,
      }));
    const time = Math.max(...lines.map(({ ids }) => ids.length)) - 1;
    const inputs = lines.flatMap(({ ids }) => Array.from({ length: time }, (_, t) => ids[t] ?? end));
    const kernels = createReferenceKernels();
    const graph = new Graph(kernels, { record: false });
    const parameters = parameterNodes(graph, uploadWeights(kernels, model, weights));
    const input = { ids: Int32Array.from(inputs), batch: lines.length, time };
    const logits = await kernels.read(forward(graph, model, parameters, input).output);
    const { vocab } = model.config;
    lines.forEach(({ ids, asked, said }, line) => {
      for (let t = asked; t + 1 < ids.length; t++) {
        const row = Array.from({ length: vocab }, (_, id) => logits[(line * time + t) * vocab + id]);
        const best = Math.max(...row);
        assert.ok(row[ids[t + 1]] > best - 1e-3, `${said} is not the likeliest`);
      }
    });
  });

  it('counts what the cells say, prints the same, and shows the losses of its journal', () => {
    for (const [seen, score] of [
      [true, told.seen],
      [false, told.unseen],
    ] as const) {
      const asked = told.cells.filter((cell) => cell.seen === seen);
      const right = asked.filter(({ x, y, said }) => said === String(x * y));
      assert.deepEqual(score, { right: right.length, asked: asked.length });
      assert.ok(printed.includes(` ${right.length} of ${asked.length}\n`), printed);
    }
    assert.ok(printed.includes(told.weightsSha256));
    const journal = readJournal(path.join(folder, 'run', 'metrics.jsonl'));
    const losses = [...journal].flatMap(({ kind, step, trainLoss, validationLoss }) =>
      kind === 'eval' ? [{ step, trainLoss, validationLoss }] : [],
    );
    assert.equal(losses.length, 7);
    assert.deepEqual(JSON.stringify(told.curve.map(rounded)), JSON.stringify(losses.map(rounded)));
  });

  it('beside another: the setting in which they differ is named, and no other', () => {
    assert.deepEqual(page.differences, [['optimizer.weightDecay', '0', '0.5']]);
    assert.deepEqual(page.runs[1].cells, told.cells);
  });

  describe('on its page', { skip: noBrowser ?? false }, () => {
    let browser: Browser;
    const hooks: (() => unknown)[] = [];
    before(async () => {
      browser = await openBrowser({ after: (hook) => void hooks.push(hook) });
    });
    after(async () => {
      for (const hook of hooks) await hook();
    });

    const drawn = (page: Page) => page.locator('#run-1').waitFor();
    const open = (look: (page: Page) => Promise<void>, window?: Partial<Window>) =>
      visit(browser, path.join(folder, 'page.html'), drawn, look, window);

    for (const window of windows) {
      it(`fits ${window.width} pixels, ${window.colorScheme}`, () =>
        open((page) => assertFits(page, window), window));
    }

    it('says the figures, and draws each pair once a run', async () => {
      await open(async (page) => {
        const scores = (await page.locator('.scores').first().textContent()) ?? '';
        for (const { right, asked } of [told.seen, told.unseen]) {
          assert.ok(scores.includes(`${right} of ${asked}`), scores);
        }
        assert.equal(await page.locator('button.cell').count(), 2 * told.cells.length);
        const filled = await page.locator('button.cell.seen.right').count();
        assert.equal(filled, 2 * told.seen.right);
      });
    });

    it('is walked through with the keyboard alone, each grid one stop of Tab', async () => {
      await open(async (page) => {
        const told = page.locator('.told').first();
        for (let i = 0; i < 20; i++) {
          await page.keyboard.press('Tab');
          if (await page.evaluate('document.activeElement.matches(".cell")')) break;
        }
        assert.match((await told.textContent()) ?? '', /^2 × 2 = 4: seen, right\./);
        for (const key of [
          'ArrowRight',
          'ArrowDown',
          'ArrowDown',
          'ArrowLeft',
          'ArrowUp',
          'ArrowUp',
          'ArrowUp',
        ])
          await page.keyboard.press(key);
        assert.match((await told.textContent()) ?? '', /^2 × 2 = 4: seen, right\./, 'the edge holds');
        for (let i = 0; i < 97; i++) await page.keyboard.press('ArrowRight');
        assert.match((await told.textContent()) ?? '', /^99 × 2 = 198: /);
        const outline = await page.evaluate('getComputedStyle(document.activeElement).outlineStyle');
        assert.notEqual(outline, 'none');
        await page.keyboard.press('Tab');
        await page.keyboard.press('Shift+Tab');
        assert.match(String(await page.evaluate('document.activeElement.ariaLabel')), /^99 × 2 = 198: /);
      });
    });
  });
});

/** As the page has its numbers: nine digits. */
function rounded(line: object): object {
  return Object.fromEntries(
    Object.entries(line).map(([key, value]) => [key, Number(Number(value).toPrecision(9))]),
  );
}

describe('refused in one sentence', () => {
  const refusals: [string, string[], RegExp][] = [
    [
      'a run that is missing',
      ['nowhere'],
      /^nowhere does not exist: give a model directory or a run directory\.\n$/,
    ],
    [
      'no run at all',
      [],
      /^Give one to eight run directories: node examples\/multiplication\/report\.mjs .*\n$/,
    ],
    ['an option that is not there', ['run', '--html', 'a.html', '--dark'], /^Unknown option '--dark'.*\n$/],
    [
      'a page in a missing folder',
      ['run', '--html', 'none/a.html'],
      /^--html none\/a\.html cannot be written: .*\n$/,
    ],
  ];
  for (const [what, args, sentence] of refusals) {
    it(what, async () => {
      const { status, stdout, stderr } = await script('report.mjs', ...args);
      assert.match(stderr, sentence);
      assert.deepEqual([status, stdout], [2, '']);
    });
  }

  it('a run of other text, a model without its data, and data of another vocabulary', async () => {
    writeFileSync(path.join(folder, 'text.txt'), 'What is 2*2=4 to a whale?\n'.repeat(50));
    const trained = await manyhands(
      ['train', '--data', 'text.txt', '--out', 'whale', '--steps', '1', ...tiny],
      { cwd: folder },
    );
    assert.equal(trained.status, 0, trained.stderr);
    const other = await script('report.mjs', 'whale');
    assert.match(other.stderr, /^whale did not learn from lines of data\.mjs: .*\n$/);
    assert.equal(other.status, 2);
    const model = await script('report.mjs', 'whale/checkpoints/step-000001');
    assert.match(model.stderr, /^whale\/checkpoints\/step-000001 is no run, .*: give a run directory\.\n$/);
    assert.equal(model.status, 2);
    cpSync(path.join(folder, 'run'), path.join(folder, 'mixed'), { recursive: true });
    rmSync(path.join(folder, 'mixed', 'data'), { recursive: true });
    cpSync(path.join(folder, 'whale', 'data'), path.join(folder, 'mixed', 'data'), { recursive: true });
    const mixed = await script('report.mjs', 'mixed');
    assert.match(
      mixed.stderr,
      /^mixed\/checkpoints\/step-\d+ has another vocabulary than the data of mixed: .*\n$/,
    );
    assert.equal(mixed.status, 2);
  });

  it('a folder that cannot be made, and a seed that is none', async () => {
    writeFileSync(path.join(folder, 'file'), '');
    const into = await script('data.mjs', 'file/folder');
    assert.match(into.stderr, /^file\/folder cannot be written \(ENOTDIR\): choose another folder\.\n$/);
    assert.equal(into.status, 2);
    const seed = await script('data.mjs', 'folder', '--seed', '-1');
    assert.equal(seed.status, 2);
  });
});
