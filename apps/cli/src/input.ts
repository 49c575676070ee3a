import { UserError } from '@manyhands/core/config';
import { note } from './output.js';

/**
 * All of standard input as text.
 * @throws UserError where it is not UTF-8
 */
export async function readStandardInput(what: string): Promise<string> {
  if (process.stdin.isTTY) note(`type the ${what}, then Ctrl-D`);
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk);
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.concat(chunks));
  } catch {
    throw new UserError('standard input is not text: it must be UTF-8.');
  }
}
