import { byteOrder } from './byte-level.js';
import { CharacterCounter } from './char.js';
import { createBpe, createChar } from './create.js';
import { TokenizerError } from './errors.js';
import { learnMerges } from './learn.js';
import { Merges } from './merges.js';
import { patterns } from './patterns.js';
import { codeUnits } from './text.js';
import { endOfTextToken, type Tokenizer } from './tokenizer.js';

export interface BpeTraining {
  /** Ids in all: 256 bytes, the merges, and `<|endoftext|>`, which comes last. */
  vocabSize: number;
  pattern: 'gpt2' | 'gpt4';
}

export interface CharTraining {
  /** Whether the vocabulary has `<|endoftext|>`, after all characters. */
  endOfText?: boolean;
}

const largestVocabulary = 1 << 20;

/**
 * Learns a byte-level BPE (Sennrich et al. 2016; bytes as in GPT-2): again and again the most frequent pair
 * within pieces becomes a token, of equals the one with the lower left id, then right id. The result depends on
 * the texts alone, not on their order. Each text is a document: no pair spans two. Stops early, with a smaller
 * vocabulary, where no pair occurs twice. Throws TokenizerError for a `vocabSize` that cannot be.
 */
export function trainBpe(texts: Iterable<string>, options: BpeTraining): Tokenizer;
export function trainBpe(texts: AsyncIterable<string>, options: BpeTraining): Promise<Tokenizer>;
export function trainBpe(texts: Texts, options: BpeTraining): Tokenizer | Promise<Tokenizer>;
export function trainBpe(texts: Texts, { vocabSize, pattern }: BpeTraining): Tokenizer | Promise<Tokenizer> {
  if (!Number.isInteger(vocabSize) || vocabSize < 257 || vocabSize > largestVocabulary) {
    throw new TokenizerError(
      `a vocabulary of ${vocabSize} is not possible: 257 (256 bytes and ${endOfTextToken}) to ${largestVocabulary}.`,
    );
  }
  const pieces = new Map<string, number>();
  const { scan } = patterns[pattern];
  const add = (text: string) => {
    const units = codeUnits(text);
    for (let start = 0; start < units.length; ) {
      const end = scan(units, start, units.length);
      const piece = text.slice(start, end);
      const count = pieces.get(piece);
      if (count !== undefined) pieces.set(piece, count + 1);
      // A slice keeps its whole text alive, a copy of its characters does not.
      else pieces.set(copy(piece), 1);
      start = end;
    }
  };
  return afterAll(texts, add, () => {
    const tokens = byteOrder.map((byte) => String.fromCharCode(byte));
    const merges = new Merges(learnMerges(pieces, tokens, vocabSize - 1));
    const added = [{ id: tokens.length, content: endOfTextToken, special: true }];
    return createBpe({ tokens, merges, pattern: patterns[pattern], wholePieces: false }, added);
  });
}

/** The characters (code points) of the texts, sorted, are the vocabulary. Throws TokenizerError where there are none. */
export function trainChar(texts: Iterable<string>, options?: CharTraining): Tokenizer;
export function trainChar(texts: AsyncIterable<string>, options?: CharTraining): Promise<Tokenizer>;
export function trainChar(texts: Texts, options?: CharTraining): Tokenizer | Promise<Tokenizer>;
export function trainChar(
  texts: Texts,
  { endOfText = false }: CharTraining = {},
): Tokenizer | Promise<Tokenizer> {
  const counter = new CharacterCounter();
  return afterAll(
    texts,
    (text) => counter.add(text),
    () => {
      const characters = counter.characters();
      if (characters.length === 0) throw new TokenizerError('there is no text to take characters from.');
      const added = endOfText ? [{ id: characters.length, content: endOfTextToken, special: true }] : [];
      return createChar(characters, added);
    },
  );
}

type Texts = Iterable<string> | AsyncIterable<string>;

/** Gives every text to `add`, then returns what `finish` makes; at once where the texts are at hand. */
function afterAll<Result>(texts: Texts, add: (text: string) => void, finish: () => Result) {
  // A string is an iterable of its characters, which nobody means.
  if (typeof texts === 'string') {
    add(texts);
    return finish();
  }
  if (Symbol.iterator in texts) {
    for (const text of texts) add(text);
    return finish();
  }
  const rest = async () => {
    for await (const text of texts) add(text);
    return finish();
  };
  return rest();
}

function copy(piece: string): string {
  return Buffer.from(piece, 'utf16le').toString('utf16le');
}
