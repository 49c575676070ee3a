/** Chaos until it is enough; exit 1 at a defect. */
import { parseArgs } from 'node:util';
import { tellUsage } from '../usage.js';
import { type ChaosResult, chaos, Defect } from './chaos.js';

const USAGE = `Trains with real processes that are killed, stopped and cut off, and compares with a calm run. Exits 1 where they differ.

  --minutes M   for so long (10)
  --faults N    until so many faults, instead
  --seed N      of the faults (random)
  --network     each process in a network namespace, with cut and narrow lines (root on Linux)`;

const DEFAULT_MINUTES = 10;
const STEPS = 300;

function positive(name: string, text: string | undefined): number | null {
  if (text === undefined) return null;
  const value = Number(text);
  if (value > 0 && Number.isFinite(value)) return value;
  throw new RangeError(`--${name} is ${JSON.stringify(text)}, but must be a number above 0`);
}

function summary(result: ChaosResult): string {
  const { faults, runs, steps, seconds, weightsSha256, recomputed, unheard } = result;
  const total = [...faults.values()].reduce((sum, count) => sum + count, 0);
  const kinds = [...faults].sort(([, a], [, b]) => b - a).map(([kind, count]) => `${count} ${kind}`);
  return [
    `${total} faults (${kinds.join(', ')})`,
    `${runs} runs, ${steps} steps, ${seconds.toFixed(0)} s`,
    `at most ${recomputed} steps computed again after a death, ${unheard} workers away at the end of a run`,
    `every run equals the calm one: weightsSha256 ${weightsSha256}`,
  ].join('; ');
}

async function run(): Promise<number> {
  tellUsage(USAGE);
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string' },
      faults: { type: 'string' },
      seed: { type: 'string' },
      network: { type: 'boolean', default: false },
    },
  });
  const faults = positive('faults', values.faults);
  const minutes = positive('minutes', values.minutes) ?? (faults === null ? DEFAULT_MINUTES : null);
  const seed = positive('seed', values.seed) ?? 1 + Math.floor(Math.random() * 1e6);
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => stop.abort(new Error(`stopped by ${signal}`)));
  }
  console.log(`chaos with seed ${seed}`);
  const result = await chaos({
    seed,
    steps: STEPS,
    network: values.network,
    enough: (count, seconds) => count >= (faults ?? Infinity) || seconds >= 60 * (minutes ?? Infinity),
    log: (line) => console.log(line),
    signal: stop.signal,
  });
  console.log(summary(result));
  return 0;
}

try {
  process.exitCode = await run();
} catch (error) {
  if (!(error instanceof Defect || error instanceof RangeError || error instanceof TypeError)) throw error;
  console.log(`chaos failed: ${error.message}`);
  process.exitCode = error instanceof Defect ? 1 : 2;
}
