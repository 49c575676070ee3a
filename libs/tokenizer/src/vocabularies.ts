import { readFile, stat } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { createBpe } from './create.js';
import { TokenizerError } from './errors.js';
import { Merges } from './merges.js';
import { type Pattern, patterns } from './patterns.js';
import { fromJson } from './read.js';
import { TokenIndex } from './token-index.js';
import { type AddedToken, endOfTextToken, type Tokenizer } from './tokenizer.js';

/** OpenAI's vocabularies; special tokens and their ids as in its tiktoken (openai_public.py). */
const named = {
  r50k_base: { pattern: patterns.gpt2, special: { [endOfTextToken]: 50256 } },
  cl100k_base: {
    pattern: patterns.gpt4,
    special: {
      [endOfTextToken]: 100257,
      '<|fim_prefix|>': 100258,
      '<|fim_middle|>': 100259,
      '<|fim_suffix|>': 100260,
      '<|endofprompt|>': 100276,
    },
  },
  o200k_base: { pattern: patterns.o200k, special: { [endOfTextToken]: 199999, '<|endofprompt|>': 200018 } },
} as const satisfies Record<string, { pattern: Pattern; special: Record<string, number> }>;

export type VocabularyName = keyof typeof named;

export const vocabularyNames = Object.keys(named).filter(isVocabularyName);

export function isVocabularyName(name: string): name is VocabularyName {
  return Object.hasOwn(named, name);
}

/** One of OpenAI's vocabularies, read from the package gpt-tokenizer. */
export async function byName(name: VocabularyName): Promise<Tokenizer> {
  if (!isVocabularyName(name)) throw new TokenizerError(`There is no vocabulary ${name}: ${known}.`);
  const { pattern, special } = named[name];
  const path = fileURLToPath(import.meta.resolve(`gpt-tokenizer/data/${name}.tiktoken`));
  const tokens = readRanks(await readFile(path, 'latin1'));
  const added = Object.entries(special).map(([content, id]): AddedToken => ({ id, content, special: true }));
  return createBpe({ tokens, merges: mergesOf(tokens), pattern, wholePieces: true }, added);
}

/**
 * A tokenizer from what a person or a config gives: the name of a vocabulary, or the path of a tokenizer.json.
 * Throws TokenizerError where that is neither.
 */
export async function loadTokenizer(spec: string): Promise<Tokenizer> {
  if (isVocabularyName(spec)) return byName(spec);
  let text: string;
  try {
    const { size } = await stat(spec);
    if (size > 2 ** 28) throw new TokenizerError(`The tokenizer ${spec} is larger than 256 MB.`);
    text = await readFile(spec, 'utf8');
  } catch (error) {
    if (error instanceof TokenizerError) throw error;
    throw new TokenizerError(unreadable(spec, error));
  }
  return fromJson(text, spec);
}

const known = `${Object.keys(named).join(', ')} are known`;

function unreadable(spec: string, error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return `There is no file ${spec}, and no vocabulary of that name: ${known}.`;
    case 'EISDIR':
      return `${spec} is a folder: give the tokenizer.json in it, or a vocabulary by name (${known}).`;
    default:
      return `The tokenizer ${spec} cannot be read (${code}): give a tokenizer.json, or a vocabulary by name (${known}).`;
  }
}

/** Lines of base64, space, rank. */
function readRanks(text: string): string[] {
  const tokens: string[] = [];
  for (const line of text.split('\n')) {
    const [base64, rank] = line.split(' ');
    if (rank !== undefined) tokens[Number(rank)] = Buffer.from(base64, 'base64').toString('latin1');
  }
  return tokens;
}

/**
 * tiktoken merges any two neighbours that make a token, the lowest token first. As a list of merges: for each
 * token in order, every way to make it of two (as Hugging Face converts these vocabularies).
 */
function mergesOf(tokens: readonly string[]): Merges {
  const index = new TokenIndex(tokens);
  const { bytes, offsets } = index;
  const triples: number[] = [];
  for (let id = 0; id < tokens.length; id++) {
    const [start, end] = [offsets[id], offsets[id + 1]];
    for (let cut = start + 1; cut < end; cut++) {
      const left = index.find(bytes, start, cut);
      if (left < 0) continue;
      const right = index.find(bytes, cut, end);
      if (right >= 0) triples.push(left, right, id);
    }
  }
  return new Merges(Int32Array.from(triples));
}
