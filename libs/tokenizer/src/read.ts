import { z } from 'zod';
import { fromByteLevel } from './byte-level.js';
import { createBpe, createChar } from './create.js';
import { TokenizerError } from './errors.js';
import { Merges } from './merges.js';
import { type Pattern, patterns } from './patterns.js';
import type { AddedToken, Tokenizer } from './tokenizer.js';
import { anyCharacter } from './write.js';

/**
 * Bounds for what a file may ask for: the largest vocabularies in use have 300,000 tokens, of a few hundred bytes,
 * and two or three merges each.
 */
const mostIds = 1 << 20;
const mostMerges = 1 << 22;
const mostCharacters = 1 << 28;
const longestToken = 1 << 16;

const absent = z.union([z.null(), z.literal('')]).optional();
const no = z.literal(false).optional();

const addedToken = z.object({
  id: z.int().min(0).lt(mostIds),
  content: z.string().min(1).max(longestToken),
  // These three change where a token is found; no vocabulary of this kind needs them.
  single_word: no,
  lstrip: no,
  rstrip: no,
  special: z.boolean(),
});

// A space put before the text would not be there when it is decoded.
const byteLevel = z.object({
  type: z.literal('ByteLevel'),
  add_prefix_space: z.literal(false),
  use_regex: z.boolean().default(true),
});
const split = z.object({
  type: z.literal('Split'),
  pattern: z.object({ Regex: z.string() }),
  behavior: z.enum(['Isolated', 'Removed']),
  invert: z.boolean(),
});
const sequence = z.object({ type: z.literal('Sequence'), pretokenizers: z.tuple([split, byteLevel]) });

const bpeModel = z.object({
  type: z.literal('BPE'),
  dropout: z.null().optional(),
  unk_token: z.string().nullish(),
  continuing_subword_prefix: absent,
  end_of_word_suffix: absent,
  byte_fallback: no,
  ignore_merges: z.boolean().default(false),
  vocab: z.unknown(),
  merges: z.array(z.unknown()).max(mostMerges),
});
const wordLevelModel = z.object({ type: z.literal('WordLevel'), vocab: z.unknown() });

const fileSchema = z.object({
  added_tokens: z
    .array(addedToken)
    .max(1 << 16)
    .default([]),
  // Every normalizer changes the text before it is encoded, and decoding cannot change it back.
  normalizer: z.null().optional(),
  pre_tokenizer: z.discriminatedUnion('type', [byteLevel, split, sequence]),
  model: z.discriminatedUnion('type', [bpeModel, wordLevelModel]),
});
type File = z.infer<typeof fileSchema>;

/**
 * A tokenizer from the text of a Hugging Face tokenizer.json: byte-level BPE with one of the split patterns of
 * `patterns`, or a character tokenizer as `trainChar` writes it. Truncation, padding and the post-processor are
 * passed over: none of them changes the ids of a text. Throws TokenizerError, one sentence that says what is
 * wrong or not supported in `file`.
 */
export function fromJson(json: string, file = 'tokenizer.json'): Tokenizer {
  if (json.length > mostCharacters) throw new TokenizerError(`${file} is larger than 256 MB.`);
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    const reason = oneLine(error instanceof Error ? error.message : String(error), 120);
    throw new TokenizerError(`${file} is not JSON (${reason}): give a Hugging Face tokenizer.json.`);
  }
  try {
    return read(value);
  } catch (error) {
    throw error instanceof TokenizerError ? new TokenizerError(`${file}: ${error.message}`) : error;
  }
}

function read(value: unknown): Tokenizer {
  const parsed = fileSchema.safeParse(value);
  if (!parsed.success) throw new TokenizerError(describe(parsed.error, value));
  const file = parsed.data;
  const names = vocabularyOf(file.model.vocab);
  const added = addedOf(file, names);
  return file.model.type === 'BPE' ? readBpe(file, file.model, names, added) : readChar(file, names, added);
}

/** The vocabulary as the file has it, added tokens included: by name and by id. */
interface Names {
  readonly ids: ReadonlyMap<string, number>;
  readonly names: (string | undefined)[];
}

function vocabularyOf(vocab: unknown): Names {
  if (typeof vocab !== 'object' || vocab === null || Array.isArray(vocab)) {
    throw new TokenizerError('model.vocab must be an object of token: id.');
  }
  const ids = new Map<string, number>();
  const names: (string | undefined)[] = [];
  for (const [token, id] of Object.entries(vocab)) {
    if (!Number.isInteger(id) || id < 0 || id >= mostIds) {
      throw new TokenizerError(
        `the id of ${quote(token)} is ${quote(id)}, not a whole number from 0 to ${mostIds - 1}.`,
      );
    }
    if (token === '' || token.length > longestToken) {
      throw new TokenizerError(`the token with id ${id} is empty or too long.`);
    }
    while (names.length <= id) names.push(undefined);
    if (names[id] !== undefined) throw new TokenizerError(`two tokens have the id ${id}.`);
    names[id] = token;
    ids.set(token, id);
  }
  if (names.length === 0) throw new TokenizerError('model.vocab has no token.');
  return { ids, names };
}

