import type { Encoder, EncoderSpec } from '@manyhands/core/data';
import { fromJson } from '@manyhands/tokenizer';

/** How the data room's threads come by the encoder of a tokenizer.json: they import this very module. */
export function encoderSpec(tokenizerJson: string): EncoderSpec {
  return { module: import.meta.url, spec: tokenizerJson };
}

export function createEncoder(spec: string): Encoder {
  const { encode, endOfText, vocabSize, hash } = fromJson(spec);
  return { encode, endOfText, vocabSize, hash };
}
