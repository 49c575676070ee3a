import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decide } from './machine.js';
import { type Command, type Event, initialState, type Plan, type State } from './state.js';
import { waitingFor } from './words.js';

const plan: Plan = {
  steps: 3,
  microBatches: 6,
  evaluationBatches: 0,
  evalEvery: 0,
  checkpointEvery: 0,
  minWorkers: 1,
  maxWorkers: 8,
  lostAfter: 1000,
  maxTime: null,
  verify: 0,
  seed: 1,
};

const anyone = { identity: null, machine: 'm' };

/** Drives the machine and answers what a faithful shell would: steps, evaluations and checkpoints succeed at once. */
class Driver {
  state: State;
  now = 0;
  readonly log: Command[] = [];
  readonly open = new Map<number, Extract<Command, { do: 'assign' }>>();
  /** Micro-batches accepted in the job under way; each must be there once when it completes. */
  accepted: number[] = [];

  /** @param slowSaves the test itself says when a checkpoint is written */
  constructor(
    changes: Partial<Plan> = {},
    step = 0,
    private readonly options: { readonly slowSaves: boolean } = { slowSaves: false },
  ) {
    this.state = initialState({ ...plan, ...changes }, { step, evaluatedAt: step === 0 ? -1 : step }, 0);
  }

  send(event: Event): Command[] {
    const { state, commands } = decide(this.state, event, this.now);
    this.state = state;
    this.log.push(...commands);
    for (const command of commands) this.carryOut(command);
    return [...commands];
  }

  /** Every open assignment of the given workers is answered, until nothing is left to answer. */
  work(workers: readonly string[] = this.state.members.map((member) => member.id)): void {
    for (let next = this.next(workers); next !== undefined; next = this.next(workers)) {
      this.open.delete(next.assignment.id);
      this.send(answer(next));
    }
  }

  private next(workers: readonly string[]) {
    return [...this.open.values()].find(({ assignment }) => workers.includes(assignment.worker));
  }

  private carryOut(command: Command): void {
    switch (command.do) {
      case 'assign':
        this.open.set(command.assignment.id, command);
        break;
      case 'accept': {
        const { first, count } = command.assignment.range;
        for (let i = first; i < first + count; i++) this.accepted.push(i);
        break;
      }
      case 'clear':
        this.open.clear();
        this.accepted = [];
        break;
      case 'step':
      case 'conclude': {
        const total =
          command.do === 'step' ? this.state.plan.microBatches : this.state.plan.evaluationBatches;
        this.accepted.sort((a, b) => a - b);
        assert.deepEqual(this.accepted, [...Array(total).keys()], 'every micro-batch counts exactly once');
        this.accepted = [];
        this.send(command.do === 'step' ? { kind: 'stepped' } : { kind: 'evaluated', improved: true });
        break;
      }
      case 'save':
        if (!this.options.slowSaves) this.send({ kind: 'saved' });
        break;
      default:
        break;
    }
  }
}

const answer = (
  { assignment }: { assignment: { id: number; worker: string; range: { count: number } } },
  computed = 0,
): Event => ({
  kind: 'answered',
  worker: assignment.worker,
  assignment: assignment.id,
  count: assignment.range.count,
  computed,
  suspicion: null,
  proof: null,
});

const dos = (driver: Driver) =>
  driver.log
    .filter(({ do: what }) => what !== 'assign' && what !== 'accept' && what !== 'note')
    .map(({ do: what }) => what);

test('a run steps, saves its last step and finishes', () => {
  const driver = new Driver();
  driver.send({ kind: 'joined', worker: 'a', threads: 2, ...anyone });
  driver.work();
  assert.deepEqual(dos(driver), ['step', 'step', 'step', 'save', 'finish']);
  assert.equal(driver.state.step, 3);
});

