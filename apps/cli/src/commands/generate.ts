import { setImmediate } from 'node:timers/promises';
import { generateText, generate as generateTokens, samplingRanges } from '@manyhands/core/inference';
import { createCpuKernels } from '@manyhands/core/kernels';
import type { Command } from 'commander';
import { exitStatus } from '../failure.js';
import { Interrupt } from '../interrupt.js';
import { openModel, tokenizerOf } from '../model.js';
import { real, repeated, subcommand, whole } from '../options.js';
import { colors, note, print, printJson } from '../output.js';
import { required, wording } from './shared.js';

interface GenerateOptions {
  readonly model?: string;
  readonly best?: boolean;
  readonly prompt: string;
  readonly maxTokens: number;
  readonly temperature: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly minP?: number;
  readonly repetitionPenalty?: number;
  readonly stop?: string[];
  readonly seed?: number;
  readonly json?: boolean;
}

export function generate(): Command {
  return subcommand('generate', 'write on from a prompt')
    .option('--model <dir>', wording.model)
    .option('--best', wording.best)
    .option('--prompt <text>', 'what the text begins with', '\n')
    .addOption(whole('--max-tokens <n>', 'tokens to generate', 0).default(200))
    .addOption(
      real(
        '--temperature <t>',
        'how bold: 0 always takes the likeliest token',
        samplingRanges.temperature,
      ).default(0.8),
    )
    .addOption(whole('--top-k <k>', 'draw from the k likeliest tokens only; 0 is off', 0))
    .addOption(
      real(
        '--top-p <p>',
        'draw from the likeliest tokens that together have this probability',
        samplingRanges.topP,
      ),
    )
    .addOption(
      real(
        '--min-p <p>',
        'leave out tokens below this share of the likeliest one’s probability',
        samplingRanges.minP,
      ),
    )
    .addOption(
      real(
        '--repetition-penalty <r>',
        'above 1 makes tokens that were there already less likely',
        samplingRanges.repetitionPenalty,
      ),
    )
    .addOption(repeated('--stop <text>', 'end before this text; may be given often'))
    .addOption(
      whole(
        '--seed <n>',
        'the same seed draws the same text (default: another text each time)',
        0,
        4294967295,
      ),
    )
    .option(
      '--json',
      `${wording.json}: {"text","tokens","finishReason","tokensPerSecond"}, all without the prompt`,
    )
    .action(async (options: GenerateOptions) => {
      process.exitCode = await write(options);
    });
}

async function write(options: GenerateOptions): Promise<number> {
  const opened = openModel(required(options.model, '--model', wording.model), options);
  const tokenizer = tokenizerOf(opened);
  const kernels = await createCpuKernels();
  const { maxTokens, temperature, topK, topP, minP, repetitionPenalty } = options;
  const seed = options.seed ?? Math.floor(Math.random() * 2 ** 32);
  const interrupt = new Interrupt(() => {});
  const tokens = generateTokens(kernels, opened.model, opened.weights, tokenizer.encode(options.prompt), {
    maxTokens,
    temperature,
    ...(topK === undefined ? {} : { topK }),
    ...(topP === undefined ? {} : { topP }),
    ...(minP === undefined ? {} : { minP }),
    ...(repetitionPenalty === undefined ? {} : { repetitionPenalty }),
    seed,
    endOfText: tokenizer.endOfText,
    stop: () => interrupt.happened,
  });

  const started = performance.now();
  const ids: number[] = [];
  let text = '';
  let finishReason = 'length';
  if (!options.json) process.stdout.write(colors.dim(options.prompt));
  for await (const piece of generateText(tokens, tokenizer.stream(), options.stop)) {
    ids.push(piece.id);
    text += piece.text;
    if (!options.json) process.stdout.write(piece.text);
    finishReason = piece.finishReason ?? finishReason;
    // Kernels on the processor never wait for anything: without this, no signal would ever be heard.
    await setImmediate();
  }
  const tokensPerSecond = ids.length / Math.max((performance.now() - started) / 1000, 1e-9);
  await kernels.dispose();
  interrupt.dispose();
  if (options.json) printJson({ text, tokens: ids, finishReason, tokensPerSecond });
  else {
    print('');
    if (process.stderr.isTTY) note(`${Math.round(tokensPerSecond)} tokens/s, seed ${seed}`);
  }
  return interrupt.happened ? exitStatus.interrupted : exitStatus.done;
}
