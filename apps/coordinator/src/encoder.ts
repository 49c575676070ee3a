import { fromJson } from '@manyhands/tokenizer';

/** What the data room's threads import: `spec` is a whole tokenizer.json. */
export function createEncoder(spec: string) {
  const tokenizer = fromJson(spec);
  return {
    encode: (text: string) => tokenizer.encode(text),
    endOfText: tokenizer.endOfText,
    vocabSize: tokenizer.vocabSize,
    hash: tokenizer.hash,
  };
}