test('evaluations and checkpoints come when they are due, the evaluation first, and at the end', () => {
  const driver = new Driver({ steps: 4, evaluationBatches: 3, evalEvery: 2, checkpointEvery: 3 });
  driver.send({ kind: 'joined', worker: 'a', threads: 1, ...anyone });
  driver.work();
  // Step 0 is evaluated, but nothing was trained that could be saved.
  assert.deepEqual(dos(driver), [
    'conclude',
    'step',
    'step',
    'conclude',
    'save',
    'step',
    'save',
    'step',
    'conclude',
    'save',
    'finish',
  ]);
});

test('an evaluation that finds the run converged is its last: saved as the best, then the end', () => {
  const driver = new Driver({ steps: 9, evaluationBatches: 3, evalEvery: 2 });
  driver.send({ kind: 'joined', worker: 'a', threads: 1, ...anyone });
  driver.work();
  const evaluated = driver.log.findIndex(({ do: what }) => what === 'conclude');
  assert.ok(evaluated >= 0);
  const before = decide(
    { ...driver.state, phase: { name: 'concluding' }, step: 4, savedAt: 2, evaluatedAt: 2 },
    { kind: 'evaluated', improved: true, converged: 'enough' },
    0,
  );
  assert.deepEqual(
    before.commands.map(({ do: what }) => what),
    ['save'],
  );
  const after = decide(before.state, { kind: 'saved' }, 0);
  assert.deepEqual(after.commands, [{ do: 'finish', reason: 'enough', interrupted: false }]);
});

test('a checkpoint is written while the next steps are computed, one at a time, and the last is waited for', () => {
  const driver = new Driver({ steps: 4, checkpointEvery: 1 }, 0, { slowSaves: true });
  driver.send({ kind: 'joined', worker: 'a', threads: 1, ...anyone });
  driver.work();
  // The second step is done beside the first save; the second save waits for the first, and the third step for it.
  assert.deepEqual(dos(driver), ['step', 'save', 'step']);
  assert.equal(waitingFor(driver.state), 'the checkpoint of step 1');
  driver.send({ kind: 'saved' });
  driver.work();
  assert.deepEqual(dos(driver).slice(3), ['save', 'step']);
  driver.send({ kind: 'saved' });
  driver.send({ kind: 'stop', reason: 'interrupted', interrupted: true });
  driver.work();
  assert.deepEqual(dos(driver).slice(5), ['save', 'step']);
  driver.send({ kind: 'saved' });
  assert.deepEqual(dos(driver).slice(7), ['save']);
  driver.send({ kind: 'saved' });
  assert.equal(dos(driver).at(-1), 'finish');
});

test('work is shared by threads, as whole nodes of the tree', () => {
  const driver = new Driver({ microBatches: 12 });
  driver.send({ kind: 'joined', worker: 'a', threads: 1, ...anyone });
  driver.work(['a']);
  const second = new Driver({ microBatches: 12, minWorkers: 2 });
  second.send({ kind: 'joined', worker: 'a', threads: 1, ...anyone });
  const commands = second.send({ kind: 'joined', worker: 'b', threads: 3, ...anyone });
  const share = (worker: string) =>
    commands.flatMap((command) =>
      command.do === 'assign' && command.assignment.worker === worker ? [command.assignment.range] : [],
    );
  assert.deepEqual(share('a'), [
    { first: 0, count: 2 },
    { first: 2, count: 1 },
  ]);
  assert.deepEqual(share('b'), [
    { first: 3, count: 1 },
    { first: 4, count: 4 },
    { first: 8, count: 4 },
  ]);
});

test('an evaluation is handed out piece by piece, so that a late worker takes its part', () => {
  const driver = new Driver({ evaluationBatches: 40, evalEvery: 1 });
  driver.send({ kind: 'joined', worker: 'a', threads: 1, ...anyone });
  const held = (worker: string) =>
    [...driver.open.values()].filter(({ assignment }) => assignment.worker === worker).length;
  assert.equal(held('a'), 2);
  driver.send({ kind: 'joined', worker: 'b', threads: 1, ...anyone });
  assert.deepEqual([held('a'), held('b')], [2, 2]);
  driver.work();
  assert.equal(driver.state.phase.name, 'finished');
});

