import type { RunSummary } from '@manyhands/coordinator';
import { UserError } from '@manyhands/core/config';
import { type Command, Option } from 'commander';
import { exitStatus } from '../failure.js';
import { findRate, printRate, type RangeTest, refuseBeside } from '../find-rate.js';
import { shellWord } from '../format.js';
import { type LogFormat, logFormatOption, openTeller } from '../log.js';
import { checkMemory } from '../memory.js';
import { subcommand, whole } from '../options.js';
import { print } from '../output.js';
import { ownRun } from '../own-run.js';
import { type ConfigOptions, defaultRunDirectory, runConfigFrom } from '../run-config.js';
import { plotOption, required, traceOption, wording } from './shared.js';
import { printSummary } from './train.js';

interface CoordinatorOptions extends ConfigOptions {
  readonly listen?: string;
  readonly minWorkers?: number;
  readonly insecure?: boolean;
  readonly tokenTtl?: number;
  readonly maxJoins?: number;
  readonly discover?: boolean;
  readonly findLr?: boolean;
  readonly plot?: string;
  readonly trace?: string;
  readonly metrics?: string;
  readonly logFormat: LogFormat;
}

export function coordinator(): Command {
  return subcommand('coordinator', 'own a run that workers of other machines join')
    .option('--config <file>', 'the run’s config in YAML; needed, but for --resume')
    .option('--listen <host:port>', 'where workers reach it (default: cluster.listen of the config)')
    .option('--out <dir>', 'the run directory (default: runs/DATE-NAME)')
    .option('--resume', wording.resume)
    .option('--reproducible', 'the same weights on every processor, to the last bit')
    .addOption(whole('--min-workers <n>', 'workers to wait for before the first step', 1, 100000))
    .option(
      '--insecure',
      'plain text instead of TLS also where other machines reach it: only on a network that you trust',
    )
    .addOption(
      duration(
        '--token-ttl <time>',
        'how long the join line can be used, such as 30m, 12h or 2d (default: always)',
      ),
    )
    .addOption(whole('--max-joins <n>', 'workers that may join with the join line (default: any)', 1, 100000))
    .option('--discover', 'let workers on the same network find the run, by multicast DNS: worker --discover')
    .option('--metrics <host:port>', 'serve /healthz, /readyz and /metrics (Prometheus) there, read only')
    .addOption(logFormatOption())
    .option('--find-lr', wording.findRate)
    .option('--plot <file>', wording.plot)
    .option('--trace <file>', wording.trace)
    .action(async (options: CoordinatorOptions) => {
      process.exitCode = await own(options);
    });
}

async function own(options: CoordinatorOptions): Promise<number> {
  if (!options.resume) required(options.config, '--config', 'the run’s config, a YAML file');
  const config = runConfigFrom(options);
  if (options.findLr) refuseBeside({ resume: options.resume, trace: options.trace });
  const trace = traceOption(options.trace);
  const plot = plotOption(options);
  const out = options.out ?? defaultRunDirectory('cluster');
  const need = await checkMemory(config, out, { workers: 0, threads: 0, backend: 'auto' });
  const display = openTeller(options.logFormat, 'coordinator');
  display.line(need);
  if (options.findLr) {
    const found = await findRate(config, display, (test) => serve(options, test));
    if (found === null) return exitStatus.interrupted;
    printRate(found, config, plot);
    return exitStatus.done;
  }
  const resume = options.resume ?? false;
  const summary = await serve(options, { config, out, display, resume, workersWait: true, ...trace });
  printSummary(summary, 'coordinator', config);
  return summary.interrupted ? exitStatus.interrupted : exitStatus.done;
}

/** Owns a run until it is over. */
async function serve(
  options: CoordinatorOptions,
  run: RangeTest & { readonly resume?: boolean; readonly workersWait?: boolean; readonly trace?: string },
): Promise<RunSummary> {
  const { minWorkers, tokenTtl, maxJoins } = options;
  const { config, display, resume = false, ...rest } = run;
  const running = await ownRun(
    'coordinator',
    {
      ...rest,
      config,
      resume,
      listen: options.listen ?? config.cluster.listen,
      insecure: options.insecure ?? false,
      ...(minWorkers === undefined ? {} : { minWorkers }),
      tokenLimits: { ttl: tokenTtl, joins: maxJoins },
      discover: options.discover ?? false,
      metrics: options.metrics,
      report: display.report,
    },
    display,
  );
  print(`manyhands worker --join ${shellWord(running.joinUrl)}`);
  return running.done.finally(() => {
    display.end();
    running.interrupt.dispose();
  });
}

const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 24 * 3600 };

/** An option that takes a time, which it gives in seconds. */
function duration(flags: string, description: string): Option {
  return new Option(flags, description).argParser((text: string) => {
    const [, number = '', unit = ''] = /^(\d{1,6}(?:\.\d{1,3})?)([smhd])$/.exec(text) ?? [];
    const seconds = Number(number) * (SECONDS[unit] ?? 0);
    if (seconds > 0) return seconds;
    throw new UserError(
      `${flags.split(' ')[0]} is ${JSON.stringify(text)}, but must be a time above 0 such as 90s, 30m, 1.5h or 2d.`,
    );
  });
}
