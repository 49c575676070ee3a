import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { manyhands, temporaryFolder } from '../cli/command-line.js';
import { assertFits, noBrowser, openBrowser, visit, type Window, windows } from './browser.js';

describe('the page of checkers', { skip: noBrowser ?? false }, () => {
  const hooks: (() => unknown)[] = [];
  const context = { after: (hook: () => unknown) => void hooks.unshift(hook) };
  const file = path.join(temporaryFolder(context), 'checkers.html');
  let browser: Browser;

  before(async () => {
    const { status, stderr } = await manyhands(['checkers', 'page', '--html', file]);
    assert.equal(status, 0, stderr);
    browser = await openBrowser(context);
  });
  after(async () => {
    for (const hook of hooks) await hook();
  });

  const drawn = (page: Page) => myTurn(page);
  const open = (look: (page: Page) => Promise<void>, window?: Partial<Window>) =>
    visit(browser, file, drawn, look, window);
  const square = (page: Page, number: number) => page.locator(`#board [aria-label^="${number}, "]`);
  const name = (page: Page, number: number) => square(page, number).getAttribute('aria-label');
  const myTurn = (page: Page) => page.locator('#status').filter({ hasText: 'Your move' }).waitFor();
  const ended = (page: Page) =>
    page
      .locator('#status')
      .filter({ hasText: /wins|draw/ })
      .textContent();
  const setUp = async (page: Page, position: string) => {
    await page.locator('#status').filter({ hasNotText: 'thinking' }).waitFor();
    await page.locator('#position').fill(position);
    await page.getByRole('button', { name: 'Set up' }).click();
  };

  for (const window of windows) {
    it(`fits ${window.width} pixels, ${window.colorScheme}`, () =>
      open((page) => assertFits(page, window), window));
  }

  it('plays what the same engine plays in the terminal, and says the same of it', async () => {
    const { stdout } = await manyhands(['checkers', '--nodes', '10000'], { input: '11-15\n' });
    const [, move, value, expected, depth, nodes] =
      /White plays (\S+): (.+?), expects (.+?) {2}\((\d+) moves ahead, (\S+) positions\)/.exec(stdout) ?? [];
    await open(async (page) => {
      await square(page, 11).click();
      assert.equal(await name(page, 15), '15, empty, can be moved to');
      await square(page, 15).click();
      await myTurn(page);
      assert.equal(await page.locator('#record').textContent(), `11-15 ${move}`);
      assert.equal(await page.locator('#value').textContent(), value);
      const line = (await page.locator('#line').textContent()) ?? '';
      assert.ok(line.startsWith(`${move} ${expected}`), `${line} is not ${move} ${expected}`);
      assert.equal(
        await page.locator('#looked').textContent(),
        `${depth} moves ahead, ${nodes} positions looked at`,
      );
    });
  });

  it('a jump is entered square by square, or by its last where that leaves no choice', async () => {
    await open(async (page) => {
      await setUp(page, 'B:W9,18,26,32:B5');
      await square(page, 5).click();
      await square(page, 30).click();
      assert.match((await page.locator('#record').textContent()) ?? '', /^5x14x23x30/);
      await setUp(page, 'B:W6,7,14,15,32:B2');
      for (const number of [2, 18]) await square(page, number).click();
      assert.equal(await page.locator('#record').textContent(), '', 'two routes lead to 18');
      for (const number of [2, 9, 18]) await square(page, number).click();
      assert.match((await page.locator('#record').textContent()) ?? '', /^2x9x18/);
    });
  });

  it('is played with the keyboard alone, on the board and from the list', async () => {
    await open(async (page) => {
      await square(page, 32).focus();
      // Black sits below: the rows upside down, 32 at the top left, 12 five rows below 32 at the left edge.
      for (let i = 0; i < 5; i++) await page.keyboard.press('ArrowDown');
      await page.keyboard.press('ArrowRight');
      assert.equal(await page.evaluate('document.activeElement.textContent'), '11');
      await page.keyboard.press('Enter');
      await page.keyboard.press('ArrowUp');
      await page.keyboard.press('Space');
      await myTurn(page);
      assert.match((await page.locator('#record').textContent()) ?? '', /^11-15 \S+$/);
      await page.locator('#moves button').first().focus();
      await page.keyboard.press('Enter');
      await myTurn(page);
      assert.equal(await page.evaluate('document.activeElement.parentElement.id'), 'moves');
    });
  });

  it('takes back, advises, changes sides and begins anew', async () => {
    await open(async (page) => {
      const record = async () => ((await page.locator('#record').textContent()) ?? '').split(' ');
      await page.getByRole('button', { name: '9-13', exact: true }).click();
      await myTurn(page);
      await page.getByRole('button', { name: 'Take back' }).click();
      assert.deepEqual(await record(), ['']);
      await page.getByRole('button', { name: 'Advise me' }).click();
      await page
        .locator('#line')
        .filter({ hasText: /^\d+-\d+ / })
        .waitFor();
      await myTurn(page);
      await page.getByLabel('You play').selectOption('White');
      await myTurn(page);
      assert.equal((await record()).length, 1, 'Black has moved');
      await page.getByRole('button', { name: 'New game' }).click();
      await myTurn(page);
      assert.equal((await record()).length, 1);
      assert.match(
        (await page.locator('#status').textContent()) ?? '',
        /^Black played \S+\. Your move, White/,
      );
    });
  });

  it('says who has won, and why a position cannot be', async () => {
    await open(async (page) => {
      await setUp(page, 'B:W15:B11');
      assert.match((await page.locator('#status').textContent()) ?? '', /You must capture/);
      await page.getByRole('button', { name: '11x18' }).click();
      assert.equal(await ended(page), 'Black wins: no piece of the other is left.');
      for (const [position, why] of [
        ['B:W1:B5', /man of White on 1 would be a king/],
        ['<img src=x onerror=alert(1)>', /is no checkers position/],
      ] as const) {
        await setUp(page, position);
        assert.match((await page.locator('#fault').textContent()) ?? '', why);
        assert.match((await page.locator('#record').textContent()) ?? '', /^11x18$/, 'the game stays');
      }
      assert.equal(await page.locator('img').count(), 0);
    });
  });

  it('shows the weights with their meaning, and the sum that they make', async () => {
    await open(async (page) => {
      await setUp(page, 'B:WK31,32:B1,2,K6');
      const rows = await page.locator('#weights tbody tr').allInnerTexts();
      assert.equal(rows.length, 18);
      assert.match(rows[0], /men\s+men on the board\s+1\s+\+1\.00\s+\+1\.00/);
      assert.match(rows[1], /kings\s+kings on the board\s+0\s+\+1\.50\s+0/);
      assert.match((await page.locator('#sum').textContent()) ?? '', /\+1\.00 for Black/);
    });
  });

  it('is all reached by Tab, the board in one stop, and what has the focus is seen', async () => {
    await open(async (page) => {
      const controls = 'button:not([tabindex="-1"]), select, input';
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
