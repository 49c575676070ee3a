import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join, sep } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { brotliDecompressSync } from 'node:zlib';
import { extract } from 'tar-stream';

/** Why this machine cannot run what the npm package `@sparticuz/chromium` carries, or null. */
export const noChromium =
  process.platform === 'linux' && process.arch === 'x64' ? null : 'it is built for Linux on x86-64';

/**
 * Unpacks a part of the npm package `@sparticuz/chromium` once, beside the installed packages: a compressed archive, of
 * which the files that are wanted, or a compressed file.
 * @param part a file in the package's `bin` folder
 * @returns the folder that holds the files, side by side
 */
export async function unpack(part: string, wanted: (name: string) => boolean = () => true): Promise<string> {
  const entry = fileURLToPath(import.meta.resolve('@sparticuz/chromium'));
  const modules = entry.slice(0, entry.lastIndexOf(`${sep}node_modules${sep}`) + `${sep}node_modules`.length);
  const packed = readFileSync(join(modules, '@sparticuz', 'chromium', 'bin', part));
  const cache = join(modules, '.cache', 'manyhands');
  const [name] = part.split('.');
  const folder = join(cache, `${name}-${createHash('sha256').update(packed).digest('hex').slice(0, 16)}`);
  if (existsSync(folder)) return folder;
  mkdirSync(cache, { recursive: true });
  const unfinished = mkdtempSync(join(cache, 'unpacking-'));
  const content = brotliDecompressSync(packed);
  if (part.endsWith('.tar.br')) {
    const archive = extract();
    archive.end(content);
    for await (const file of archive) {
      const base = basename(file.header.name);
      if (file.header.type === 'file' && wanted(base))
        writeFileSync(join(unfinished, base), await buffer(file));
      else file.resume();
    }
  } else {
    writeFileSync(join(unfinished, name), content, { mode: 0o755 });
  }
  try {
    renameSync(unfinished, folder);
  } catch (error) {
    // Another process may have been faster: its folder is whole.
    if (!existsSync(folder)) throw error;
    rmSync(unfinished, { recursive: true });
  }
  return folder;
}
