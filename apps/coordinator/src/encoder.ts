import type { Encoder, EncoderSpec } from '@manyhands/core/data';
import { fromJson } from '@manyhands/tokenizer';

/** How the data room's threads come by the encoder of a tokenizer.json: they import this very module. */
export function encoderSpec(tokenizerJson: string): EncoderSpec {
  return { module: import.meta.url, spec: tokenizerJson };
}

export function createEncoder(spec: string): Encoder {
  const tokenizer = fromJson(spec);
  const { endOfText, vocabSize, hash } = tokenizer;
  return { encode: (text) => tokenizer.encode(text), endOfText, vocabSize, hash };
}
