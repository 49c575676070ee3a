import type { BpeModel } from './bpe.js';
import { toByteLevel } from './byte-level.js';
import { patterns } from './patterns.js';
import type { AddedToken } from './tokenizer.js';

/**
 * The canonical tokenizer.json: Hugging Face's fields in their order, one line, the vocabulary by id. It is put
 * together by hand, since a JavaScript object would sort keys such as "7" before all others.
 */
export function writeBpe(model: BpeModel, added: readonly AddedToken[]): string {
  const names = model.tokens.map((token) => (token === undefined ? undefined : toByteLevel(token)));
  const { triples } = model.merges;
  const merges: string[] = [];
  for (let i = 0; i < triples.length; i += 3) merges.push(`${names[triples[i]]} ${names[triples[i + 1]]}`);
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true };
  const split = {
    type: 'Split',
    pattern: { Regex: model.pattern.source },
    behavior: 'Isolated',
    invert: false,
  };
  return file(added, {
    pre_tokenizer:
      model.pattern === patterns.gpt2
        ? { ...byteLevel, use_regex: true }
        : { type: 'Sequence', pretokenizers: [split, { ...byteLevel, use_regex: false }] },
    decoder: { ...byteLevel, use_regex: true },
    model: fields([
      ['type', 'BPE'],
      ['dropout', null],
      ['unk_token', null],
      ['continuing_subword_prefix', null],
      ['end_of_word_suffix', null],
      ['fuse_unk', false],
      ['byte_fallback', false],
      ['ignore_merges', model.wholePieces],
      ['vocab', vocabulary(names, added)],
      ['merges', merges],
    ]),
  });
}

/** Hugging Face has no character model: a table of words, each of one character, is the same. */
export function writeChar(characters: readonly (string | undefined)[], added: readonly AddedToken[]): string {
  return file(added, {
    pre_tokenizer: { type: 'Split', pattern: { Regex: anyCharacter }, behavior: 'Isolated', invert: false },
    decoder: { type: 'Fuse' },
    model: fields([
      ['type', 'WordLevel'],
      ['vocab', vocabulary(characters, added)],
      // Not in the vocabulary, so that Hugging Face refuses an unknown character, as we do.
      ['unk_token', '<unk>'],
    ]),
  });
}

export const anyCharacter = '[\\s\\S]';

/** Text that is JSON already. */
class Json {
  constructor(readonly text: string) {}
}

interface Parts {
  pre_tokenizer: object;
  decoder: object;
  model: Json;
}

function file(added: readonly AddedToken[], parts: Parts): string {
  const tokens = added.map(({ id, content, special }) => ({
    ...{ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special },
  }));
  return fields([
    ['version', '1.0'],
    ['truncation', null],
    ['padding', null],
    ['added_tokens', tokens],
    ['normalizer', null],
    ['pre_tokenizer', parts.pre_tokenizer],
    ['post_processor', null],
    ['decoder', parts.decoder],
    ['model', parts.model],
  ]).text;
}

/** Added tokens stand in the model's vocabulary too, as in GPT-2's own file: their ids are then certain. */
function vocabulary(names: readonly (string | undefined)[], added: readonly AddedToken[]): Json {
  const entries = names.flatMap((name, id): [string, number][] => (name === undefined ? [] : [[name, id]]));
  entries.push(...added.map(({ content, id }): [string, number] => [content, id]));
  return fields(entries.sort((a, b) => a[1] - b[1]));
}

function fields(entries: readonly (readonly [string, unknown])[]): Json {
  const members = entries.map(([key, value]) => {
    return `${JSON.stringify(key)}:${value instanceof Json ? value.text : JSON.stringify(value)}`;
  });
  return new Json(`{${members.join(',')}}`);
}
