import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RunConfig } from '@manyhands/core/config';
import { documents } from '@manyhands/core/data';
import { loadTokenizer, trainBpe, trainChar } from '@manyhands/tokenizer';

/** Tokens of a vocabulary that is trained on a run's own text, where `model.vocab` does not say. */
const BPE_VOCABULARY = 4096;

/**
 * The tokenizer.json of a new run: trained on its text (`char`, `bpe`), named, or from a file. A folder of prepared
 * data brings its own. What is held out is no training text, but its characters have to be in an alphabet.
 */
export async function chooseTokenizer(
  config: RunConfig,
  say: (text: string) => void,
  signal: AbortSignal | undefined,
): Promise<string> {
  const { tokenizer, sources } = config.data;
  const prepared = sources.map(({ path }) => join(path, 'tokenizer.json')).find((path) => existsSync(path));
  if (tokenizer === 'char' || tokenizer === 'bpe') {
    if (prepared !== undefined) return readFileSync(prepared, 'utf8');
    say(`training a ${tokenizer === 'char' ? 'character' : 'byte-pair'} tokenizer on the text`);
  }
  switch (tokenizer) {
    case 'char': {
      const seen = { count: 0, last: '' };
      const characters = await trainChar(texts(sources, signal, seen));
      if (seen.count < 2) return characters.toJson();
      // Many documents need a token between them.
      const all = Array.from({ length: characters.vocabSize }, (_, id) => characters.decode([id])).join('');
      return (await trainChar([all], { endOfText: true })).toJson();
    }
    case 'bpe': {
      const vocabSize = config.model.vocab ?? BPE_VOCABULARY;
      // Bytes spell any text, also one that is never to be seen.
      const seen = sources.filter(({ heldOut }) => heldOut !== true);
      return (await trainBpe(texts(seen, signal), { vocabSize, pattern: 'gpt4' })).toJson();
    }
    default:
      return (await loadTokenizer(tokenizer)).toJson();
  }
}

async function* texts(
  sources: RunConfig['data']['sources'],
  signal: AbortSignal | undefined,
  documentsSeen?: { count: number; last: string },
) {
  for await (const { path, text } of documents(sources)) {
    signal?.throwIfAborted();
    if (documentsSeen !== undefined && path !== documentsSeen.last) {
      documentsSeen.count += 1;
      documentsSeen.last = path;
    }
    yield text;
  }
}
