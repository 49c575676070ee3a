import { availableParallelism } from 'node:os';
import { holdsRun, readRunConfig } from '@manyhands/core/checkpoint';

import { type RunConfig, UserError } from '@manyhands/core/config';
import { isLanguageModel } from '@manyhands/core/model';
import { type CheckersTask, learnedWeights, type Task } from '@manyhands/tasks';

import type { Command } from 'commander';
import { bytes, count, loss, plural } from '../format.js';
import { memoryNeed } from '../memory.js';
import { openAnyModel } from '../model.js';
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
      const { model, weights, weightsSha256, directory, tokenizerJson } = openAnyModel(dir, options);
      const memory = run === null ? null : runMemory(model, readRunConfig(dir));
      const report = {
        directory,
        parameters: model.size,
        config: model.config,
        weightsSha256,
        ...(!isLanguageModel(model) && { learned: learnedWeights(model, weights) }),
        tokenizer: tokenizerJson !== null,
        ...(run ?? {}),
        ...(memory && { memoryBytes: memory }),
      };
      if (options.json) return printJson(report);
      print(`${directory}`);
      if (isLanguageModel(model)) {
        const { arch, layers, heads, channels, context, vocab } = model.config;
        print(
          `model         ${arch}: ${plural(layers, 'layer')}, ${plural(heads, 'head')}, ${plural(channels, 'channel')}, context ${context}`,
        );
        print(`parameters    ${count(model.size)}, vocabulary ${count(vocab)}`);
      } else {
        printValueModel(model, weights);
      }
      print(`weights       sha256 ${weightsSha256}`);
      if (run === null || memory === null) return;
      print(`steps         ${count(run.step)} of ${count(run.steps)}`);
      print(`loss          ${loss(run.trainLoss)} in training, ${loss(run.validationLoss)} in validation`);
      print(
        `best          ${loss(run.bestValidationLoss)}${run.bestStep === null ? '' : ` at step ${run.bestStep}`}`,
      );
      if (run.sources.length > 1) {
        for (const { name, train, validation, heldOut } of run.sources) {
          const learned = heldOut ? 'held out' : `${loss(train)} in training`;
          print(`  ${name.padEnd(11)} ${learned}, ${loss(validation)} in validation`);
        }
      }
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

/** A model that values positions of checkers: the weights of a linear one with what each of them counts. */
function printValueModel(model: CheckersTask['model'], weights: Float32Array): void {
  const { arch, inputs, hidden } = model.config;
  const layer = hidden > 0 ? `${plural(hidden, 'hidden unit')} between` : 'a weighted sum of';
  print(`model         values positions of checkers (${arch}): ${layer} ${count(inputs)} numbers`);
  print(`parameters    ${count(model.size)}`);
  const learned = learnedWeights(model, weights);
  if (learned.length === 0) return;
  print('learned       log-odds of winning for each, and the same in men; mine less the other’s:');
  for (const { name, weight, inMen, meaning } of learned) {
    print(`  ${name.padEnd(13)} ${signed(weight)} ${signed(inMen)}  ${meaning}`);
  }
}

function signed(value: number): string {
  return `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(3)}`.padStart(8);
}

/** What going on with the run would need on this machine, one worker with a thread a core. */
function runMemory(model: Task['model'], config: RunConfig): { thread: number; coordinator: number } {
  const machine = { workers: 1, threads: availableParallelism(), backend: 'auto' } as const;
  const { thread, coordinator } = memoryNeed(model, config, machine);
  return { thread, coordinator };
}
