import { writeFileSync } from 'node:fs';
import { show, UserError } from '@manyhands/core/config';
import { documents } from '@manyhands/core/data';
import { loadTokenizer, trainBpe } from '@manyhands/tokenizer';
import type { Command } from 'commander';
import { bytes, count, duration } from '../format.js';
import { readStandardInput } from '../input.js';
import { subcommand, whole } from '../options.js';
import { note, print, printJson } from '../output.js';
import { checkOutputFile } from '../output-file.js';
import { Waiting } from '../waiting.js';
import { required, wording } from './shared.js';

export function tokenizer(): Command {
  return subcommand('tokenizer', 'train a tokenizer, and turn text into token ids and back')
    .addCommand(trainTokenizer())
    .addCommand(encode())
    .addCommand(decode());
}

const which = 'a tokenizer.json, or r50k_base, cl100k_base, o200k_base';

function trainTokenizer(): Command {
  return subcommand('train', 'learn a byte-level BPE vocabulary from text')
    .option('--data <path...>', wording.data)
    .addOption(whole('--vocab <n>', 'tokens in the vocabulary', 257, 1_000_000))
    .option('--out <file>', 'the Hugging Face tokenizer.json to write')
    .action(async (options: { data?: string[]; vocab?: number; out?: string }) => {
      const data = required(options.data, '--data', wording.data);
      const vocabSize = required(options.vocab, '--vocab', 'the number of tokens');
      const out = required(options.out, '--out', 'the tokenizer.json to write');
      checkOutputFile('--out', out);
      const waiting = new Waiting('reading text');
      const read = { bytes: 0 };
      const started = performance.now();
      const trained = await trainBpe(texts(data, read), { vocabSize, pattern: 'gpt2' }).finally(() =>
        waiting.end(),
      );
      writeFileSync(out, trained.toJson());
      const seconds = (performance.now() - started) / 1000;
      note(`${count(trained.vocabSize)} tokens from ${bytes(read.bytes)} of text in ${duration(seconds)}`);
      if (trained.vocabSize < vocabSize) {
        note(
          `the text gave only ${count(trained.vocabSize)} of ${count(vocabSize)} tokens: more text gives more`,
        );
      }
      print(out);
    });
}

async function* texts(data: readonly string[], read: { bytes: number }): AsyncGenerator<string> {
  for await (const { text } of documents(data.map((path) => ({ path, weight: 1 })))) {
    read.bytes += Buffer.byteLength(text);
    yield text;
  }
}

function encode(): Command {
  return subcommand('encode', 'text to token ids')
    .argument('[text]', 'the text (default: standard input)')
    .option('--tokenizer <file>', which)
    .option('--json', `${wording.json}: {"ids"}`)
    .action(async (text: string | undefined, options: { tokenizer?: string; json?: boolean }) => {
      const chosen = await loadTokenizer(required(options.tokenizer, '--tokenizer', which));
      const ids = Array.from(chosen.encode(text ?? (await readStandardInput('text'))));
      if (options.json) printJson({ ids });
      else print(ids.join(' '));
    });
}

function decode(): Command {
  return subcommand('decode', 'token ids to text')
    .argument('[ids...]', 'ids, apart by spaces or commas (default: standard input)')
    .option('--tokenizer <file>', which)
    .option('--json', `${wording.json}: {"text"}`)
    .action(async (words: string[], options: { tokenizer?: string; json?: boolean }) => {
      const chosen = await loadTokenizer(required(options.tokenizer, '--tokenizer', which));
      const ids = parseIds(words.length > 0 ? words.join(' ') : await readStandardInput('token ids'));
      if (options.json) printJson({ text: chosen.decode(ids) });
      // The bytes as they are: a token may be part of a character.
      else process.stdout.write(Buffer.concat([chosen.decodeBytes(ids), Buffer.from('\n')]));
    });
}

/** Ids apart by spaces, commas or line ends; the JSON of `encode --json` too. */
function parseIds(text: string): number[] {
  const words = text
    .replace(/^\s*\{\s*"ids"\s*:/, '')
    .split(/[\s,[\]}]+/)
    .filter((word) => word !== '');
  return words.map((word) => {
    if (!/^\d{1,9}$/.test(word))
      throw new UserError(`${show(word)} is not a token id: give whole numbers from 0 up.`);
    return Number(word);
  });
}
