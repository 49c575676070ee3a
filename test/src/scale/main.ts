/** What a step costs with so many workers that compute nothing, against one coordinator on this machine. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { tellUsage } from '../usage.js';
import { type Measurement, measure, type Setting } from './measure.js';

const USAGE = `What a step costs with workers that compute nothing, against one coordinator on this machine: a line for each count.

  --workers N,N…      so many workers (10,200)
  --micro-batches N   in a step, of one sequence each (400)
  --steps N           of which the first half is not counted: how many workers are to share a step is found there (40)
  --preset P          nano or small: the size of the weights (nano)
  --pace MS           that a micro-batch is to take (0)
  --megabits N        the line between the coordinator and all workers, each way (none; root on Linux)`;

const HEAD = [
  'workers',
  'share a step',
  's/step',
  'MB/step down',
  'MB/step up',
  'CPU s/step',
  'peak MB',
  'least served',
];

function whole(name: string, text: string, [least, most]: readonly [number, number]): number {
  const value = Number(text);
  if (text.trim() !== '' && Number.isInteger(value) && value >= least && value <= most) return value;
  throw new RangeError(
    `--${name} is ${JSON.stringify(text)}, but must be a whole number from ${least} to ${most}`,
  );
}

function readSettings(): Setting[] {
  tellUsage(USAGE);
  const { values } = parseArgs({
    options: {
      workers: { type: 'string', default: '10,200' },
      'micro-batches': { type: 'string', default: '400' },
      steps: { type: 'string', default: '40' },
      preset: { type: 'string', default: 'nano' },
      pace: { type: 'string', default: '0' },
      megabits: { type: 'string' },
    },
  });
  const { preset } = values;
  if (preset !== 'nano' && preset !== 'small') {
    throw new RangeError(`--preset is ${JSON.stringify(preset)}, but must be nano or small`);
  }
  const common = {
    microBatches: whole('micro-batches', values['micro-batches'], [1, 10_000]),
    steps: whole('steps', values.steps, [2, 10_000]),
    preset,
    pace: whole('pace', values.pace, [0, 60_000]),
    megabits: values.megabits === undefined ? null : whole('megabits', values.megabits, [1, 100_000]),
  } as const;
  return values.workers.split(',').map((text) => ({ ...common, workers: whole('workers', text, [1, 1000]) }));
}

function row({ workers, microBatches, steps }: Setting, result: Measurement): string[] {
  const half = Math.floor(steps / 2);
  const steady = result.bytes.slice(half);
  const crews = result.crews.slice(half).sort((a, b) => a - b);
  const mean = (of: 'received' | 'sent') =>
    steady.reduce((sum, step) => sum + step[of], 0) / steady.length / 1e6;
  const fair = (steps * microBatches) / workers;
  return [
    String(workers),
    String(crews[crews.length >> 1]),
    result.secondsPerStep.toFixed(3),
    mean('sent').toFixed(0),
    mean('received').toFixed(0),
    result.cpuSecondsPerStep.toFixed(3),
    (result.peakBytes / 1e6).toFixed(0),
    `${((100 * Math.min(...result.served)) / fair).toFixed(0)} % of a fair share`,
  ];
}

async function run(settings: readonly Setting[]): Promise<void> {
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
  const folder = mkdtempSync(join(tmpdir(), 'manyhands-scale-'));
  try {
    const { microBatches, preset, pace, megabits } = settings[0];
    const line = megabits === null ? 'the loopback interface' : `${megabits} Mbit/s each way`;
    console.log(`${preset}, ${microBatches} micro-batches a step, ${pace} ms each, over ${line}`);
    console.log(HEAD.join('  '));
    for (const [i, setting] of settings.entries()) {
      const cells = row(setting, await measure(setting, join(folder, String(i)), stop.signal));
      console.log(cells.map((cell, place) => cell.padStart(HEAD[place].length)).join('  '));
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}

try {
  await run(readSettings());
} catch (error) {
  const usage = error instanceof RangeError || error instanceof TypeError;
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = usage ? 2 : 1;
}
