import { bitsPerByte, perplexity } from '@manyhands/core/inference';
import { createCpuKernels } from '@manyhands/core/kernels';
import type { Command } from 'commander';
import { evaluateText, type SourceScore } from '../evaluate-text.js';
import { count } from '../format.js';
import { openModel, tokenizerOf } from '../model.js';
import { subcommand } from '../options.js';
import { print, printJson } from '../output.js';
import { Waiting } from '../waiting.js';
import { required, wording } from './shared.js';

export function evaluate(): Command {
  return subcommand('eval', 'how well a model predicts a text: loss, perplexity, bits per byte')
    .option('--model <dir>', wording.model)
    .option('--best', wording.best)
    .option('--data <path...>', wording.data)
    .option('--json', `${wording.json}: {"loss","perplexity","bitsPerByte","tokens","sources"}`)
    .action(async (options: { model?: string; best?: boolean; data?: string[]; json?: boolean }) => {
      const model = openModel(required(options.model, '--model', wording.model), options);
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
