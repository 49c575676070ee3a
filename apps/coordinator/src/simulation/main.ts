import { parseArgs } from 'node:util';
import { UserError } from '@manyhands/core/config';
import { BUGS, type Bug } from './bugs.js';
import type { Request } from './scenario.js';
import { type Outcome, simulate } from './simulate.js';

/** Events of a failing seed that are shown. */
const SHOWN = 60;
const PROGRESS_MILLISECONDS = 5000;

const USAGE = `Runs the coordinator's state machine in a virtual cluster, a whole run a seed. Exits 1 at the first broken invariant.

  --seeds N     seeds to run (1000)
  --from N      the first of them (0)
  --seed N      one seed alone
  --verbose     with --seed: every event
  --workers N   so many workers instead of as many as each seed decides
  --bug NAME    plants a bug that is to be found: ${Object.keys(BUGS).join(', ')}`;

function count(name: string, text: string, least: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value >= least) return value;
  throw new UserError(`--${name} is ${text}, but must be an integer of at least ${least}.`);
}

function bugNamed(text: string): Bug {
  const bug = (Object.keys(BUGS) as Bug[]).find((name) => name === text);
  if (bug !== undefined) return bug;
  throw new UserError(`--bug is ${text}, but must be one of ${Object.keys(BUGS).join(', ')}.`);
}

function readArguments() {
  try {
    return parseArgs({
      options: {
        seeds: { type: 'string', default: '1000' },
        from: { type: 'string', default: '0' },
        seed: { type: 'string' },
        workers: { type: 'string' },
        bug: { type: 'string' },
        verbose: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    }).values;
  } catch (error) {
    throw new UserError(`${error instanceof Error ? error.message : String(error)} See --help.`);
  }
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Shows how a seed came to its violation, by running it again. */
function explain({ seed, mode, events, violation }: Outcome, how: Omit<Request, 'seed'>): void {
  const lines: string[] = [];
  const again = simulate({ seed, ...how }, (line) => lines.push(line));
  for (const line of lines.slice(-SHOWN)) print(line);
  print(`seed ${seed} (${mode}), event ${events}: ${violation}`);
  if (again.events !== events || again.violation !== violation) {
    print(`and it does not replay: the second time, event ${again.events}: ${again.violation}`);
  }
  const { workers, bug } = how;
  const crew = workers === undefined ? '' : ` --workers ${workers}`;
  print(`again: --seed ${seed}${crew}${bug === undefined ? '' : ` --bug ${bug}`} --verbose`);
}

function main(): number {
  const options = readArguments();
  if (options.help) {
    print(USAGE);
    return 0;
  }
  const how = {
    workers: options.workers === undefined ? undefined : count('workers', options.workers, 1),
    bug: options.bug === undefined ? undefined : bugNamed(options.bug),
  };
  const single = options.seed === undefined ? null : count('seed', options.seed, 0);
  const from = single ?? count('from', options.from, 0);
  const seeds = single === null ? count('seeds', options.seeds, 1) : 1;
  const began = performance.now();
  let told = began;
  let events = 0;
  let complete = 0;
  for (let seed = from; seed < from + seeds; seed++) {
    const outcome = simulate({ seed, ...how }, options.verbose && single !== null ? print : null);
    events += outcome.events;
    complete += outcome.complete ? 1 : 0;
    if (outcome.violation !== null) {
      explain(outcome, how);
      return 1;
    }
    if (performance.now() - told < PROGRESS_MILLISECONDS) continue;
    told = performance.now();
    process.stderr.write(`… seed ${seed}, ${events} events\n`);
  }
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  print(`${seeds} seeds, ${events} events, ${seconds} s: nothing wrong (${complete} runs were over)`);
  return 0;
}

try {
  process.exitCode = main();
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 2;
}
