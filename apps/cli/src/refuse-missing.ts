import { documents } from '@manyhands/core/data';

/** What is wrong with any of the paths is said before the first text is computed with. @throws UserError that says it */
export async function refuseMissing(paths: readonly string[]): Promise<void> {
  for await (const _ of documents(paths.map((path) => ({ path, weight: 1 })))) return;
}
