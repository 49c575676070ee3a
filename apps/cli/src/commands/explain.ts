import { writeFileSync } from 'node:fs';
import { type NamedTensor, writeSafetensors } from '@manyhands/core/checkpoint';
import { UserError } from '@manyhands/core/config';
import { createCpuKernels } from '@manyhands/core/kernels';
import type { Tokenizer } from '@manyhands/tokenizer';
import type { Command } from 'commander';
import {
  type Example,
  movedWeights,
  predictionAt,
  promptExample,
  readBatch,
  readStepRule,
  renderPage,
  type Subject,
  takePicture,
  tellStory,
  tensorReports,
  type Walk,
  walk,
} from '../explain/index.js';
import { wrap } from '../format.js';
import { type OpenModel, openModel, tokenizerOf } from '../model.js';
import { subcommand, whole } from '../options.js';
import { note, print, printJson } from '../output.js';
import { checkOutputFile } from '../output-file.js';
import { Waiting } from '../waiting.js';
import { required, wording } from './shared.js';

interface ExplainOptions {
  readonly model?: string;
  readonly best?: boolean;
  readonly prompt?: string;
  readonly answer?: string;
  readonly batch?: string;
  readonly steps?: number;
  readonly optimizer?: string;
  readonly dump?: string;
  readonly html?: string;
  readonly json?: boolean;
}

export function explain(): Command {
  return subcommand('explain', 'one training step in the open: guess, loss, gradients, the weights that move')
    .option('--model <dir>', wording.model)
    .option('--best', wording.best)
    .option('--prompt <text>', 'what the model reads')
    .option('--answer <text>', 'what should follow')
    .option('--batch <file>', 'instead of a prompt: {"input_ids": [[…]], "labels": [[…]]}')
    .addOption(whole('--steps <n>', 'training steps on the same example (default: 1)', 1, 10_000))
    .option('--optimizer <file>', '{"name","lr","betas","eps","weight_decay","clip_grad_norm","steps"}')
    .option('--dump <file>', 'a safetensors file for logits, grad.NAME before clipping, after.NAME')
    .option('--html <file>', 'the same as a page for a browser, every step of it, with inference beside it')
    .option('--json', wording.json)
    .action((options: ExplainOptions) => tell(options));
}

async function tell(options: ExplainOptions): Promise<void> {
  if (options.dump !== undefined) checkOutputFile('--dump', options.dump);
  if (options.html !== undefined) {
    checkOutputFile('--html', options.html);
    if (options.batch !== undefined) {
      throw new UserError('--html shows one prompt and its answer: give --prompt and --answer, not --batch.');
    }
  }
  const opened = openModel(required(options.model, '--model', wording.model), options);
  const tokenizer = options.batch === undefined || opened.tokenizerJson !== null ? tokenizerOf(opened) : null;
  const example = exampleOf(options, opened, tokenizer);
  const rule = readStepRule(options.optimizer, options.steps);
  const { model, weights } = opened;

  const waiting = new Waiting('computing');
  const kernels = await createCpuKernels();
  const look = async (): Promise<Walk> => {
    if (options.html === undefined || tokenizer === null) return walk(kernels, model, weights, example, rule);
    const { endOfText } = tokenizer;
    const text = (id: number) => tokenizer.token(id);
    const taken = await takePicture(kernels, { model, weights, example, rule, text, endOfText });
    writeFileSync(options.html, renderPage(taken.picture));
    return taken.walk;
  };
  const walked = await look().finally(() => waiting.end());
  await kernels.dispose();

  const subject: Subject = {
    model,
    weights,
    example,
    rule,
    walk: walked,
    text: tokenizer === null ? null : (id) => tokenizer.token(id),
  };
  if (options.dump !== undefined) writeSafetensors(options.dump, dump(subject));
  if (options.html !== undefined) note(`${options.html} is written: open it in a browser.`);
  if (options.json) printJson(report(subject));
  else print(wrap(tellStory(subject), process.stdout.columns ?? Infinity));
}

function exampleOf(options: ExplainOptions, { model }: OpenModel, tokenizer: Tokenizer | null): Example {
  const { batch, prompt, answer } = options;
  if (batch !== undefined) {
    if (prompt !== undefined || answer !== undefined) {
      throw new UserError('--batch stands for the prompt and its answer: leave --prompt and --answer out.');
    }
    return readBatch(batch, model.config);
  }
  if (prompt === undefined || answer === undefined || tokenizer === null) {
    throw new UserError(
      '--prompt and --answer are both needed, or --batch: what the model reads, what should follow.',
    );
  }
  return promptExample(tokenizer, { prompt, answer }, model.config);
}

function dump({ model, example, walk: { logits, gradient, after } }: Subject): NamedTensor[] {
  const { batch, time } = example;
  const parts = (prefix: string, flat: Float32Array) =>
    model.parameters.map(({ name, shape, offset, size }) => ({
      name: `${prefix}.${name}`,
      shape,
      data: flat.subarray(offset, offset + size),
    }));
  return [
    { name: 'logits', shape: [batch, time, model.config.vocab], data: logits },
    ...parts('grad', gradient),
    ...parts('after', after),
  ];
}

function report({ model, weights, example, rule, walk: walked, text }: Subject): object {
  const { inputs, targets, batch, time } = example;
  const token = (id: number) => text?.(id) ?? null;
  const named = <T extends { id: number }>(guess: T) => ({ ...guess, token: token(guess.id) });
  const predictions = Array.from(targets.entries())
    .filter(([, target]) => target >= 0)
    .map(([position, target]) => {
      const { answer, rank, guesses } = predictionAt(walked.logits, model.config.vocab, position, target);
      return { position, answer: named(answer), rank, guesses: guesses.map(named) };
    });
  return {
    loss: walked.losses[0],
    gradNorm: walked.gradNorm,
    losses: walked.losses,
    batch,
    time,
    tokens: Array.from(inputs, (id) => ({ id, token: token(id) })),
    predictions,
    graph: walked.graph,
    tensors: tensorReports(model, weights, walked),
    moved: movedWeights(model, weights, walked, 20),
    optimizer: rule.optimizer,
    gradientClip: rule.gradientClip,
    steps: rule.steps,
  };
}
