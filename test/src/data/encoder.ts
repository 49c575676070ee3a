/** What a preparing thread imports: the spec is a vocabulary's name, or the text of a tokenizer.json. */
import type { Encoder } from '@manyhands/core/data';
import { byName, fromJson, isVocabularyName } from '@manyhands/tokenizer';

export async function createEncoder(spec: string): Promise<Encoder> {
  return isVocabularyName(spec) ? byName(spec) : fromJson(spec);
}