test('a lost worker’s ranges go to the others and a late answer of its own is dropped', () => {
  const driver = new Driver({ minWorkers: 2 });
  driver.send({ kind: 'joined', worker: 'a', threads: 1, ...anyone });
  driver.send({ kind: 'joined', worker: 'b', threads: 1, ...anyone });
  const late = [...driver.open.values()].filter(({ assignment }) => assignment.worker === 'b');
  driver.now = 1500;
  driver.send({ kind: 'heard', worker: 'a' });
  const commands = driver.send({ kind: 'tick' });
  assert.ok(commands.some((command) => command.do === 'dismiss' && command.worker === 'b'));
  for (const one of late) assert.deepEqual(driver.send(answer(one)), []);
  assert.match(waitingFor(driver.state) ?? '', /of 6 micro-batches of step 1 from a/);
});

test('with no worker left the run waits, says so, and goes on with the next that joins', () => {
  const driver = new Driver();
  driver.send({ kind: 'joined', worker: 'a', threads: 1, ...anyone });
  driver.send({ kind: 'left', worker: 'a', reason: 'gone' });
  assert.equal(waitingFor(driver.state), 'a worker to go on with step 1');
  driver.send({ kind: 'joined', worker: 'b', threads: 1, ...anyone });
  driver.work();
  assert.equal(driver.state.phase.name, 'finished');
});

test('an interrupted run finishes its step, saves and ends without an evaluation', () => {
  const driver = new Driver({ steps: 100, evaluationBatches: 2, evalEvery: 50 });
  driver.send({ kind: 'joined', worker: 'a', threads: 1, ...anyone });
  driver.send({ kind: 'stop', reason: 'interrupted', interrupted: true });
  driver.work();
  const last = driver.log.at(-1);
  assert.deepEqual(last, { do: 'finish', reason: 'interrupted', interrupted: true });
  assert.equal(driver.state.savedAt, driver.state.step);
});

test('stopping while nobody is there saves what was done', () => {
  const driver = new Driver({ steps: 100 });
  driver.send({ kind: 'joined', worker: 'a', threads: 1, ...anyone });
  const first = [...driver.open.values()];
  for (const one of first) driver.send(answer(one));
  driver.send({ kind: 'left', worker: 'a', reason: 'gone' });
  driver.send({ kind: 'stop', reason: 'interrupted', interrupted: true });
  assert.deepEqual(dos(driver), ['step', 'save', 'finish']);
});

test('a run ends itself when its time is over', () => {
  const driver = new Driver({ steps: 100, maxTime: 5000 });
  driver.send({ kind: 'joined', worker: 'a', threads: 1, ...anyone });
  driver.now = 5000;
  driver.send({ kind: 'heard', worker: 'a' });
  driver.send({ kind: 'tick' });
  driver.work();
  const last = driver.log.at(-1);
  assert.ok(last?.do === 'finish' && !last.interrupted && /maxTime of 5 s/.test(last.reason));
});

test('a step that fails everywhere ends the run with the reason instead of going round for ever', () => {
  const driver = new Driver();
  driver.send({ kind: 'joined', worker: 'a', threads: 1, ...anyone });
  for (let tries = 0; tries < 100 && driver.state.phase.name !== 'finished'; tries++) {
    const [next] = driver.open.values();
    driver.open.delete(next.assignment.id);
    driver.send({ kind: 'failed', worker: 'a', assignment: next.assignment.id, reason: 'out of memory' });
  }
  const last = driver.log.at(-1);
  assert.ok(last?.do === 'abort' && last.reason.includes('out of memory'));
});

