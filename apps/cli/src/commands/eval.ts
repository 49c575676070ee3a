import { bitsPerByte, perplexity } from '@manyhands/core/inference';
import { createCpuKernels } from '@manyhands/core/kernels';
import type { Command } from 'commander';
import { evaluateText, type SourceScore } from '../evaluate-text.js';
import { count } from '../format.js';
import {
  type Memorization,
  memorization,
  openTrainingData,
  percent,
  type SplitMemory,
  share,
  verdict,
} from '../memorization.js';
import { openModel, tokenizerOf } from '../model.js';
import { subcommand } from '../options.js';
import { print, printJson } from '../output.js';
import { Waiting } from '../waiting.js';
import { required, wording } from './shared.js';

interface EvalOptions {
  readonly model?: string;
  readonly best?: boolean;
  readonly data?: string[];
  readonly memorization?: boolean;
  readonly json?: boolean;
}

export function evaluate(): Command {
  return subcommand('eval', 'how well a model predicts a text: loss, perplexity, bits per byte')
    .option('--model <dir>', wording.model)
    .option('--best', wording.best)
    .option('--data <path...>', wording.data)
    .option(
      '--memorization',
      'what the model continues word for word of its training data, of validation data, and a bigram model of both',
    )
    .option('--json', `${wording.json}: {"loss","perplexity","bitsPerByte","tokens","sources"}`)
    .action(async (options: EvalOptions) => {
      const named = required(options.model, '--model', wording.model);
      const model = openModel(named, options);
      if (options.memorization) {
        const data = await openTrainingData(model, named, options.data);
        const kernels = await createCpuKernels();
        const found = await memorization(kernels, model, data).finally(() => data.close());
        await kernels.dispose();
        return options.json ? printJson({ memorization: withShares(found) }) : printMemorization(found);
      }
      const data = required(options.data, '--data', wording.data);
      const waiting = new Waiting('evaluating');
      const kernels = await createCpuKernels();
      const { whole, sources } = await evaluateText(kernels, model, tokenizerOf(model), data, (tokens) =>
        waiting.say(`evaluating: ${count(tokens)} tokens`),
      ).finally(() => waiting.end());
      await kernels.dispose();
      if (options.json) {
        const named = [...sources].map(([name, score]) => [name, report(score)]);
        return printJson({ ...report(whole), sources: Object.fromEntries(named) });
      }
      if (sources.size > 1) for (const [name, score] of sources) print(line(name, score));
      print(line('all', whole));
    });
}

function report(score: SourceScore) {
  const { loss, tokens } = score;
  return { loss, perplexity: perplexity(loss), bitsPerByte: bitsPerByte(loss, score), tokens };
}

function line(name: string, score: SourceScore): string {
  const { loss, perplexity: hesitation, bitsPerByte: bits, tokens } = report(score);
  const figures = `loss ${loss.toFixed(4)}  perplexity ${hesitation.toPrecision(4)}  bits per byte ${bits.toFixed(4)}`;
  return `${name}  ${figures}  ${count(tokens)} tokens`;
}

function printMemorization(found: Memorization): void {
  const { continued, train, validation } = found;
  print(`${continued} tokens continued greedily after ${continued} of the text; word for word:`);
  const row = (name: string, { model, bigram }: SplitMemory) =>
    print(
      `${name.padEnd(10)}  ${percent(share(model)).padStart(7)} of ${count(model.windows)} windows  (bigram ${percent(share(bigram))})  ` +
        `next token right ${percent(model.right / model.tokens)}  (bigram ${percent(bigram.right / bigram.tokens)})`,
    );
  row('training', train);
  if (validation !== null) row('validation', validation);
  print(verdict(found));
}

function withShares({ continued, train, validation }: Memorization) {
  const split = ({ model, bigram }: SplitMemory) => ({
    model: { ...model, share: share(model) },
    bigram: { ...bigram, share: share(bigram) },
  });
  return { continued, train: split(train), validation: validation && split(validation) };
}
