import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Browser, chromium } from 'playwright-core';
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
