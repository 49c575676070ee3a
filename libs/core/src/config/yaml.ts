import { readFileSync, statSync } from 'node:fs';
import { Lexer, LineCounter, Parser, parseDocument } from 'yaml';
import { oneLine, show, UserError } from './errors.js';

const maximumBytes = 1 << 20;
/** Of collections in each other; a config has four. */
const deepest = 100;
/** A config with a thousand sources, of a path and a weight each, has half as many. */
const mostTokens = 1 << 15;

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

/**
 * Parses one YAML document; `name` says in an error where the text came from.
 *
 * @throws UserError where it is none, or one of more than 32,768 tokens or 100 levels
 */
export function parseYaml(text: string, name: string): unknown {
  demandBounds(text, name);
  // The parser's own way to name a line reads that line again for each error: only the first is told here.
  const lineCounter = new LineCounter();
  const options = { logLevel: 'error', uniqueKeys: true, prettyErrors: false, lineCounter } as const;
  const document = parseDocument(text, options);
  const [error] = document.errors;
  if (error !== undefined) {
    const { line, col } = lineCounter.linePos(error.pos[0]);
    throw notYaml(name, `${oneLine(error.message)} at line ${line}, column ${col}`);
  }
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    throw notYaml(name, oneLine(error instanceof Error ? error.message : String(error)));
  }
}

function notYaml(name: string, why: string): UserError {
  return new UserError(`${name} is not YAML: ${why}.`);
}

/**
 * Reads the tokens alone, which takes neither recursion nor much time. The rest takes both: where the stack ends on a
 * deep document, V8 may end the process, and a mapping's keys are compared each with each.
 */
function demandBounds(text: string, name: string): void {
  const parser = new Parser();
  let tokens = 0;
  for (const token of new Lexer().lex(text)) {
    Array.from(parser.next(token));
    tokens += 1;
    if (parser.stack.length > deepest)
      throw new UserError(`${name} is nested more than ${deepest} deep, which no config is.`);
    if (tokens > mostTokens)
      throw new UserError(`${name} has more than ${mostTokens} YAML tokens, which no config needs.`);
  }
}

function reason(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : null;
  if (code === 'ENOENT') return 'no such file';
  if (code === 'EISDIR') return 'it is a folder';
  if (code === 'EACCES') return 'permission denied';
  return show(code ?? String(error));
}
