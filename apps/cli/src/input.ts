import { readFileSync } from 'node:fs';
import { show, UserError } from '@manyhands/core/config';
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

/** @throws UserError where the file cannot be read or is not a JSON object */
export function readJson(file: string, option: string): object {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : error;
    throw new UserError(`${option} ${file} cannot be read (${code === 'ENOENT' ? 'no such file' : code}).`);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new UserError(`${option} ${file} is not JSON.`);
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  throw new UserError(`${option} ${file} holds ${show(value)}, but must hold a JSON object.`);
}
