import { realpath } from 'node:fs/promises';
import { show, UserError } from '../config/index.js';

/** A name that no other source has: `book`, `book-2`, … */
export function uniqueName(name: string, taken: Set<string>): string {
  let unique = name;
  for (let count = 2; taken.has(unique); count++) unique = `${name}-${count}`;
  taken.add(unique);
  return unique;
}

/**
 * The names that sources were given; those that follow from paths step aside.
 * @throws UserError where two have the same one
 */
export function givenNames(specs: readonly { readonly name?: string | null | undefined }[]): Set<string> {
  const names = new Set<string>();
  for (const { name } of specs) {
    if (name === undefined || name === null) continue;
    if (names.has(name)) throw new UserError(`Two sources are called ${show(name)}: give each its own name.`);
    names.add(name);
  }
  return names;
}

interface Files {
  readonly path: string;
  readonly heldOut: boolean;
  readonly files: readonly { readonly path: string }[];
}

/**
 * What is held out must not come in again as part of another folder or glob, or by another name in the file system.
 * @throws UserError where a file of a source that is held out is another source's too
 */
export async function refuseShared(sources: readonly Files[]): Promise<void> {
  const heldOut = new Map<string, Files>();
  for (const source of sources.filter((source) => source.heldOut)) {
    for (const { path } of source.files) {
      const place = await realpath(path);
      const other = heldOut.get(place);
      if (other) {
        throw new UserError(
          `${path} is held out twice, in ${other.path} and in ${source.path}: once is enough.`,
        );
      }
      heldOut.set(place, source);
    }
  }
  if (heldOut.size === 0) return;
  for (const source of sources.filter((source) => !source.heldOut)) {
    for (const { path } of source.files) {
      const other = heldOut.get(await realpath(path));
      if (other === undefined) continue;
      throw new UserError(
        `${path} is part of ${source.path} and of ${other.path}, which is held out: leave it out of one of them.`,
      );
    }
  }
}
