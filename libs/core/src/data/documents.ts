import { UserError } from '../config/index.js';
import { resolveSources, type SourceSpec } from './sources.js';
import { documentsOf, pieces } from './text.js';

/** A stretch of text, in order; together they are the sources' whole text. */
export interface TextBlock {
  readonly source: string;
  /** The file, with a line number where it has many documents. */
  readonly path: string;
  readonly text: string;
}

const blockBytes = 1 << 20;

/**
 * Streams the text of sources, for training a tokenizer: documents in the order in which `prepare` reads them, in
 * blocks of about 1 MiB that never end inside a piece of a BPE split pattern.
 * @throws UserError where a source is missing or not text, or is a folder of tokens
 */
export async function* documents(specs: readonly SourceSpec[]): AsyncGenerator<TextBlock> {
  const sources = await resolveSources(specs);
  for (const source of sources) {
    if (source.kind === 'prepared') {
      throw new UserError(
        `${source.path} holds tokens, and a tokenizer is trained on text: give the text itself.`,
      );
    }
    for (const file of source.files) {
      for await (const document of documentsOf(file)) {
        for await (const { bytes } of pieces(document, 0, document.size, blockBytes)) {
          yield { source: source.name, path: document.label, text: bytes.toString('utf8') };
        }
      }
    }
  }
}
