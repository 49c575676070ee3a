import { availableParallelism } from 'node:os';
import { holdsRun, readRunConfig } from '@manyhands/core/checkpoint';
import { type RunConfig, UserError } from '@manyhands/core/config';
import type { Model } from '@manyhands/core/model';
import type { Command } from 'commander';
import { bytes, count, loss, plural } from '../format.js';
import { memoryNeed } from '../memory.js';
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
      const run = holdsRun(dir) ? readRunReport(dir) : null;
      if (run !== null && run.ended !== null && run.checkpoints.length === 0) {
        throw new UserError(`${dir} is a run that ended without a checkpoint: ${run.ended.reason}.`);
      }
      const { model, weightsSha256, directory, tokenizerJson } = openModel(dir, options);
      const memory = run === null ? null : runMemory(model, readRunConfig(dir));
      const report = {
        directory,
        parameters: model.size,
        config: model.config,
        weightsSha256,
        tokenizer: tokenizerJson !== null,
        ...(run ?? {}),
        ...(memory && { memoryBytes: memory }),
      };
      if (options.json) return printJson(report);
      const { arch, layers, heads, channels, context, vocab } = model.config;
      print(`${directory}`);
      print(
        `model         ${arch}: ${plural(layers, 'layer')}, ${plural(heads, 'head')}, ${plural(channels, 'channel')}, context ${context}`,
      );
      print(`parameters    ${count(model.size)}, vocabulary ${count(vocab)}`);
      print(`weights       sha256 ${weightsSha256}`);
      if (run === null || memory === null) return;
      print(`steps         ${count(run.step)} of ${count(run.steps)}`);
      print(`loss          ${loss(run.trainLoss)} in training, ${loss(run.validationLoss)} in validation`);
      print(
        `best          ${loss(run.bestValidationLoss)}${run.bestStep === null ? '' : ` at step ${run.bestStep}`}`,
      );
      if (run.baselines !== null) {
        const { uniform, unigram, bigram } = run.baselines;
        print(
          `to compare    ${loss(uniform)} guessing blindly, ${loss(unigram)} counting tokens, ${loss(bigram)} counting pairs`,
        );
      }
      if (run.ended !== null) print(`ended         ${run.ended.reason}`);
      if (run.overfitting !== null) print(`overfitting   ${run.overfitting}`);
      print(`memory        ${bytes(memory.thread)} a thread, ${bytes(memory.coordinator)} the coordinator`);
      print(`checkpoints   ${run.checkpoints.join(', ')}`);
    });
}

/** What going on with the run would need on this machine, one worker with a thread a core. */
function runMemory(model: Model, config: RunConfig): { thread: number; coordinator: number } {
  const machine = { workers: 1, threads: availableParallelism(), backend: 'auto' } as const;
  const { thread, coordinator } = memoryNeed(model, config, machine);
  return { thread, coordinator };
}