test('more workers than the run takes are refused', () => {
  const driver = new Driver({ maxWorkers: 1 });
  driver.send({ kind: 'joined', worker: 'a', threads: 1, ...anyone });
  const [refusal] = driver.send({ kind: 'joined', worker: 'b', threads: 1, ...anyone });
  assert.ok(refusal.do === 'refuse' && refusal.reason.includes('maxWorkers'));
});

test('whatever happens, every micro-batch counts once, steps only grow, and one faithful worker ends the run', () => {
  const name = fc.constantFrom('a', 'b', 'c');
  const event = fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant('joined' as const),
        worker: name,
        threads: fc.integer({ min: 1, max: 4 }),
        identity: fc.constant(null),
        machine: fc.constant('m'),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ kind: fc.constant('left' as const), worker: name, reason: fc.constant('x') }),
    },
    {
      weight: 8,
      arbitrary: fc.record({
        kind: fc.constant('answered' as const),
        worker: name,
        assignment: fc.integer({ min: 0, max: 60 }),
        count: fc.integer({ min: 1, max: 4 }),
        computed: fc.constantFrom(0, 10, -1, Number.NaN, Number.POSITIVE_INFINITY),
        suspicion: fc.constantFrom(null, 'nonsense'),
        proof: fc.constant(null),
      }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('heard' as const), worker: name }) },
    { weight: 1, arbitrary: fc.constant({ kind: 'tick' as const }) },
  );
  fc.assert(
    fc.property(
      fc.array(fc.tuple(event, fc.integer({ min: 0, max: 700 })), { maxLength: 120 }),
      fc.integer({ min: 1, max: 13 }),
      (events, microBatches) => {
        const driver = new Driver({
          steps: 4,
          microBatches,
          evaluationBatches: 2,
          evalEvery: 2,
          checkpointEvery: 1,
        });
        let before = 0;
        for (const [one, pause] of events) {
          driver.now += pause;
          driver.send(one);
          assert.ok(driver.state.step >= before);
          before = driver.state.step;
          const present = new Set(driver.state.members.map((member) => member.id));
          if (driver.state.phase.name === 'computing') {
            const { job } = driver.state.phase;
            const assigned = new Map(job.assigned.map(({ range }) => [range.first, range]));
            const held = [...job.pending, ...assigned.values()];
            assert.equal(
              held.reduce((sum, range) => sum + range.count, job.done),
              job.total,
            );
            for (const { worker } of job.assigned)
              assert.ok(present.has(worker), 'no range is held by the absent');
          }
        }
        for (const member of driver.state.members)
          driver.send({ kind: 'left', worker: member.id, reason: 'x' });
        driver.send({ kind: 'joined', worker: 'faithful', threads: 1, ...anyone });
        driver.work(['faithful']);
        assert.equal(driver.state.phase.name, 'finished');
        assert.equal(driver.state.step, 4);
      },
    ),
  );
});

/**
 * Answers what is open in the order of its end, each worker computing with its own speed, until `steps` are done.
 * @param cost milliseconds that each range which is open at the start of a step costs all answers of that step
 */
function race(driver: Driver, speeds: Readonly<Record<string, number>>, steps: number, cost = 0) {
  let sending = cost * driver.open.size;
  const durations: number[] = [];
  const clock = new Map<string, number>();
  let began = driver.now;
  while (driver.state.step < steps && driver.state.phase.name === 'computing') {
    const before = driver.state.step;
    const ends = [...driver.open.values()].map((command) => {
      const { worker, range, since } = command.assignment;
      return { command, end: Math.max(since, clock.get(worker) ?? 0) + range.count / speeds[worker] };
    });
    // A worker computes in the order in which it was given work: its first end is its next.
    const next = ends.reduce((first, other) => (other.end < first.end ? other : first));
    driver.now = Math.max(driver.now, next.end + sending);
    const { worker, range, id } = next.command.assignment;
    clock.set(worker, driver.now);
    driver.open.delete(id);
    driver.send(answer(next.command, range.count / speeds[worker]));
    if (driver.state.step === before) continue;
    driver.open.clear();
    for (const command of driver.log.slice(driver.log.findLastIndex(({ do: what }) => what === 'step')))
      if (command.do === 'assign') driver.open.set(command.assignment.id, command);
    sending = cost * driver.open.size;
    durations.push(driver.now - began);
    began = driver.now;
  }
  return durations;
}

