import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { RunConfig } from '@manyhands/core/config';
import { fromJson, isVocabularyName, loadTokenizer, type VocabularyName } from '@manyhands/tokenizer';

/** Tokens of the vocabularies that have a name: reading one takes up to a second. */
export const vocabularySizes: Readonly<Record<VocabularyName, number>> = {
  r50k_base: 50_257,
  cl100k_base: 100_277,
  o200k_base: 200_019,
};

/** Where the text is still to be read: what few alphabets exceed, and what byte-pair training makes by itself. */
const CHARACTERS = 256;
const BYTE_PAIRS = 4096;

/**
 * Tokens that a run's model will have, to reckon with before its text is read: exact where the tokenizer is there.
 * @throws TokenizerError where it is named, but cannot be read
 */
export async function expectedVocabulary(config: RunConfig, out: string): Promise<number> {
  if (config.model.vocab !== null) return config.model.vocab;
  const { tokenizer, sources } = config.data;
  const own = [out, ...sources.map((source) => source.path)]
    .map((folder) => path.join(folder, 'tokenizer.json'))
    .find((file) => existsSync(file));
  switch (tokenizer) {
    case 'char':
    case 'bpe':
      if (own !== undefined) return fromJson(readFileSync(own, 'utf8'), own).vocabSize;
      return tokenizer === 'char' ? CHARACTERS : BYTE_PAIRS;
    default:
      if (isVocabularyName(tokenizer)) return vocabularySizes[tokenizer];
      return (await loadTokenizer(tokenizer)).vocabSize;
  }
}
