import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Range, splitRange, TreeSum } from '@manyhands/core/reduce';
import fc from 'fast-check';
import { countsIn, partialSum, pieceSize } from './arithmetic.js';
import { BUGS, type Bug } from './bugs.js';
import { SimulatedFolder } from './disk.js';
import { simulate } from './simulate.js';
import { Dice, Process, Timeline } from './timeline.js';

/** Runs of at least so many events. */
const RUNS = 1000;
const LEAST_EVENTS = 200;
/** A planted bug is found by then. */
const SEEDS_PER_BUG = 3000;

/** What is said where a planted bug comes to light. */
const SENTENCES: Readonly<Record<Bug, RegExp>> = {
  'counted-twice': /^micro-batch \d+ of (train|evaluate) \d+ is counted twice$/,
  'doubled-answer': /^micro-batch \d+ is 2 times in piece \d of the sum of step \d+$/,
  'arrival-order': /^(the sum of step \d+ is .*not along the batch's tree|micro-batch \d+ is \d times .*)$/,
  'half-sum': /^the coordinator fails: a step needs the sum of all gradients$/,
  'stale-weights': /^(the sum of step \d+ is of other weights|the evaluation at step \d+ has another loss)/,
  'forgotten-range': /^micro-batch \d+ of (train|evaluate) \d+ is forgotten$/,
  'deaf-to-death': /is silent for \d+ ms longer than the detection time$/,
  'stepped-twice': /^the machine is at step 2 and the weights at 1$/,
  'older-checkpoint': /^the run goes on from step \d+ though step \d+ was saved$/,
  'moving-weights': /^the checkpoint of step \d+ was saved, but is not what the calm run had then$/,
  'rename-before-flush':
    /^(the final weights are not those|the checkpoint of step \d+ has its name but is not)/,
  'forgotten-flush': /^(the final weights are not those|the checkpoint of step \d+ has its name but is not)/,
  'forgotten-directory-flush': /^(the run goes on from step \d+ though|the run is over, but the newest)/,
  'unflushed-name': /^(the run goes on from step \d+ though|the run is over, but the newest)/,
  'damaged-counts': /^the run (ends at step \d+, which is not on the disk|goes on from step \d+ though)/,
  'believed-liar': /^(the sum of step \d+ is of other weights|micro-batch \d+ is (NaN|\d) times)/,
  'forgiven-liar': /^w\d-\d+ is given work, but w\d is quarantined$/,
  'kept-lie': /^(the sum of step \d+ is of other weights|the run is not over)/,
  'endless-memory': /^\d+ uploads are remembered of \d+ assignments$/,
};

test(`nothing wrong comes of whatever happens in ${RUNS} runs, and each is over once faults stop`, () => {
  let long = 0;
  for (let seed = 0; long < RUNS; seed++) {
    const { violation, events, mode, complete } = simulate({ seed });
    assert.equal(violation, null, `seed ${seed}, event ${events}: ${violation}`);
    if (mode === 'liveness') assert.ok(complete, `seed ${seed}`);
    if (events >= LEAST_EVENTS) long += 1;
  }
});

for (const [bug, sentence] of Object.entries(SENTENCES) as [Bug, RegExp][]) {
  test(`a planted bug is found: ${BUGS[bug]}`, () => {
    for (let seed = 0; seed < SEEDS_PER_BUG; seed++) {
      const { violation } = simulate({ seed, bug });
      if (violation === null) continue;
      assert.match(violation, sentence, `seed ${seed}`);
      return;
    }
    assert.fail(`${SEEDS_PER_BUG} seeds did not find it`);
  });
}

test('a seed replays event by event, to the same broken invariant', () => {
  const traceOf = (seed: number) => {
    const lines: string[] = [];
    const outcome = simulate({ seed, bug: 'forgotten-flush' }, (line) => lines.push(line));
    return { outcome, lines };
  };
  const broken: string[] = [];
  for (let seed = 0; seed < 10; seed++) {
    const { outcome, lines } = traceOf(seed);
    assert.deepEqual(traceOf(seed), { outcome, lines });
    assert.deepEqual(simulate({ seed, bug: 'forgotten-flush' }), outcome, 'watching changes nothing');
    assert.ok(lines.length > 20);
    if (outcome.violation !== null) broken.push(outcome.violation);
  }
  assert.ok(broken.length > 5);
  assert.notDeepEqual(traceOf(0).lines, traceOf(1).lines);
});

test('everything that may happen does, somewhere', () => {
  const wanted = new Set([
    'connection of',
    'hears nothing',
    'is killed',
    'vanishes',
    'hangs for',
    'is asked to leave',
    'never comes back',
    'loses power',
    'interrupted',
    'clock jumps by -',
    'the disk is full',
    'is harmed: bit',
    'is harmed: deleted',
    'faults are over',
    '→ dismiss',
    '→ refuse',
    '→ cancel',
    '→ clear',
    '→ quarantine',
    'note disputed',
    'note unverified',
    'note suspicious',
    'lost',
    'out of memory',
    'where 1 was expected',
    'did not come whole',
    'rename step-',
    'disk: rename best',
    'steps are done',
    'is over',
  ]);
  for (let seed = 0; seed < 400 && wanted.size > 0; seed++) {
    simulate({ seed }, (line) => {
      for (const what of wanted) if (line.includes(what)) wanted.delete(what);
    });
  }
  assert.deepEqual([...wanted], []);
});

test('a thousand workers do their steps, and faults among them change nothing', () => {
  const { violation, complete, events } = simulate({ seed: 1, workers: 1000, mode: 'liveness' });
  assert.equal(violation, null);
  assert.ok(complete && events > 10_000);
});

test('a simulated gradient is the sum along the batch’s tree, and counts its micro-batches', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 40 }), fc.nat(), fc.nat({ max: 9 }), (total, weights, cuts) => {
      const whole: Range = { first: 0, count: total };
      const tree = new TreeSum(total, pieceSize(total));
      for (const part of splitRange(whole, total, cuts + 1).reverse()) {
        tree.add(part, partialSum(weights, 3, 0, part, total));
      }
      const sum = partialSum(weights, 3, 0, whole, total);
      assert.deepEqual(tree.result(), sum);
      assert.deepEqual(countsIn(sum, total), Array(total).fill(1));
    }),
  );
});

