import { createHash } from 'node:crypto';
import type { SplitName } from './manifest.js';
import type { TextSource } from './sources.js';
import { characterStart, countDocuments, type Document, documentsOf, pieces } from './text.js';

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

/** A document's own hash decides its split only where this many documents of validation can be expected. */
const expectedValidationDocuments = 10;

/** What a document's hash is taken of: its beginning, so that a document of any size is read once. */
const hashedBytes = 65536;

/**
 * Reads a source in blocks of at most `blockBytes` (more only where a text has no place to cut it).
 *
 * Which part is for validation follows from the text alone. With many documents (`validation` of them at least
 * ten), whole documents, chosen by the hash of their beginning: equal documents fall on the same side. With few,
 * the last part of each document, as nanoGPT does it: train = text[0, ⌊n·(1 − validation)⌋), in bytes.
 * @throws UserError where a file cannot be read or is not text
 */
export async function* blocksOf(
  source: TextSource,
  validation: number,
  blockBytes: number,
): AsyncGenerator<Block> {
  const enough =
    validation > 0 ? Math.ceil(expectedValidationDocuments / validation) : Number.POSITIVE_INFINITY;
  const byHash = validation > 0 && (await countDocuments(source.files, enough)) >= enough;
  const builders = {
    train: new BlockBuilder('train', blockBytes),
    validation: new BlockBuilder('validation', blockBytes),
  };
  for (const file of source.files) {
    for await (const document of documentsOf(file)) {
      const { size } = document;
      const cut = byHash
        ? (await fraction(document)) < validation
          ? 0
          : size
        : await characterStart(document, Math.floor(size * (1 - validation)));
      yield* builders.train.add(document, 0, cut);
      yield* builders.validation.add(document, cut, size);
    }
  }
  yield* builders.train.flush();
  yield* builders.validation.flush();
}

/** The document's place in [0, 1), by its hash. */
async function fraction(document: Document): Promise<number> {
  const head = Buffer.alloc(Math.min(hashedBytes, document.size));
  const read = await document.read(head, 0);
  return createHash('sha256').update(head.subarray(0, read)).digest().readUInt32BE(0) / 2 ** 32;
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
