import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('../../src/fuzz/corpus/', import.meta.url));

/**
 * Inputs that once found something, by the target's name: `corpus/TARGET/WHAT.txt` is the input itself, in UTF-8,
 * `WHAT.base64` what no text can hold. They are read before all others, and changed further.
 */
export function corpusOf(target: string): Uint8Array[] {
  const own = join(folder, target);
  if (!existsSync(own)) return [];
  return readdirSync(own)
    .sort()
    .map((name) => {
      const bytes = readFileSync(join(own, name));
      return name.endsWith('.base64') ? Buffer.from(bytes.toString('latin1'), 'base64') : bytes;
    });
}
