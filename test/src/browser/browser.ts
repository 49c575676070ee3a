import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Browser, chromium, type Page } from 'playwright-core';
import { noChromium, unpack } from '../unpack.js';

/** Why this machine has no browser for tests, or null. */
export const noBrowser = noChromium === null ? null : `no browser for tests: ${noChromium}`;

/** A headless Chromium with libraries and a font of its own, which needs nothing of the system; gone after the tests. */
export async function openBrowser(context: { after(hook: () => Promise<void>): void }): Promise<Browser> {
  const [program, libraries, fonts] = [
    await unpack('chromium.br'),
    await unpack('al2023.tar.br'),
    await unpack('fonts.tar.br'),
  ];
  const home = mkdtempSync(join(tmpdir(), 'manyhands-browser-'));
  const fontConfig = join(home, 'fonts.conf');
  writeFileSync(fontConfig, `<fontconfig><dir>${fonts}</dir><cachedir>${home}/cache</cachedir></fontconfig>`);
  const browser = await chromium.launch({
    executablePath: join(program, 'chromium'),
    // As root, which containers are, Chromium has no sandbox; the pages are our own files.
    args: ['--no-sandbox', '--no-zygote', '--disable-gpu', '--headless=shell'],
    env: { ...process.env, LD_LIBRARY_PATH: libraries, FONTCONFIG_FILE: fontConfig, HOME: home },
  });
  context.after(async () => {
    await browser.close();
    rmSync(home, { recursive: true, force: true });
  });
  return browser;
}

export interface Window {
  readonly width: number;
  readonly colorScheme: 'light' | 'dark';
}

/** Desktop, phone, and the narrowest phone, as the reader's system is light or dark. */
export const windows: readonly Window[] = (['light', 'dark'] as const).flatMap((colorScheme) =>
  [1280, 390, 320].map((width) => ({ width, colorScheme })),
);

/**
 * Opens a page of one file and looks at it; whatever it complains of, or asks the network for, is a failure when it closes.
 * @param drawn resolves when the page is there to be looked at
 */
export async function visit(
  browser: Browser,
  file: string,
  drawn: (page: Page) => Promise<void>,
  look: (page: Page) => Promise<void>,
  { width = 1280, colorScheme = 'light' }: Partial<Window> = {},
): Promise<void> {
  const { href } = pathToFileURL(file);
  const page = await browser.newPage({ viewport: { width, height: 800 }, colorScheme });
  const complaints: string[] = [];
  page.on('console', (message) => complaints.push(`${message.type()}: ${message.text()}`));
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('request', (request) => complaints.push(request.url()));
  await page.goto(href);
  await drawn(page);
  await look(page);
  await page.close();
  assert.deepEqual(complaints, [href]);
}

/** That nothing reaches beyond the window, and the page is as dark as it. */
export async function assertFits(page: Page, { width, colorScheme }: Window): Promise<void> {
  assert.equal(await page.evaluate('document.documentElement.scrollWidth'), width);
  const back = String(await page.evaluate('getComputedStyle(document.body).backgroundColor'));
  const sum = back.match(/\d+/g)?.reduce((total, part) => total + Number(part), 0) ?? 0;
  assert.equal(sum < 3 * 128, colorScheme === 'dark', back);
}