test('a disk keeps what was flushed, and of the rest the first part or none', () => {
  fc.assert(
    fc.property(fc.nat(), (seed) => {
      const root = new SimulatedFolder();
      const file = root.create('kept');
      file.blocks.push(1, 2);
      file.sync();
      root.sync();
      file.blocks.push(3, 4);
      root.create('torn').blocks.push(5, 6);
      root.rename('torn', 'renamed');
      root.losePower(new Dice(seed));
      assert.deepEqual(root.file('kept')?.blocks, [1, 2, 3, 4].slice(0, root.file('kept')?.blocks.length));
      assert.ok((root.file('kept')?.blocks.length ?? 0) >= 2);
      const rest = root.list().filter((name) => name !== 'kept');
      assert.ok(rest.length === 0 || rest.join() === 'torn' || rest.join() === 'renamed');
      const blocks = rest.length === 0 ? [] : root.file(rest[0])?.blocks;
      assert.deepEqual(blocks, [5, 6].slice(0, blocks?.length));
      const before = root.list();
      root.losePower(new Dice(seed + 1));
      assert.deepEqual(root.list(), before, 'what was found after a power loss outlasts the next');
    }),
  );
});

test('time goes on in order; the dead do nothing more, and what a hung process missed comes after', () => {
  const timeline = new Timeline();
  const process = new Process(timeline);
  const seen: string[] = [];
  process.start();
  for (const at of [30, 10, 20]) process.after(at, () => seen.push(`${at} at ${timeline.now}`));
  timeline.at(15, () => process.hang(10));
  timeline.at(40, () => process.die());
  process.after(50, () => seen.push('dead'));
  timeline.at(45, () => process.start());
  while (timeline.next());
  assert.deepEqual(seen, ['10 at 10', '20 at 25', '30 at 30']);
});

const program = fileURLToPath(new URL('./main.js', import.meta.url));
const run = (...options: string[]) =>
  spawnSync(process.execPath, [program, ...options], { encoding: 'utf8' });

test('the program tells seeds, events and seconds in a line', () => {
  const { status, stdout } = run('--seeds', '5', '--from', '7', '--workers', '2');
  assert.equal(status, 0);
  assert.match(stdout, /^5 seeds, \d+ events, \d+\.\d s: nothing wrong \(\d runs were over\)\n$/);
});

test('the program ends with status 1, the last events, the seed and the sentence where an invariant breaks', () => {
  const { status, stdout } = run('--seed', '0', '--bug', 'stepped-twice');
  assert.equal(status, 1);
  const lines = stdout.trimEnd().split('\n');
  assert.ok(lines.length > 10);
  assert.match(
    lines.at(-2) ?? '',
    /^seed 0 \(safety\), event \d+: the machine is at step 2 and the weights at 1$/,
  );
  assert.equal(lines.at(-1), 'again: --seed 0 --bug stepped-twice --verbose');
});

test('the program refuses options that it cannot read, with a sentence', () => {
  for (const [options, sentence] of [
    [['--seeds', '0'], '--seeds is 0, but must be an integer of at least 1.'],
    [['--seed', '1x'], '--seed is 1x, but must be an integer of at least 0.'],
    [['--seed=1.5'], '--seed is 1.5, but must be an integer of at least 0.'],
    [['--bug', 'x'], /^--bug is x, but must be one of counted-twice, /],
    [['--what'], /--what.* See --help\.$/],
  ] as const) {
    const { status, stdout, stderr } = run(...options);
    assert.equal(status, 2);
    assert.equal(stdout, '');
    if (typeof sentence === 'string') assert.equal(stderr.trimEnd(), sentence);
    else assert.match(stderr.trimEnd(), sentence);
  }
});
