import { writeFileSync } from 'node:fs';
import { UserError } from '@manyhands/core/config';
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
import { note, print, printJson } from '../output.js';
import { checkOutputFile } from '../output-file.js';
import { renderPage, scoreOf, Weakness } from '../report/index.js';
import { Waiting } from '../waiting.js';
import { required, wording } from './shared.js';

interface EvalOptions {
  readonly model?: string;
  readonly best?: boolean;
  readonly data?: string[];
  readonly memorization?: boolean;
  readonly report?: string;
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
    .option(
      '--report <file>',
      'where the model is weak, as a page for a browser: by source, length and position, with the passages of highest loss',
    )
    .option('--json', `${wording.json}: {"loss","perplexity","bitsPerByte","tokens","sources"}`)
    .action(async (options: EvalOptions) => {
      const named = required(options.model, '--model', wording.model);
      checkReport(options);
      const model = openModel(named, options);
      if (options.memorization) {
        const data = await openTrainingData(model, named, options.data);
        const kernels = await createCpuKernels();
        const found = await memorization(kernels, model, data).finally(() => data.close());
        await kernels.dispose();
        return options.json ? printJson({ memorization: withShares(found) }) : printMemorization(found);
      }
      const data = required(options.data, '--data', wording.data);
      const tokenizer = tokenizerOf(model);
      const weakness = options.report === undefined ? null : new Weakness(model);
      const waiting = new Waiting('evaluating');
      const kernels = await createCpuKernels();
      const scores = await evaluateText(kernels, model, tokenizer, data, {
        progress: (tokens) => waiting.say(`evaluating: ${count(tokens)} tokens`),
        ...(weakness && { watcher: weakness }),
      }).finally(() => waiting.end());
      await kernels.dispose();
      const report = weakness?.report(named, tokenizer, scores);
      if (options.report !== undefined && report !== undefined) {
        writeFileSync(options.report, renderPage(report));
        note(`${options.report} is written: open it in a browser.`);
      }
      const { whole, sources } = scores;
      if (options.json) {
        const named = [...sources].map(([name, score]) => [name, scoreOf(score)]);
        const profile = report && { lengths: report.lengths, positions: report.positions };
        return printJson({ ...scoreOf(whole), sources: Object.fromEntries(named), ...profile });
      }
      if (sources.size > 1) for (const [name, score] of sources) print(line(name, score));
      print(line('all', whole));
    });
}

function checkReport({ report, memorization }: EvalOptions): void {
  if (report === undefined) return;
  checkOutputFile('--report', report);
  if (memorization) {
    throw new UserError('--report shows losses, and --memorization measures none: give one of them.');
  }
}

function line(name: string, score: SourceScore): string {
  const { loss, perplexity: hesitation, bitsPerByte: bits, tokens } = scoreOf(score);
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
