import { availableParallelism } from 'node:os';
import { type PresetName, presets, RunError, UserError } from '@manyhands/core/config';
import type { Command } from 'commander';
import { bench as measure } from '../bench/bench.js';
import { compare } from '../bench/compare.js';
import { readResults } from '../bench/saved.js';
import { nameOf, tell, tellComparison } from '../bench/table.js';
import type { BenchCase, BenchEffort, BenchResult } from '../bench/types.js';
import { exitStatus } from '../failure.js';
import { choices, subcommand, wholes } from '../options.js';
import { note, print, printJson } from '../output.js';
import { Waiting } from '../waiting.js';
import { wording } from './shared.js';

interface BenchOptions {
  readonly preset?: PresetName[];
  readonly threads?: number[];
  readonly backend?: ('cpu' | 'gpujs')[];
  readonly reproducible?: boolean;
  readonly quick?: boolean;
  readonly compare?: string;
  readonly json?: boolean;
}

const THOROUGH: BenchEffort = { rounds: 7, seconds: 0.7 };
const QUICK: BenchEffort = { rounds: 3, seconds: 0.2 };

export function bench(): Command {
  return subcommand(
    'bench',
    'how fast this machine trains and generates; each figure is a median ± its spread',
  )
    .addOption(choices('--preset <name>', 'may be given several times; default nano', Object.keys(presets)))
    .addOption(
      wholes(
        '--threads <n>',
        'a number, several as 1,2, or given several times (default: one a core)',
        1,
        1024,
      ),
    )
    .addOption(choices('--backend <name>', 'may be given several times; default all', ['cpu', 'gpujs']))
    .option('--reproducible', 'only what gives the same weights on every processor')
    .option('--quick', 'a few seconds, on the processor only unless --backend says otherwise')
    .option(
      '--compare <file>',
      'set beside what a former `bench --json` wrote; status 1 where a figure is worse by more than its spread and a tenth',
    )
    .option('--json', wording.json)
    .action(async (options: BenchOptions) => {
      process.exitCode = await runBench(options);
    });
}

async function runBench(options: BenchOptions): Promise<number> {
  const before = options.compare === undefined ? null : readResults(options.compare);
  const results = await measureAll(options);
  const comparison = before === null ? null : compare(before, results);
  if (options.json) {
    printJson({ node: process.versions.node, results, ...(comparison && { comparison }) });
  }
  if (comparison === null) return exitStatus.done;
  if (comparison.length === 0) {
    throw new UserError(
      `--compare ${options.compare} has nothing of what was measured: ${results.map(nameOf).join('; ')}.`,
    );
  }
  if (!options.json) for (const one of comparison) print(tellComparison(one));
  return comparison.some(({ worse }) => worse) ? exitStatus.failed : exitStatus.done;
}

async function measureAll(options: BenchOptions): Promise<BenchResult[]> {
  const results: BenchResult[] = [];
  for (const one of cases(options)) {
    const waiting = new Waiting(`measuring ${nameOf(one)}`);
    try {
      const result = await measure(one, options.quick ? QUICK : THOROUGH);
      results.push(result);
      if (!options.json) print(tell(result));
    } catch (error) {
      // Asked for by name, a backend that is not there is a failure; otherwise it is only left out.
      if (options.backend !== undefined || !(error instanceof RunError)) throw error;
      note(`${nameOf(one)}: ${error.message}`);
    } finally {
      waiting.end();
    }
  }
  return results;
}

function cases({ preset, backend, threads, reproducible = false, quick }: BenchOptions): BenchCase[] {
  const backends = backend ?? (quick || reproducible ? (['cpu'] as const) : (['cpu', 'gpujs'] as const));
  return (preset ?? ['nano']).flatMap((name) =>
    backends.flatMap((what) =>
      (threads ?? [availableParallelism()]).map((count) => ({
        preset: name,
        backend: what,
        threads: count,
        reproducible,
      })),
    ),
  );
}
