import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';

export const root = fileURLToPath(new URL('../../../', import.meta.url));
export const infra = path.join(root, 'infra');

/** The files of infra, as paths below it. */
export const files: readonly string[] = readdirSync(infra, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => path.relative(infra, path.join(entry.parentPath, entry.name)))
  .sort();

export function read(file: string): string {
  return readFileSync(path.join(infra, file), 'utf8');
}

/** What a YAML file holds, document by document; throws where it is not wholly right. */
export function readYaml(file: string): unknown[] {
  return parseAllDocuments(read(file), { merge: true, uniqueKeys: true }).map((document) => {
    const [problem] = [...document.errors, ...document.warnings];
    if (problem !== undefined) throw problem;
    return document.toJS();
  });
}

/** Every value of that key, however deep it lies; missing levels are no error. */
export function all(value: unknown, key: string): unknown[] {
  if (Array.isArray(value)) return value.flatMap((each) => all(each, key));
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, each]) => [
    ...(name === key ? [each] : []),
    ...all(each, key),
  ]);
}

/** The value at a path of keys and indices; undefined where it ends early. */
export function at(value: unknown, ...keys: readonly (string | number)[]): unknown {
  let here = value;
  for (const key of keys)
    here = typeof here === 'object' && here !== null ? Reflect.get(here, key) : undefined;
  return here;
}

/** False, or why a test that needs a program is skipped. */
export function without(program: string, ...args: readonly string[]): false | string {
  const { error } = spawnSync(program, args, { stdio: 'ignore' });
  return error === undefined ? false : `${program} is not installed`;
}
