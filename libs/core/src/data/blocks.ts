import type { SplitName } from './manifest.js';
import type { TextSource } from './sources.js';
import { splitDocuments } from './split.js';
import { type Document, pieces } from './text.js';

/** Text of one split of a source, to be encoded in one go; the unit of work of a thread and of resumption. */
export interface Block {
  readonly split: SplitName;
  /** UTF-8, piece after piece. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly pieces: readonly BlockPiece[];
  /** Documents that begin in this block. */
  readonly documents: number;
}

interface BlockPiece {
  readonly length: number;
  /** Begins a document that is not the first of its split: the end-of-text token goes before it. */
  readonly separate: boolean;
  readonly label: string;
  readonly offset: number;
  readonly forced: boolean;
}

/**
 * Reads a source in blocks of at most `blockBytes` (more only where a text has no place to cut it). What was kept for
 * validation of the documents with the labels in `dropped` is left out.
 * @throws UserError where a file cannot be read or is not text
 */
export async function* blocksOf(
  source: TextSource,
  validation: number,
  blockBytes: number,
  dropped: ReadonlySet<string>,
): AsyncGenerator<Block> {
  const builders = {
    train: new BlockBuilder('train', blockBytes),
    validation: new BlockBuilder('validation', blockBytes),
  };
  for await (const { document, cut } of splitDocuments(source, validation)) {
    yield* builders.train.add(document, 0, cut);
    if (!dropped.has(document.label)) yield* builders.validation.add(document, cut, document.size);
  }
  yield* builders.train.flush();
  yield* builders.validation.flush();
}

/** Gathers pieces of many documents into blocks. */
class BlockBuilder {
  readonly #split: SplitName;
  readonly #limit: number;
  #parts: { bytes: Buffer; piece: BlockPiece }[] = [];
  #size = 0;
  #documents = 0;
  #begun = 0;

  constructor(split: SplitName, limit: number) {
    this.#split = split;
    this.#limit = limit;
  }

  async *add(document: Document, start: number, end: number): AsyncGenerator<Block> {
    for await (const { bytes, offset, forced } of pieces(document, start, end, this.#limit)) {
      if (this.#size + bytes.length > this.#limit) yield* this.flush();
      const first = offset === start;
      const separate = first && this.#documents > 0;
      this.#parts.push({
        bytes,
        piece: { length: bytes.length, separate, label: document.label, offset, forced },
      });
      this.#size += bytes.length;
      if (first) {
        this.#documents += 1;
        this.#begun += 1;
      }
    }
  }

  *flush(): Generator<Block> {
    if (this.#parts.length === 0) return;
    const bytes = new Uint8Array(this.#size);
    let at = 0;
    for (const part of this.#parts) {
      bytes.set(part.bytes, at);
      at += part.bytes.length;
    }
    const pieces = this.#parts.map((part) => part.piece);
    const documents = this.#begun;
    this.#parts = [];
    this.#size = 0;
    this.#begun = 0;
    yield { split: this.#split, bytes, pieces, documents };
  }
}
