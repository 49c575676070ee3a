import { startCoordinator } from '@manyhands/coordinator';
import type { Command } from 'commander';
import { Display } from '../display.js';
import { exitStatus } from '../failure.js';
import { shellWord } from '../format.js';
import { Interrupt } from '../interrupt.js';
import { subcommand, whole } from '../options.js';
import { print } from '../output.js';
import { type ConfigOptions, defaultRunDirectory, runConfigFrom } from '../run-config.js';
import { required } from './shared.js';
import { printSummary } from './train.js';

interface CoordinatorOptions extends ConfigOptions {
  readonly listen?: string;
  readonly minWorkers?: number;
  readonly insecure?: boolean;
}

export function coordinator(): Command {
  return subcommand('coordinator', 'own a run that workers of other machines join')
    .option('--config <file>', 'the run’s config in YAML')
    .option('--listen <host:port>', 'where workers reach it (default: cluster.listen of the config)')
    .option('--out <dir>', 'the run directory (default: runs/DATE-NAME)')
    .option('--resume', 'go on from the newest whole checkpoint in --out')
    .option('--reproducible', 'the same weights on every processor, to the last bit')
    .addOption(whole('--min-workers <n>', 'workers to wait for before the first step', 1, 100000))
    .option(
      '--insecure',
      'listen on an address that other machines reach although the connection is plain text',
    )
    .action(async (options: CoordinatorOptions) => {
      process.exitCode = await own(options);
    });
}

async function own(options: CoordinatorOptions): Promise<number> {
  if (!options.resume) required(options.config, '--config', 'the run’s config, a YAML file');
  const config = runConfigFrom(options);
  const out = options.out ?? defaultRunDirectory('cluster');
  const display = new Display();
  display.line(`run directory ${out}`);
  const running = await startCoordinator({
    config,
    out,
    resume: options.resume ?? false,
    listen: options.listen ?? config.cluster.listen,
    insecure: options.insecure ?? false,
    ...(options.minWorkers === undefined ? {} : { minWorkers: options.minWorkers }),
    report: display.report,
  });
  print(`manyhands worker --join ${shellWord(running.joinUrl)}`);
  const interrupt = new Interrupt(() => {
    display.status('interrupted: finishing this step and saving (Ctrl-C again leaves at once)');
    running.stop();
  });
  const summary = await running.done.finally(() => {
    display.end();
    interrupt.dispose();
  });
  printSummary(summary);
  return summary.interrupted ? exitStatus.interrupted : exitStatus.done;
}
