import { RunError, UserError } from '@manyhands/core/config';

/**
 * Reads what only the owner may see.
 * @throws UserError where it cannot be trusted: a person must look
 */
export async function trusting<T>(read: () => T | Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    throw new UserError(`${error instanceof Error ? error.message : error}.`);
  }
}

/**
 * Writes what only the owner may see.
 * @throws RunError where it cannot be kept, as on a full disk: another try may succeed
 */
export function keeping(write: () => void): void {
  try {
    write();
  } catch (error) {
    throw new RunError(`${error instanceof Error ? error.message : error}.`);
  }
}
