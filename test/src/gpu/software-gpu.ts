import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join, sep } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { brotliDecompressSync } from 'node:zlib';
import { extract } from 'tar-stream';

/** SwiftShader, a GPU in software, and the Vulkan loader that finds it, as Chromium ships them for Linux on x86-64. */
const files: readonly string[] = ['libvk_swiftshader.so', 'libvulkan.so.1', 'vk_swiftshader_icd.json'];

/** Why this machine has no software GPU, or null. */
export const noSoftwareGpu =
  process.platform === 'linux' && process.arch === 'x64'
    ? null
    : 'the software GPU is built for Linux on x86-64';

/**
 * The environment in which a Node process finds the software GPU. It has to be there before the process starts.
 * Unpacks the GPU from the npm package `@sparticuz/chromium` once, beside the installed packages.
 */
export async function softwareGpuEnvironment(): Promise<NodeJS.ProcessEnv> {
  if (noSoftwareGpu !== null) throw new Error(noSoftwareGpu);
  const folder = await unpack();
  const libraries = [folder, process.env.LD_LIBRARY_PATH].filter(Boolean).join(':');
  const driver = join(folder, 'vk_swiftshader_icd.json');
  return { ...process.env, VK_ICD_FILENAMES: driver, VK_DRIVER_FILES: driver, LD_LIBRARY_PATH: libraries };
}

async function unpack(): Promise<string> {
  const entry = fileURLToPath(import.meta.resolve('@sparticuz/chromium'));
  const modules = entry.slice(0, entry.lastIndexOf(`${sep}node_modules${sep}`) + `${sep}node_modules`.length);
  const packed = readFileSync(join(modules, '@sparticuz', 'chromium', 'bin', 'swiftshader.tar.br'));
  const cache = join(modules, '.cache', 'manyhands');
  const folder = join(cache, `swiftshader-${createHash('sha256').update(packed).digest('hex').slice(0, 16)}`);
  if (existsSync(folder)) return folder;
  mkdirSync(cache, { recursive: true });
  const unfinished = mkdtempSync(join(cache, 'unpacking-'));
  const archive = extract();
  archive.end(brotliDecompressSync(packed));
  for await (const file of archive) {
    const name = basename(file.header.name);
    if (file.header.type === 'file' && files.includes(name))
      writeFileSync(join(unfinished, name), await buffer(file));
    else file.resume();
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