function addedOf(file: File, { ids, names }: Names): AddedToken[] {
  const contents = new Set<string>();
  const taken = new Set<number>();
  return file.added_tokens.map(({ id, content, special }) => {
    const contradicted = (names[id] ?? content) !== content || (ids.get(content) ?? id) !== id;
    if (contradicted || taken.has(id) || contents.has(content)) {
      throw new TokenizerError(
        `added_tokens gives ${quote(content)} the id ${id}, which another entry contradicts.`,
      );
    }
    contents.add(content);
    taken.add(id);
    return { id, content, special };
  });
}

/** The vocabulary by id without the added tokens, each token read by `read`. */
function tokensById(
  { names }: Names,
  added: readonly AddedToken[],
  read: (token: string, id: number) => string,
): (string | undefined)[] {
  const apart = new Set(added.map(({ id }) => id));
  const tokens = names.map((name, id) => (name === undefined || apart.has(id) ? undefined : read(name, id)));
  while (tokens.length > 0 && tokens.at(-1) === undefined) tokens.pop();
  return tokens;
}

function readBpe(
  file: File,
  model: z.infer<typeof bpeModel>,
  names: Names,
  added: readonly AddedToken[],
): Tokenizer {
  const tokens = tokensById(names, added, (token) => {
    const bytes = fromByteLevel(token);
    if (bytes === undefined) {
      throw new TokenizerError(`the token ${quote(token)} is not written in byte-level characters.`);
    }
    return bytes;
  });
  const triples = new Int32Array(model.merges.length * 3);
  model.merges.forEach((merge, rank) => {
    const [left, right] = pairOf(merge, rank);
    const ids = [left, right, left + right].map((token) => names.ids.get(token) ?? -1);
    if (ids.some((id) => id < 0 || tokens[id] === undefined)) {
      throw new TokenizerError(
        `merge ${rank} (${quote(`${left} ${right}`)}) joins or makes a token that is not in the vocabulary.`,
      );
    }
    triples.set(ids, rank * 3);
  });
  return createBpe(
    { tokens, merges: new Merges(triples), pattern: patternOf(file), wholePieces: model.ignore_merges },
    added,
  );
}

/** "a b", or ["a", "b"] as newer files have it. */
function pairOf(merge: unknown, rank: number): [string, string] {
  if (typeof merge === 'string') {
    const space = merge.indexOf(' ');
    if (space > 0 && !merge.includes(' ', space + 1)) return [merge.slice(0, space), merge.slice(space + 1)];
  } else if (Array.isArray(merge) && merge.length === 2) {
    const [left, right]: unknown[] = merge;
    if (typeof left === 'string' && typeof right === 'string') return [left, right];
  }
  throw new TokenizerError(`merge ${rank} is ${quote(merge)}, not a pair of tokens.`);
}

function patternOf({ pre_tokenizer: pre }: File): Pattern {
  if (pre.type === 'ByteLevel' && pre.use_regex) return patterns.gpt2;
  if (pre.type === 'Sequence' && !pre.pretokenizers[1].use_regex) {
    const [{ pattern, behavior, invert }] = pre.pretokenizers;
    // The pieces are the matches: the rest is kept apart, or dropped, but these patterns leave no rest.
    const known = Object.values(patterns).find(({ source }) => source === pattern.Regex);
    if (known !== undefined && invert === (behavior === 'Removed')) return known;
  }
  const names = Object.keys(patterns).join(', ');
  throw new TokenizerError(
    `the pre_tokenizer is none of those known (byte-level, or one split pattern of ${names} and ` +
      'then byte-level without one).',
  );
}

function readChar(file: File, names: Names, added: readonly AddedToken[]): Tokenizer {
  const pre = file.pre_tokenizer;
  if (
    pre.type !== 'Split' ||
    pre.pattern.Regex !== anyCharacter ||
    pre.behavior !== 'Isolated' ||
    pre.invert
  ) {
    throw new TokenizerError(
      `a WordLevel model is read only where it is split at every character (${anyCharacter}).`,
    );
  }
  const characters = tokensById(names, added, (token, id) => {
    const point = token.codePointAt(0) ?? 0;
    if (String.fromCodePoint(point) !== token || (point >= 0xd800 && point <= 0xdfff)) {
      throw new TokenizerError(`${quote(token)} (id ${id}) is not one character.`);
    }
    return token;
  });
  return createChar(characters, added);
}

/** The first thing wrong, in one sentence: where, what stands there, what is allowed. */
function describe(error: z.ZodError, value: unknown): string {
  const [issue] = error.issues;
  let found: unknown = value;
  for (const key of issue.path) {
    found = typeof found === 'object' && found !== null ? Reflect.get(found, key) : undefined;
  }
  const where = issue.path.join('.') || 'the file';
  const reason = issue.message.replace(', received undefined', '');
  return `${where} is ${quote(found)}, which is not supported (${reason}).`;
}

function quote(value: unknown): string {
  return oneLine(printed(value), 80);
}

/** Text from a file in one line, without what a terminal would obey, of so many characters at most. */
function oneLine(text: string, most: number): string {
  const line = text.slice(0, 4 * most).replace(/[\s\p{Cc}\p{Cf}]+/gu, ' ');
  return line.length > most ? `${line.slice(0, most)}…` : line;
}

function printed(value: unknown): string {
  try {
    return JSON.stringify(value) ?? 'missing';
  } catch {
    return 'nested too deeply'; // JSON.stringify calls itself for every level
  }
}
