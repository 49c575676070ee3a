import { availableParallelism } from 'node:os';
import type { RunSummary } from '@manyhands/coordinator';
import { type PresetName, presets, type RunConfig, UserError } from '@manyhands/core/config';
import type { BackendChoice } from '@manyhands/core/kernels';
import type { Command } from 'commander';
import { Display } from '../display.js';
import { printDryRun, tryRun } from '../dry-run.js';
import { exitStatus } from '../failure.js';
import { findRate, printRate, refuseBeside } from '../find-rate.js';
import { count, duration, loss, shellWord } from '../format.js';
import { runLocally } from '../local-run.js';
import { nativeNote } from '../machine.js';
import { checkMemory } from '../memory.js';
import { choice, repeated, subcommand, whole } from '../options.js';
import { colors, print } from '../output.js';
import { type OwningCommand, resumeLine } from '../own-run.js';
import { type ConfigOptions, defaultRunDirectory, runConfigFrom, unitOf } from '../run-config.js';
import { backends, plotOption, traceOption, wording } from './shared.js';

interface TrainOptions extends ConfigOptions {
  readonly preset?: PresetName;
  readonly workers: number;
  readonly threads?: number;
  readonly backend: BackendChoice;
  readonly dryRun?: boolean;
  readonly findLr?: boolean;
  readonly plot?: string;
  readonly trace?: string;
}

export function train(): Command {
  return subcommand('train', 'train a model on this machine: a coordinator and its worker processes')
    .option('--config <file>', 'the run’s config in YAML; the options below go over it')
    .option('--data <path...>', wording.data)
    .addOption(choice('--preset <name>', 'the size of the model and its recipe', Object.keys(presets)))
    .option('--tokenizer <name>', 'char, bpe, r50k_base, cl100k_base, o200k_base, or a tokenizer.json')
    .addOption(whole('--steps <n>', 'steps of the whole run, also with --resume', 1))
    .addOption(whole('--workers <n>', 'worker processes', 1, 256).default(1))
    .addOption(whole('--threads <n>', 'threads of each worker (default: one a core, shared out)', 1, 1024))
    .addOption(choice('--backend <name>', 'what computes', backends).default('auto'))
    .option('--reproducible', 'the same weights on every processor, to the last bit')
    .addOption(whole('--seed <n>', 'where all random numbers come from', 0, 4294967295))
    .option('--out <dir>', 'the run directory (default: runs/DATE-NAME)')
    .option('--resume', wording.resume)
    .option(
      '--dry-run',
      'check everything, take a step in a temporary folder, and say what the run will cost',
    )
    .option('--find-lr', wording.findRate)
    .option('--plot <file>', wording.plot)
    .option('--trace <file>', wording.trace)
    .addOption(repeated('--set <key=value>', 'one key of the config; may be given often'))
    .action(async (options: TrainOptions) => {
      process.exitCode = await runTrain(options);
    });
}

async function runTrain(options: TrainOptions): Promise<number> {
  const config = runConfigFrom(options);
  const { workers, backend } = options;
  const threads = options.threads ?? Math.max(1, Math.floor(availableParallelism() / workers));
  const machine = { workers, threads, backend };
  const trace = traceOption(options.trace);
  const plot = plotOption(options);
  if (options.dryRun) {
    if (options.findLr)
      throw new UserError('--dry-run and --find-lr are two commands: leave one of them out.');
    if (options.trace) throw new UserError('--trace needs a whole run: leave --dry-run out.');
    await checkMemory(config, options.out ?? '', machine);
    const found = await tryRun(config, machine);
    if (found === null) return exitStatus.interrupted;
    printDryRun(found);
    return exitStatus.done;
  }

  if (options.findLr) {
    refuseBeside({ resume: options.resume, trace: options.trace });
    const display = new Display();
    display.line(await checkMemory(config, options.out ?? '', machine));
    const found = await findRate(config, display, (test) => runLocally({ ...test, resume: false, machine }));
    if (found === null) return exitStatus.interrupted;
    printRate(found, config, plot);
    return exitStatus.done;
  }

  const out = options.out ?? defaultRunDirectory(options.preset ?? 'nano');
  const need = await checkMemory(config, out, machine);
  const display = new Display();
  display.line(need);
  const native = backend === 'gpujs' ? null : nativeNote(config.run.reproducible);
  if (native !== null) display.line(native);
  const resume = options.resume ?? false;
  const run = { config, out, resume, machine, display, ...trace };
  const summary = await runLocally(run).finally(() => display.end());
  printSummary(summary, 'train', config);
  return summary.interrupted ? exitStatus.interrupted : exitStatus.done;
}

/** What a run came to, and what to type next. */
export function printSummary(summary: RunSummary, command: OwningCommand, config: RunConfig): void {
  const { step, steps, seconds, tokens, out } = summary;
  const word = summary.interrupted ? colors.yellow('stopped') : colors.green('done');
  const validation =
    summary.validationLoss === null ? '' : `, validation loss ${loss(summary.validationLoss)}`;
  const best = summary.bestValidationLoss === null ? '' : ` (best ${loss(summary.bestValidationLoss)})`;
  print(
    `${word}: step ${count(step)} of ${count(steps)} in ${duration(seconds)}, ${count(tokens)} ${unitOf(config)}`,
  );
  print(`loss ${loss(summary.trainLoss)}${validation}${best}`);
  if (step < steps && !summary.interrupted) print(summary.reason);
  if (summary.overfitting !== null) print(summary.overfitting);
  print(`weights sha256 ${summary.weightsSha256}`);
  const next = summary.interrupted
    ? resumeLine(command, out)
    : config.task.name === 'language'
      ? `npx manyhands generate --model ${shellWord(out)} --prompt "…"`
      : `npx manyhands inspect ${shellWord(out)}`;
  print(`next: ${next}`);
}
