import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { encoderSpec } from '@manyhands/coordinator';
import { describeWeight, UserError } from '@manyhands/core/config';
import { describeNearDuplicates, inspectData, type ManifestSource, prepare } from '@manyhands/core/data';
import { loadTokenizer } from '@manyhands/tokenizer';
import type { Command } from 'commander';
import { bytes, count, duration, plural } from '../format.js';
import { subcommand } from '../options.js';
import { note, print, printJson } from '../output.js';
import { Waiting } from '../waiting.js';
import { required, wording } from './shared.js';

/** The part of each source that `data prepare` keeps for validation, as in the presets. */
const VALIDATION = 0.1;

export function data(): Command {
  return subcommand('data', 'turn text into token shards, and look at them')
    .addCommand(prepareData())
    .addCommand(inspectFolder());
}

interface PrepareDataOptions {
  readonly data?: string[];
  readonly heldOut?: string[];
  readonly tokenizer?: string;
  readonly out?: string;
  readonly dropNearDuplicates?: boolean;
}

function prepareData(): Command {
  return subcommand('prepare', 'text to token shards and their hashes; interrupted, it goes on where it was')
    .option('--data <path...>', wording.data)
    .option('--held-out <path...>', 'as --data: text that no training ever sees, all of it only evaluated')
    .option('--tokenizer <file>', 'a tokenizer.json, or r50k_base, cl100k_base, o200k_base')
    .option('--out <dir>', 'the folder for the shards')
    .option(
      '--drop-near-duplicates',
      'leave texts out of validation that are nearly the same as one that is trained on',
    )
    .action(async (options: PrepareDataOptions) => {
      const sources = [
        ...required(options.data, '--data', wording.data).map((source) => ({ path: source })),
        ...(options.heldOut ?? []).map((source) => ({ path: source, heldOut: true })),
      ];
      const out = required(options.out, '--out', 'the folder for the shards');
      const tokenizer = await loadTokenizer(required(options.tokenizer, '--tokenizer', 'a tokenizer.json'));
      const waiting = new Waiting('preparing data');
      const started = performance.now();
      const manifest = await prepare({
        sources,
        out,
        encoder: encoderSpec(tokenizer.toJson()),
        validation: VALIDATION,
        nearDuplicates: options.dropNearDuplicates ? 'drop' : 'report',
        report: (event) => {
          if (event.kind === 'warning') note(event.text);
          if (event.kind === 'progress')
            waiting.say(`encoding: ${bytes(event.bytes)} of ${bytes(event.totalBytes)}`);
        },
      }).finally(() => waiting.end());
      writeFileSync(path.join(out, 'tokenizer.json'), tokenizer.toJson());
      for (const source of manifest.sources) note(sourceLine(source));
      const twins = describeNearDuplicates(manifest);
      if (twins !== null)
        note(options.dropNearDuplicates ? twins : `${twins}; --drop-near-duplicates leaves them out`);
      note(`prepared in ${duration((performance.now() - started) / 1000)}, data hash ${manifest.dataHash}`);
      print(out);
    });
}

function inspectFolder(): Command {
  return subcommand('inspect', 'what a folder of token shards holds; checks every hash')
    .argument('<dir>', 'a folder that `data prepare` wrote, or a run’s data/')
    .option('--json', wording.json)
    .action(async (dir: string, options: { json?: boolean }) => {
      const { manifest, damage } = await inspectData(dir);
      if (options.json) {
        printJson({ ...manifest, damage });
      } else {
        print(`vocabulary  ${count(manifest.vocab)} tokens, ${manifest.vocabHash}`);
        print(`data hash   ${manifest.dataHash}`);
        for (const source of manifest.sources) print(sourceLine(source));
        for (const { document, of, similarity } of manifest.nearDuplicates?.pairs ?? []) {
          print(`near-duplicate  ${similarity.toFixed(2)}  ${document} (validation) of ${of} (training)`);
        }
      }
      if (damage.length > 0) throw new UserError(damage.join(' '));
    });
}

function sourceLine({ name, weight, heldOut, train, validation }: ManifestSource): string {
  const split = (part: typeof train) =>
    `${count(part.tokens)} tokens (${bytes(part.bytes)}, ${plural(part.shards.length, 'shard')})`;
  if (heldOut) return `${name}, held out: ${split(validation)}`;
  return `${name}, weight ${describeWeight(weight)}: train ${split(train)}, validation ${split(validation)}`;
}
