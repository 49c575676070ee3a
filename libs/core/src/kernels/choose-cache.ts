import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { sha256 } from '../numeric/index.js';

/** What a trial measured on each backend, in whatever unit its key names, a second. */
export interface Speeds {
  readonly cpu: number;
  readonly gpujs: number;
}

/** More than an entry has. */
const MAXIMUM_BYTES = 65_536;

/** Where this user's programs keep what they could measure again (XDG Base Directory Specification). */
export function cacheFolder(): string {
  const { XDG_CACHE_HOME } = process.env;
  const base =
    XDG_CACHE_HOME !== undefined && isAbsolute(XDG_CACHE_HOME) ? XDG_CACHE_HOME : join(homedir(), '.cache');
  return join(base, 'manyhands', 'backends');
}

/** What was measured for the key; null where nothing was, or what is there is not an entry of this key. */
export async function rememberedSpeeds(folder: string, key: string): Promise<Speeds | null> {
  try {
    const file = fileOf(folder, key);
    if ((await stat(file)).size > MAXIMUM_BYTES) return null;
    const entry: unknown = JSON.parse(await readFile(file, 'utf8'));
    if (typeof entry !== 'object' || entry === null) return null;
    const { key: written, cpu, gpujs } = Object.assign({ key: null, cpu: null, gpujs: null }, entry);
    return written === key && isSpeed(cpu) && isSpeed(gpujs) ? { cpu, gpujs } : null;
  } catch {
    return null;
  }
}

/** Whole or not at all: a folder that cannot be written to costs a measurement the next time, no more. */
export async function rememberSpeeds(folder: string, key: string, speeds: Speeds): Promise<void> {
  const file = fileOf(folder, key);
  const unfinished = `${file}.${process.pid}-${performance.now()}`;
  try {
    await mkdir(folder, { recursive: true });
    await writeFile(unfinished, JSON.stringify({ key, ...speeds }));
    await rename(unfinished, file);
  } catch {
    await rm(unfinished, { force: true }).catch(() => {});
  }
}

function fileOf(folder: string, key: string): string {
  return join(folder, `${sha256(new TextEncoder().encode(key)).slice(0, 32)}.json`);
}

function isSpeed(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value > 0;
}