test('ranges follow measured speed: after a few steps both of two unequal workers are busy to the end', () => {
  const driver = new Driver({ steps: 30, microBatches: 64, minWorkers: 2 });
  driver.send({ kind: 'joined', worker: 'laptop', threads: 2, ...anyone });
  driver.send({ kind: 'joined', worker: 'server', threads: 2, ...anyone });
  const durations = race(driver, { laptop: 0.01, server: 0.05 }, 30);
  const ideal = 64 / 0.06;
  assert.ok(durations[0] > 2 * ideal, 'the first step does not know');
  for (const duration of durations.slice(5)) assert.ok(duration <= 1.1 * ideal, `${durations}`);
});

test('a worker at a tenth of the speed costs the others next to nothing', () => {
  const alone = new Driver({ steps: 30, microBatches: 32, minWorkers: 2 });
  alone.send({ kind: 'joined', worker: 'a', threads: 1, ...anyone });
  alone.send({ kind: 'joined', worker: 'b', threads: 1, ...anyone });
  const [last] = race(alone, { a: 0.01, b: 0.01 }, 30).slice(-1);
  const mixed = new Driver({ steps: 30, microBatches: 32, minWorkers: 3 });
  for (const worker of ['a', 'b', 'slow']) mixed.send({ kind: 'joined', worker, threads: 1, ...anyone });
  const durations = race(mixed, { a: 0.01, b: 0.01, slow: 0.001 }, 30);
  for (const duration of durations.slice(5))
    assert.ok(duration <= 1.15 * last, `${durations} against ${last}`);
});

test('workers that would make a step longer take turns, which is told once; all take part where it makes it shorter', () => {
  const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
  const speeds = Object.fromEntries(names.map((name) => [name, 0.1]));
  /** Steps and who took part in the last 40 of them. */
  const run = (cost: number) => {
    const driver = new Driver({ steps: 60, microBatches: 32, minWorkers: 8 });
    for (const worker of names) driver.send({ kind: 'joined', worker, threads: 1, ...anyone });
    const durations = race(driver, speeds, 60, cost);
    const given = driver.log.flatMap((one) => (one.do === 'assign' && one.step >= 20 ? [one] : []));
    const told = driver.log.flatMap((one) => (one.do === 'note' && one.event === 'turns' ? one.reason : []));
    return { durations, given, told };
  };
  const wide = run(1);
  assert.ok(wide.durations.slice(2).every((duration) => duration === 40 + 8));
  assert.equal(wide.given.length, 8 * 40);
  assert.deepEqual(wide.told, []);
  const narrow = run(100); // one alone: 320 + 100 ms, two: 160 + 200, four: 80 + 400
  assert.equal(narrow.durations[0], 40 + 800);
  assert.ok(narrow.durations.slice(8).every((duration) => duration === 160 + 200));
  assert.deepEqual(
    names.map((name) => narrow.given.filter(({ assignment }) => assignment.worker === name).length),
    names.map(() => 10),
  );
  assert.deepEqual(narrow.told, [
    'a step is shared among 2 of the 8 workers, by turns: among more it would take longer',
  ]);
});

