import { readFileSync, statSync } from 'node:fs';
import { parse } from 'yaml';
import { show, UserError } from './errors.js';

const maximumBytes = 1 << 20;

/**
 * Reads a YAML config file into a plain value for `parseConfig`.
 *
 * @throws UserError where the file is missing, longer than 1 MiB or no YAML (with line and column)
 */
export function readYaml(path: string): unknown {
  let text: string;
  try {
    const { size } = statSync(path);
    if (size > maximumBytes) {
      throw new UserError(`${path} has ${size} bytes, but a config may have at most ${maximumBytes}.`);
    }
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`${path} cannot be read (${reason(error)}): give a YAML config file.`);
  }
  return parseYaml(text, path);
}

/** Parses one YAML document; `name` says in an error where the text came from. */
export function parseYaml(text: string, name: string): unknown {
  try {
    return parse(text, { logLevel: 'error', prettyErrors: true, uniqueKeys: true, maxAliasCount: 100 });
  } catch (error) {
    const [first] = (error instanceof Error ? error.message : String(error)).split('\n');
    throw new UserError(`${name} is not YAML: ${first.replace(/[.:]+$/, '')}.`);
  }
}

function reason(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : null;
  if (code === 'ENOENT') return 'no such file';
  if (code === 'EISDIR') return 'it is a folder';
  if (code === 'EACCES') return 'permission denied';
  return show(code ?? String(error));
}
