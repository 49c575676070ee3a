import { accessSync, constants, statSync } from 'node:fs';
import path from 'node:path';
import { systemCause, UserError } from '@manyhands/core/config';

/**
 * Finds out, before the work, whether a file can be written in the end.
 * @throws UserError that names the option and the folder or file that stands in the way
 */
export function checkOutputFile(option: string, file: string): void {
  const folder = path.dirname(file);
  const found = statSync(file, { throwIfNoEntry: false });
  if (found?.isDirectory()) throw new UserError(`${option} ${file} is a folder: give the name of a file.`);
  if (statSync(folder, { throwIfNoEntry: false }) === undefined) {
    throw new UserError(`${option} ${file} cannot be written: make the folder ${folder} first.`);
  }
  try {
    accessSync(found ? file : folder, constants.W_OK);
  } catch (error) {
    throw new UserError(
      `${option} ${file} cannot be written, since ${systemCause(error)}: choose another place.`,
    );
  }
}
