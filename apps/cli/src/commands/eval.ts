import { realpathSync, writeFileSync } from 'node:fs';
import { namedStep } from '@manyhands/core/checkpoint';
import { UserError } from '@manyhands/core/config';
import { createCpuKernels } from '@manyhands/core/kernels';
import type { MeanLoss } from '@manyhands/core/learning';
import type { Command } from 'commander';
import { evaluateText, type SourceScore } from '../evaluate-text.js';
import { bytes, count } from '../format.js';
import {
  type Memorization,
  memorization,
  openTrainingData,
  percent,
  type SplitMemory,
  share,
  verdict,
} from '../memorization.js';
import { type OpenModel, openModel, tokenizerOf } from '../model.js';
import { subcommand } from '../options.js';
import { note, print, printJson } from '../output.js';
import { checkOutputFile } from '../output-file.js';
import { renderPage, scoreOf, Weakness } from '../report/index.js';
import { type MixtureShift, measureShift, shiftInWords, type TextShift } from '../shift.js';
import { Waiting } from '../waiting.js';
import { required, wording } from './shared.js';

interface EvalOptions {
  readonly model?: string;
  readonly best?: boolean;
  readonly data?: string[];
  readonly memorization?: boolean;
  readonly report?: string;
  readonly shift?: string[];
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
    .option(
      '--shift <path...>',
      'how far other texts lie from the training mixture: what they cost under n-grams counted on it, beside validation text',
    )
    .option('--json', `${wording.json}: {"loss","perplexity","bitsPerByte","tokens","sources"}`)
    .action(async (options: EvalOptions) => {
      const named = required(options.model, '--model', wording.model);
      checkAlone(options);
      const model = openModel(named, options);
      if (options.memorization) {
        const data = await openTrainingData(model, named, options.data, '--memorization');
        const kernels = await createCpuKernels();
        const found = await memorization(kernels, model, data).finally(() => data.close());
        await kernels.dispose();
        return options.json ? printJson({ memorization: withShares(found) }) : printMemorization(found);
      }
      if (options.shift !== undefined) return shift(model, named, { ...options, shift: options.shift });
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

function checkAlone({ report, memorization, shift }: EvalOptions): void {
  if (report !== undefined) checkOutputFile('--report', report);
  const given = [report && '--report', memorization && '--memorization', shift && '--shift'].filter(Boolean);
  if (given.length > 1) {
    throw new UserError(`${given.join(' and ')} measure different things: give one of them at a time.`);
  }
}

async function shift(
  model: OpenModel,
  named: string,
  { data: given, shift: paths, json }: EvalOptions & { readonly shift: readonly string[] },
): Promise<void> {
  const data = await openTrainingData(model, named, given, '--shift');
  const steps = namedStep(realpathSync(model.directory)) ?? 1; // of elsewhere: the mixture that a run begins with
  const waiting = new Waiting('counting the training mixture');
  const found = await measureShift(data, steps, tokenizerOf(model), paths, (done) =>
    waiting.say(`measuring: ${bytes(done)} of text`),
  ).finally(() => {
    waiting.end();
    data.close();
  });
  if (json) printJson({ shift: shiftInNumbers(found) });
  else printShift(found);
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

function shiftInNumbers({ counted, validation, texts }: MixtureShift) {
  const cost = ({ mean, count, documents, error, over }: MeanLoss) => ({
    ...{ bitsPerByte: mean, standardError: error, bytes: count, documents },
    over: over === 'parts' ? 'stretches' : over,
  });
  const text = (name: string, found: TextShift) => ({
    verdict: found.verdict,
    conclusion: shiftInWords(name, found),
    orders: found.orders.map((mean, i) => ({
      ...{ order: i + 1, ...cost(mean) },
      ...{ difference: found.shifts[i].difference, differenceError: found.shifts[i].error },
    })),
  });
  return {
    countedBytes: counted,
    validation: validation.orders.map((mean, i) => ({ order: i + 1, ...cost(mean) })),
    texts: Object.fromEntries([...texts].map(([name, found]) => [name, text(name, found)])),
  };
}

function printShift({ counted, validation, texts }: MixtureShift): void {
  print(
    `bits a byte under n-grams of bytes, counted on ${bytes(counted)} of the training mixture (± standard error):`,
  );
  const names = ['validation', ...texts.keys()];
  const width = Math.max(...names.map((name) => name.length));
  const figure = ({ mean, error }: MeanLoss) =>
    `${mean.toFixed(3)} ± ${error === null ? '–' : error.toFixed(3)}`;
  const row = (name: string, means: readonly MeanLoss[]) =>
    print(`${name.padEnd(width)}  ${means.map((mean) => figure(mean).padStart(13)).join('  ')}`);
  print(`${''.padEnd(width)}  ${validation.orders.map((_, i) => `n = ${i + 1}`.padStart(13)).join('  ')}`);
  row('validation', validation.orders);
  for (const [name, { orders }] of texts) row(name, orders);
  for (const [name, found] of texts) print(shiftInWords(name, found));
}
