/** Text to token ids and back. Immutable: one instance may serve any number of callers in one thread. */
export interface Tokenizer {
  readonly kind: 'char' | 'bpe';
  /** Highest id + 1: the rows that an embedding table needs. A few ids below it may be unused. */
  readonly vocabSize: number;
  /** sha256 (hex) of `toJson()`: two tokenizers with equal hashes give equal ids. */
  readonly hash: string;
  /** The id that separates documents, where the vocabulary has one. */
  readonly endOfText: number | null;

  /**
   * The ids of `text`, in a fresh array. Lone surrogates, which UTF-8 cannot carry, count as U+FFFD, as in
   * TextEncoder. Memory: 2 bytes per UTF-16 unit and 4 bytes per id, beside the result.
   * Throws TokenizerError where the text has a character outside the vocabulary (character tokenizers; never a
   * byte-level vocabulary with all 256 bytes), or `allowSpecial` names a token that is not special here.
   */
  encode(text: string, options?: EncodeOptions): Uint32Array;
  /** The text of `ids`; bytes that are not UTF-8 become U+FFFD. Throws TokenizerError for an unknown id. */
  decode(ids: ArrayLike<number>): string;
  /** The exact bytes of `ids`. Throws TokenizerError for an unknown id. */
  decodeBytes(ids: ArrayLike<number>): Uint8Array;
  /** Decodes id by id: the pieces joined are `decode` of all ids, and no piece ends inside a character. */
  stream(): TokenStream;
  /** One token for people: control characters escaped, bytes that are not UTF-8 as \xNN. */
  token(id: number): string;
  /** The canonical Hugging Face tokenizer.json, one line. `fromJson` of it is an equal tokenizer. */
  toJson(): string;
}

export interface EncodeOptions {
  /**
   * Which special tokens (`<|endoftext|>`…) are recognised in the text: all, or the ones named. By default none:
   * their text is encoded like any other, so that a document cannot end itself.
   */
  allowSpecial?: boolean | ReadonlySet<string>;
}

export interface TokenStream {
  /** The text that is certain after one more id; empty while a character is incomplete. */
  push(id: number): string;
  /** What is left: U+FFFD for a character that never became whole. */
  end(): string;
}

/** A token that is matched in the text before anything else. `special` ones only where the caller allows them. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
}

export const endOfTextToken = '<|endoftext|>';