test('a worker that is overtaken whenever it is tried is tried ever more rarely, and often again once it is quick', () => {
  const driver = new Driver({ steps: 600, microBatches: 24, minWorkers: 3 });
  for (const worker of ['a', 'b', 'slow']) driver.send({ kind: 'joined', worker, threads: 1, ...anyone });
  const tries: number[] = [];
  /** A slow one that never has an answer before an idle one has. */
  const steps = (until: number, slow: number) => {
    while (driver.state.step < until) {
      race(driver, { a: 0.01, b: 0.01, slow }, driver.state.step + 1);
      if ([...driver.open.values()].some(({ assignment }) => assignment.worker === 'slow')) {
        tries.push(driver.state.step);
      }
    }
  };
  steps(300, 1e-4);
  const early = tries.filter((step) => step < 100).length;
  const late = tries.filter((step) => step >= 200).length;
  assert.ok(early >= 4 && late >= 1 && late <= 3, `tried in steps ${tries}`);
  tries.length = 0;
  steps(600, 0.01);
  assert.ok(tries.length > 150, `${tries.length} of 300 steps`);
});

test('the range of one that is late is given to an idle one too; the first answer counts and the other is told', () => {
  const driver = new Driver({ steps: 3, microBatches: 4, minWorkers: 2 });
  driver.send({ kind: 'joined', worker: 'a', threads: 1, ...anyone });
  driver.send({ kind: 'joined', worker: 'b', threads: 1, ...anyone });
  driver.now = 100;
  for (const one of [...driver.open.values()]) driver.send(answer(one)); // the first step
  const [first, second] = driver.log.filter((command) => command.do === 'assign').slice(2, 4);
  assert.ok(first.do === 'assign' && second.do === 'assign');
  assert.deepEqual([first.assignment.worker, second.assignment.worker], ['a', 'b']);
  driver.now = first.assignment.since + 100;
  assert.deepEqual(
    driver.send(answer(first)).map(({ do: what }) => what),
    ['accept'],
  );
  driver.now += 99; // b is late, but not by as long as it would take a
  driver.send({ kind: 'heard', worker: 'b' });
  driver.send({ kind: 'heard', worker: 'a' });
  assert.deepEqual(driver.send({ kind: 'tick' }), []);
  driver.now += 2;
  const [note, again] = driver.send({ kind: 'tick' });
  assert.ok(
    note.do === 'note' &&
      note.worker === 'b' &&
      /^a computes 2 micro-batches of step 2 too$/.test(note.reason),
  );
  assert.ok(again.do === 'assign' && again.assignment.worker === 'a');
  assert.deepEqual(again.assignment.range, second.assignment.range);
  assert.deepEqual(driver.send({ kind: 'tick' }), [], 'to one only');
  driver.now += 50;
  const told = driver.send(answer(again));
  assert.deepEqual(
    told.slice(0, 3).map(({ do: what }) => what),
    ['accept', 'cancel', 'step'],
  );
  assert.deepEqual(driver.send(answer(second)), [], 'its own answer is late');
});

test('a range that two hold is not given away again when one of them goes or fails', () => {
  for (const how of ['left', 'failed'] as const) {
    const driver = new Driver({ steps: 3, microBatches: 2, minWorkers: 2 });
    for (const worker of ['a', 'b']) driver.send({ kind: 'joined', worker, threads: 1, ...anyone });
    driver.now = 100;
    for (const one of [...driver.open.values()]) driver.send(answer(one)); // the first step
    const [first, second] = driver.log.filter((command) => command.do === 'assign').slice(2, 4);
    assert.ok(first.do === 'assign' && second.do === 'assign');
    driver.now += 100;
    driver.send(answer(first));
    driver.now += 150;
    driver.send({ kind: 'heard', worker: 'b' });
    driver.send({ kind: 'heard', worker: 'a' });
    const again = driver.send({ kind: 'tick' }).find((command) => command.do === 'assign');
    assert.ok(again?.do === 'assign');
    const event: Event =
      how === 'left'
        ? { kind: 'left', worker: 'b', reason: 'x' }
        : { kind: 'failed', worker: 'b', assignment: second.assignment.id, reason: 'x' };
    const after = driver.send(event);
    assert.deepEqual(
      after.filter((command) => command.do === 'assign' && command.assignment.worker === 'a'),
      [],
    );
    const told = driver.send(answer(again));
    assert.ok(told.some(({ do: what }) => what === 'step'));
  }
});

