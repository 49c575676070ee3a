import { createHash } from 'node:crypto';
import { BpeEncoder, type BpeModel } from './bpe.js';
import { byteString } from './byte-level.js';
import { CharEncoder } from './char.js';
import { IdBuffer } from './text.js';
import type { AddedToken, EncodeOptions, Tokenizer, TokenStream } from './tokenizer.js';
import { Vocabulary } from './vocabulary.js';
import { writeBpe, writeChar } from './write.js';

/** A tokenizer of byte-level BPE. `added` tokens have their own ids, unused in `model.tokens`. */
export function createBpe(model: BpeModel, added: readonly AddedToken[]): Tokenizer {
  const vocabulary = new Vocabulary(withAdded(model.tokens, added), added);
  return new VocabularyTokenizer(
    'bpe',
    vocabulary,
    () => new BpeEncoder(model),
    () => writeBpe(model, added),
  );
}

/** A tokenizer of single characters by id; a hole in `characters` is an unused id or an added token's. */
export function createChar(
  characters: readonly (string | undefined)[],
  added: readonly AddedToken[],
): Tokenizer {
  const pairs = characters.flatMap((c, id) =>
    c === undefined ? [] : [[c.codePointAt(0) ?? 0, id] as const],
  );
  const bytes = characters.map((character) => (character === undefined ? undefined : byteString(character)));
  const vocabulary = new Vocabulary(withAdded(bytes, added), added);
  return new VocabularyTokenizer(
    'char',
    vocabulary,
    () => new CharEncoder(pairs),
    () => writeChar(characters, added),
  );
}

function withAdded(tokens: readonly (string | undefined)[], added: readonly AddedToken[]) {
  const size = added.reduce((most, { id }) => Math.max(most, id + 1), tokens.length);
  const all = Array.from({ length: size }, (_, id) => tokens[id]);
  for (const { id, content } of added) all[id] = byteString(content);
  return all;
}

interface Encoder {
  encode(text: string, out: IdBuffer): void;
}

class VocabularyTokenizer implements Tokenizer {
  private encoder: Encoder | null = null;
  private json: string | null = null;
  private sha256: string | null = null;

  constructor(
    readonly kind: Tokenizer['kind'],
    private readonly vocabulary: Vocabulary,
    private readonly makeEncoder: () => Encoder,
    private readonly write: () => string,
  ) {}

  get vocabSize(): number {
    return this.vocabulary.size;
  }

  get endOfText(): number | null {
    return this.vocabulary.endOfText;
  }

  get hash(): string {
    this.sha256 ??= createHash('sha256').update(this.toJson()).digest('hex');
    return this.sha256;
  }

  encode(text: string, options: EncodeOptions = {}): Uint32Array {
    // A thread that only decodes never pays for the tables of encoding.
    this.encoder ??= this.makeEncoder();
    const out = new IdBuffer(this.kind === 'char' ? text.length : (text.length >> 2) + 16);
    for (const segment of this.vocabulary.segments(text, options.allowSpecial)) {
      if (typeof segment === 'number') out.push(segment);
      else this.encoder.encode(segment, out);
    }
    return out.finish();
  }

  decode(ids: ArrayLike<number>): string {
    return this.vocabulary.decode(ids);
  }

  decodeBytes(ids: ArrayLike<number>): Uint8Array {
    return this.vocabulary.decodeBytes(ids);
  }

  stream(): TokenStream {
    return this.vocabulary.stream();
  }

  token(id: number): string {
    return this.vocabulary.token(id);
  }

  toJson(): string {
    this.json ??= this.write();
    return this.json;
  }
}
