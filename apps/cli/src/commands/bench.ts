import { availableParallelism } from 'node:os';
import { type PresetName, presets, RunError } from '@manyhands/core/config';
import type { Command } from 'commander';
import { type BenchResult, bench as measure } from '../bench/bench.js';
import { count, percent, plural } from '../format.js';
import { choices, subcommand, whole } from '../options.js';
import { note, print, printJson } from '../output.js';
import { Waiting } from '../waiting.js';
import { wording } from './shared.js';

interface BenchOptions {
  readonly preset?: PresetName[];
  readonly threads?: number;
  readonly backend?: ('cpu' | 'gpujs')[];
  readonly json?: boolean;
}

export function bench(): Command {
  return subcommand('bench', 'how fast this machine trains and generates')
    .addOption(choices('--preset <name>', 'may be given several times; default nano', Object.keys(presets)))
    .addOption(whole('--threads <n>', 'threads that compute (default: one a core)', 1, 1024))
    .addOption(choices('--backend <name>', 'may be given several times; default all', ['cpu', 'gpujs']))
    .option('--json', wording.json)
    .action(async (options: BenchOptions) => {
      const threads = options.threads ?? availableParallelism();
      const results: BenchResult[] = [];
      for (const preset of options.preset ?? ['nano']) {
        for (const backend of options.backend ?? ['cpu', 'gpujs']) {
          const waiting = new Waiting(`measuring ${preset} on ${backend}`);
          try {
            const result = await measure(preset, backend, threads);
            results.push(result);
            if (!options.json) print(line(result));
          } catch (error) {
            // Asked for by name, a backend that is not there is a failure; otherwise it is only left out.
            if (options.backend !== undefined || !(error instanceof RunError)) throw error;
            note(`${backend}: ${error.message}`);
          } finally {
            waiting.end();
          }
        }
      }
      if (options.json) printJson({ node: process.versions.node, threads, results });
    });
}

function line(result: BenchResult): string {
  const { preset, backend, mode, threads, tokensPerSecond, gflops, peakGflops, mfu } = result;
  return [
    `${preset} on ${backend} (${mode}), ${plural(threads, 'thread')}:`,
    `${count(tokensPerSecond)} tokens/s,`,
    `${gflops.toFixed(1)} of ${peakGflops.toFixed(1)} GFLOP/s (MFU ${percent(mfu)}),`,
    `generates ${count(result.generateTokensPerSecond)} tokens/s`,
  ].join(' ');
}
