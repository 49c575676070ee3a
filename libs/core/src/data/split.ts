import { createHash } from 'node:crypto';
import type { TextSource } from './sources.js';
import { characterStart, countDocuments, type Document, documentsOf } from './text.js';

/** A document's bytes before `cut` are trained on, those from there on are kept for validation. */
export interface SplitDocument {
  readonly document: Document;
  readonly cut: number;
}

/** A document's own hash decides its split only where this many documents of validation can be expected. */
const expectedValidationDocuments = 10;

/** What a document's hash is taken of: its beginning, so that a document of any size is read once. */
const hashedBytes = 65536;

/**
 * The documents of a source, in order; each is valid until the next one is asked for.
 *
 * Which part is for validation follows from the text alone. With many documents (`validation` of them at least
 * ten), whole documents, chosen by the hash of their beginning: equal documents fall on the same side. With few,
 * the last part of each document, as nanoGPT does it: train = text[0, ⌊n·(1 − validation)⌋), in bytes. Of a source
 * that is held out all is for validation.
 * @throws UserError where a file cannot be read or is not text
 */
export async function* splitDocuments(source: TextSource, validation: number): AsyncGenerator<SplitDocument> {
  if (source.heldOut) {
    for (const file of source.files) {
      for await (const document of documentsOf(file)) yield { document, cut: 0 };
    }
    return;
  }
  const enough =
    validation > 0 ? Math.ceil(expectedValidationDocuments / validation) : Number.POSITIVE_INFINITY;
  const byHash = validation > 0 && (await countDocuments(source.files, enough)) >= enough;
  for (const file of source.files) {
    for await (const document of documentsOf(file)) {
      const { size } = document;
      const cut = byHash
        ? (await fraction(document)) < validation
          ? 0
          : size
        : await characterStart(document, Math.floor(size * (1 - validation)));
      yield { document, cut };
    }
  }
}

/** The document's place in [0, 1), by its hash. */
async function fraction(document: Document): Promise<number> {
  const head = Buffer.alloc(Math.min(hashedBytes, document.size));
  const read = await document.read(head, 0);
  return createHash('sha256').update(head.subarray(0, read)).digest().readUInt32BE(0) / 2 ** 32;
}
