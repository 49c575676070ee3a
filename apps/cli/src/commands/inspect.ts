import { holdsRun } from '@manyhands/core/checkpoint';
import type { Command } from 'commander';
import { count, loss, plural } from '../format.js';
import { openModel } from '../model.js';
import { subcommand } from '../options.js';
import { print, printJson } from '../output.js';
import { readRunReport } from '../run-report.js';
import { wording } from './shared.js';

export function inspect(): Command {
  return subcommand('inspect', 'what a model or run directory holds')
    .argument('<dir>', wording.model)
    .option('--best', wording.best)
    .option('--json', wording.json)
    .action((dir: string, options: { best?: boolean; json?: boolean }) => {
      const { model, weightsSha256, directory, tokenizerJson } = openModel(dir, options);
      const run = holdsRun(dir) ? readRunReport(dir) : null;
      const report = {
        directory,
        parameters: model.size,
        config: model.config,
        weightsSha256,
        tokenizer: tokenizerJson !== null,
        ...(run ?? {}),
      };
      if (options.json) return printJson(report);
      const { arch, layers, heads, channels, context, vocab } = model.config;
      print(`${directory}`);
      print(
        `model         ${arch}: ${plural(layers, 'layer')}, ${plural(heads, 'head')}, ${plural(channels, 'channel')}, context ${context}`,
      );
      print(`parameters    ${count(model.size)}, vocabulary ${count(vocab)}`);
      print(`weights       sha256 ${weightsSha256}`);
      if (run === null) return;
      print(`steps         ${count(run.step)} of ${count(run.steps)}`);
      print(`loss          ${loss(run.trainLoss)} in training, ${loss(run.validationLoss)} in validation`);
      print(
        `best          ${loss(run.bestValidationLoss)}${run.bestStep === null ? '' : ` at step ${run.bestStep}`}`,
      );
      print(`checkpoints   ${run.checkpoints.join(', ')}`);
    });
}
