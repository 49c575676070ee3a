export { TokenizerError } from './errors.js';
export { lastSafeCut } from './patterns.js';
export { fromJson } from './read.js';
export type { EncodeOptions, Tokenizer, TokenStream } from './tokenizer.js';
export { type BpeTraining, type CharTraining, trainBpe, trainChar } from './train.js';
export {
  byName,
  isVocabularyName,
  loadTokenizer,
  type VocabularyName,
  vocabularyNames,
} from './vocabularies.js';
