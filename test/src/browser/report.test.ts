import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { manyhands, temporaryFolder, tiny } from '../cli/command-line.js';
import { assertFits, noBrowser, openBrowser, visit, type Window, windows } from './browser.js';

/** Text that would be markup, an end of the script, or a picture from elsewhere if it were not kept as text. */
const hostile = '</script><img src=x onerror=alert(1)>&amp;';

describe('the page of eval --report', { skip: noBrowser ?? false }, () => {
  const hooks: (() => unknown)[] = [];
  const context = { after: (hook: () => unknown) => void hooks.unshift(hook) };
  const folder = temporaryFolder(context);
  const file = path.join(folder, 'page.html');
  let browser: Browser;
  let told: Told;

  const run = async (...args: string[]) => {
    const { status, stdout, stderr } = await manyhands(args, { cwd: folder });
    assert.equal(status, 0, stderr);
    return stdout;
  };

  before(async () => {
    mkdirSync(path.join(folder, 'sums'));
    for (let i = 1; i <= 6; i++) {
      writeFileSync(
        path.join(folder, 'sums', `${i}.txt`),
        `${i} x ${i} is ${i * i}, they say.\n`.repeat(i * i),
      );
    }
    writeFileSync(path.join(folder, 'odd.txt'), `${hostile} 4\n`.repeat(9));
    const data = ['--data', 'sums', 'odd.txt'];
    await run('train', ...data, '--out', 'run', '--steps', '60', '--set', 'optimizer.lr=0.01', ...tiny);
    told = JSON.parse(await run('eval', '--model', 'run', ...data, '--report', file, '--json'));
    browser = await openBrowser(context);
  });
  after(async () => {
    for (const hook of hooks) await hook();
  });

  const drawn = (page: Page) => page.locator('#passages').waitFor();
  const open = (look: (page: Page) => Promise<void>, window?: Partial<Window>) =>
    visit(browser, file, drawn, look, window);

  for (const window of windows) {
    it(`fits ${window.width} pixels, ${window.colorScheme}`, () =>
      open((page) => assertFits(page, window), window));
  }

  it('has the numbers of eval --json, each with its tokens and its standard error', async () => {
    const loss = (mean: Mean) => `${mean.loss.toFixed(4)} ± ${mean.standardError?.toFixed(4)}`;
    const whole = (value: number) => value.toLocaleString('en-US');
    const counts = (mean: Mean) => [whole(mean.tokens), whole(mean.documents)];
    const range = ({ from, to }: Between) => (from === to ? `${from}` : `${whole(from)}–${whole(to)}`);
    await open(async (page) => {
      const rows = async (table: string) =>
        (await page.locator(`${table} tbody tr`).all()).map((row) => row.locator('td').allTextContents());
      const shown = async (table: string) => Promise.all(await rows(table));
      assert.deepEqual(
        await shown('#source-table'),
        Object.entries(told.sources).map(([name, score]) => [
          ...[name, loss(score), '', score.bitsPerByte.toFixed(4), score.perplexity.toPrecision(4)],
          ...counts(score),
        ]),
      );
      for (const [table, means] of [
        ['#length-table', told.lengths],
        ['#position-table', told.positions],
      ] as const) {
        assert.deepEqual(
          await shown(table),
          means.map((mean) => [range(mean), loss(mean), '', ...counts(mean)]),
        );
        assert.equal(
          means.reduce((sum, { tokens }) => sum + tokens, 0),
          told.tokens,
        );
      }
      const overall = await page.locator('#whole').textContent();
      assert.ok(overall?.includes(`${loss(told)} nats`), overall ?? '');
      assert.ok(overall?.includes(`${whole(told.tokens)} tokens in 7 documents`), overall ?? '');
    });
  });

  it('shows the worst passages with the loss of each token, and walks them by key and pointer', async () => {
    await open(async (page) => {
      const means = (await page.locator('#passages h3').allTextContents()).map(Number.parseFloat);
      assert.ok(means.length > 2);
      assert.deepEqual(
        means,
        [...means].sort((a, b) => b - a),
        'the highest first',
      );
      const first = page.locator('#passages li').first();
      const tokens = first.locator('.token');
      await first.locator('.passage').focus();
      await page.keyboard.press('Home');
      const losses: number[] = [];
      for (let i = 0; i < (await tokens.count()); i++) {
        if (i > 0) await page.keyboard.press('ArrowRight');
        const words = (await first.locator('.told').textContent()) ?? '';
        assert.ok(words.startsWith(`“${await tokens.nth(i).textContent()}” after `), words);
        losses.push(Number(/: ([\d.]+) nats/.exec(words)?.[1]));
      }
      const mean = losses.reduce((a, b) => a + b) / losses.length;
      assert.ok(Math.abs(mean - means[0]) < 1e-4, `${mean} is not ${means[0]}`);
      await tokens.nth(2).hover();
      assert.match(
        (await first.locator('.told').textContent()) ?? '',
        new RegExp(`: ${losses[2].toFixed(4)} nats`),
      );
    });
  });

  it('keeps text as text, and shows the passages of one source where it is asked to', async () => {
    await open(async (page) => {
      await page.locator('#passages select').selectOption('odd.txt');
      const passages = await page.locator('#passages .passage').allTextContents();
      assert.ok(
        passages.every((text) => /script|img|alert|amp/.test(text)),
        passages.join('\n'),
      );
      assert.equal(await page.locator('img').count(), 0);
    });
  });

  it('is all reached by Tab, and what has the focus is seen', async () => {
    await open(async (page) => {
      const controls = 'a, select, summary, [tabindex="0"]:not(details:not([open]) *)';
      const count = await page.locator(controls).count();
      const reached = new Set<unknown>();
      for (let i = 0; i < count; i++) {
        await page.keyboard.press('Tab');
        const [index, outline] = (await page.evaluate(
          `[[...document.querySelectorAll('${controls}')].indexOf(document.activeElement), getComputedStyle(document.activeElement).outlineStyle]`,
        )) as [number, string];
        assert.notEqual(outline, 'none');
        reached.add(index);
      }
      assert.equal(reached.size, count);
      assert.ok(!reached.has(-1));
    });
  });
});

interface Mean {
  readonly loss: number;
  readonly tokens: number;
  readonly documents: number;
  readonly standardError: number | null;
}

interface Score extends Mean {
  readonly perplexity: number;
  readonly bitsPerByte: number;
}

interface Between extends Mean {
  readonly from: number;
  readonly to: number;
}

/** What `eval --report --json` prints. */
interface Told extends Score {
  readonly sources: Readonly<Record<string, Score>>;
  readonly lengths: readonly Between[];
  readonly positions: readonly Between[];
}