test('an unlikely sum is told, with its worker and place, and counts: it may be right', () => {
  const driver = new Driver({ steps: 1 });
  driver.send({ kind: 'joined', worker: 'a', threads: 1, ...anyone });
  const [given] = driver.open.values();
  const commands = driver.send({ ...answer(given), suspicion: 'a gradient that is not finite' } as Event);
  assert.deepEqual(commands[0], {
    do: 'note',
    event: 'suspicious',
    worker: 'a',
    reason: 'sent a gradient that is not finite, for micro-batches 0 … 5 of step 1',
  });
  assert.deepEqual(
    commands.slice(1, 3).map((command) => command.do),
    ['accept', 'step'],
  );
});

/** What a worker says it computed, as if its gradient were one word. */
const proofOf = (word: string, added = word) => ({
  sent: { digest: word, norm: 1, sketch: [1], losses: { sums: [], targets: [] } },
  added,
});

/** Everything is checked; every open assignment is answered with the word of its worker. */
function checkedRun(words: Readonly<Record<string, string>>, changes: Partial<Plan> = {}) {
  const driver = new Driver({ steps: 2, microBatches: 2, verify: 1, ...changes });
  const join = (worker: string) =>
    driver.send({ kind: 'joined', worker, threads: 1, identity: `id of ${worker}`, machine: 'm' });
  const work = () => {
    while (driver.open.size > 0) {
      const [next] = driver.open.values();
      driver.open.delete(next.assignment.id);
      driver.send({ ...answer(next), proof: proofOf(words[next.assignment.worker]) } as Event);
    }
  };
  for (const worker of Object.keys(words)) join(worker);
  return { driver, join, work };
}

const notes = (driver: Driver, event: string) =>
  driver.log.flatMap((one) => (one.do === 'note' && one.event === event ? [one.reason] : []));

test('with verify at 1 every range counts when two agree, and each is given to two', () => {
  const { driver, work } = checkedRun({ a: 'x', b: 'x' });
  work();
  assert.equal(driver.state.phase.name, 'finished');
  const given = driver.log.flatMap((one) => (one.do === 'assign' ? [one.assignment.range.count] : []));
  assert.equal(
    given.reduce((sum, count) => sum + count, 0),
    2 * 2 * 2,
    'micro-batches × steps × workers',
  );
});

test('the one of three who differs is quarantined with the evidence, and the step begins anew without it', () => {
  const { driver, work } = checkedRun({ a: 'x', liar: 'y', b: 'x' });
  work();
  const sent = driver.log.filter((one) => one.do === 'quarantine');
  assert.equal(sent.length, 1);
  const [one] = sent;
  assert.ok(one.do === 'quarantine');
  assert.deepEqual([one.worker, one.identity], ['liar', 'id of liar']);
  assert.match(
    one.reason,
    /^its sum for micro-batch(es)? .* of step 1 \(y\) is not that of (a and b|b and a) \(x\)$/,
  );
  assert.deepEqual(driver.state.members.map(({ id }) => id).sort(), ['a', 'b']);
  assert.equal(driver.state.phase.name, 'finished');
  const clear = driver.log.findIndex((command) => command.do === 'clear');
  const later = driver.log.slice(clear).filter((command) => command.do === 'assign');
  assert.ok(clear > 0 && later.every((command) => command.assignment.worker !== 'liar'));
});

