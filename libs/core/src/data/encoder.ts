/** Turns text into token ids; what a tokenizer looks like from here. */
export interface Encoder {
  /** Ids of the text, none of them a special token. May throw where the text has a character it does not know. */
  encode(text: string): ArrayLike<number>;
  /** The token that separates documents, or null where the vocabulary has none. */
  readonly endOfText: number | null;
  readonly vocabSize: number;
  /** Names the vocabulary: equal hashes, equal ids. */
  readonly hash: string;
}

/**
 * How each thread comes by its own encoder: it imports `module` (the URL of an ES module) and calls the function
 * `createEncoder(spec)` that it exports, which returns an {@link Encoder} or a promise of one.
 */
export interface EncoderSpec {
  readonly module: string;
  readonly spec: string;
}

export type EncoderInfo = Pick<Encoder, 'endOfText' | 'vocabSize' | 'hash'>;

/** Text to encode: UTF-8, in pieces that are encoded one by one. */
export interface EncodeRequest {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly pieces: readonly { readonly length: number; readonly separate: boolean }[];
}

export type EncodeReply =
  /** `memory` is what the thread takes with its encoder made, in bytes. */
  | { readonly kind: 'ready'; readonly info: EncoderInfo; readonly memory: number }
  | { readonly kind: 'encoded'; readonly tokens: Uint16Array<ArrayBuffer> | Uint32Array<ArrayBuffer> }
  /** `piece` is null where the encoder could not be made at all. */
  | { readonly kind: 'failed'; readonly piece: number | null; readonly message: string };