test('two who differ are asked once more, then the run waits for a third and quarantines nobody', () => {
  const { driver, join, work } = checkedRun({ a: 'x', b: 'y' }, { microBatches: 1 });
  work();
  assert.equal(driver.log.filter((one) => one.do === 'quarantine' || one.do === 'accept').length, 0);
  assert.equal(driver.log.filter((one) => one.do === 'assign').length, 4);
  assert.match(
    waitingFor(driver.state) ?? '',
    /^another worker, to check what a and b computed for micro-batch 0/,
  );
  assert.equal(notes(driver, 'disputed').length, 3);
  join('c');
  const [next] = driver.open.values();
  driver.open.clear();
  driver.send({ ...answer(next), proof: proofOf('x') } as Event);
  assert.deepEqual(
    driver.log.flatMap((one) => (one.do === 'quarantine' ? [one.worker] : [])),
    ['b'],
  );
});

test('a run that only waits for who could decide ends at once when it is stopped', () => {
  const { driver, work } = checkedRun({ a: 'x', b: 'y' }, { microBatches: 1 });
  work();
  driver.send({ kind: 'stop', reason: 'interrupted', interrupted: true });
  assert.equal(driver.state.phase.name, 'finished');
  const one = checkedRun({ a: 'x' });
  one.driver.send({ kind: 'stop', reason: 'interrupted', interrupted: true });
  one.work();
  assert.equal(one.driver.state.phase.name, 'finished');
  assert.equal(one.driver.state.step, 0);
});

test('a step that is given up for its end is forgotten before the last evaluation', () => {
  const changes = { microBatches: 1, maxTime: 500, evaluationBatches: 1, evalEvery: 5, steps: 9 };
  const { driver, work } = checkedRun({ a: 'x', b: 'y' }, changes);
  work();
  driver.now = 600;
  driver.log.length = 0;
  driver.send({ kind: 'stop', reason: 'its time is over', interrupted: false });
  work();
  const does = driver.log.map((one) => one.do);
  assert.ok(does.includes('finish') && does.indexOf('clear') >= 0);
});

test('alone a worker is believed, and that is told once; with verify at 1 it is not', () => {
  const { driver, work } = checkedRun({ a: 'x' }, { verify: 0.999 });
  work();
  assert.equal(driver.state.phase.name, 'finished');
  assert.equal(notes(driver, 'unverified').length, 1);
  const strict = checkedRun({ a: 'x' });
  strict.work();
  assert.match(waitingFor(strict.driver.state) ?? '', /^another worker, to check what a computed/);
});

test('what one that is gone had sent first is compared too: a step with another part in it begins anew', () => {
  const { driver } = checkedRun({ a: 'x', b: 'x' }, { microBatches: 1 });
  const reply = (added: string) => {
    const [next] = driver.open.values();
    driver.open.clear();
    return driver.send({ ...answer(next), proof: proofOf('x', added) } as Event);
  };
  reply('z');
  const commands = reply('z').map((command) => command.do);
  assert.deepEqual(commands.slice(0, 3), ['cancel', 'note', 'clear']);
  assert.match(notes(driver, 'disputed')[0], /came first is not that of .*: the step begins anew$/);
});

test('an unlikely sum is checked with all of its step where somebody is there, and counts where two agree', () => {
  const { driver, work } = checkedRun({ a: 'x', b: 'x' }, { verify: 1e-9 });
  const [next] = driver.open.values();
  driver.open.delete(next.assignment.id);
  driver.send({ ...answer(next), suspicion: 'nonsense' } as Event);
  assert.equal(notes(driver, 'suspicious').length, 1);
  const before = driver.log.length;
  work();
  assert.equal(driver.state.phase.name, 'finished');
  const steps = driver.log.slice(before).flatMap((one) => (one.do === 'step' ? ['step'] : []));
  assert.equal(steps.length, 2);
  const first = driver.log.slice(
    0,
    driver.log.findIndex((one) => one.do === 'step'),
  );
  const given = first.filter((one) => one.do === 'assign').length;
  assert.equal(given, 1 + 2 * 2, 'once, then each range by two');
});
