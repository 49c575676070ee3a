import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { crewOf, type Trials, tried } from './crew.js';
import type { Paced } from './speeds.js';

const TOTAL = 1000;

/** @param power of its threads, in micro-batches a millisecond */
const worker = (id: number, power: number): Paced => ({
  id: String(id),
  threads: 1,
  speeds: new Map(),
  power,
  turn: -1,
  lastAnswer: 0,
  stretch: null,
  overtakings: 0,
  penance: 0,
});
const workers = (powers: readonly number[]) => powers.map((power, id) => worker(id, power));

/**
 * Steps of a cluster that are shared by power.
 * @param cost of so many workers for all of them, beside computing
 * @param line what a worker's own line costs it beside that
 */
function run(
  powers: readonly number[],
  cost: (crew: readonly Paced[], step: number) => number,
  steps: number,
  line = (_: Paced) => 0,
) {
  let members = workers(powers);
  let trials: Trials = new Map();
  const crews: string[][] = [];
  const durations: number[] = [];
  for (let step = 0; step < steps; step++) {
    const crew = crewOf(members, trials, { total: TOTAL, step });
    const power = crew.reduce((sum, { power }) => sum + (power ?? 0), 0);
    const shared = TOTAL / power + cost(crew, step);
    const duration = shared + Math.max(...crew.map(line));
    trials = tried(trials, crew, duration, { total: TOTAL, step });
    members = members.map((member) => {
      if (!crew.includes(member)) return member;
      const speed = ((TOTAL / power) * (member.power ?? 0)) / (shared + line(member));
      return { ...member, speeds: new Map([...member.speeds, [crew.length, speed]]), turn: step };
    });
    crews.push(crew.map(({ id }) => id));
    durations.push(duration);
  }
  return { crews, durations, trials };
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

test('steps become as short as half, twice or all of the workers could make them, and finding that costs little', () => {
  const lines = fc.record({
    all: fc.integer({ min: 1, max: 300 }),
    own: fc.double({ min: 0, max: 1000, noNaN: true }),
    each: fc.double({ min: 0, max: 1000, noNaN: true }),
  });
  fc.assert(
    fc.property(lines, ({ all, own, each }) => {
      const steps = 400;
      const time = (crew: number) => TOTAL / crew + own + each * crew;
      const { durations } = run(Array(all).fill(1), ({ length }) => own + each * length, steps);
      const sizes = [
        all,
        ...Array.from({ length: 9 }, (_, i) => 2 ** i).filter((size) => size * Math.SQRT2 < all),
      ];
      const best = Math.min(...sizes.map(time));
      const last = durations.slice(-200);
      assert.ok(sum(last) <= 1.1 * last.length * best, `${sum(last) / last.length} against ${best}`);
      assert.ok(sum(durations) <= 1.1 * steps * best + 3 * time(all));
    }),
    { numRuns: 25 },
  );
});

test('where a step is mostly computing, nobody ever waits', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 50 }),
      fc.double({ min: 0, max: 0.4, noNaN: true }),
      (all, share) => {
        const { crews } = run(Array(all).fill(1), () => (share * TOTAL) / all, 120);
        assert.ok(crews.every((crew) => crew.length === all));
      },
    ),
  );
});

test('workers that are equally fast take turns', () => {
  const { crews } = run(Array(12).fill(1), ({ length }) => 100 * length, 400);
  const late = crews.slice(-120);
  assert.ok(late.filter((crew) => crew.length === 4).length > 110);
  const counts = workers(Array(12).fill(1)).map(({ id }) => late.filter((crew) => crew.includes(id)).length);
  assert.ok(Math.max(...counts) - Math.min(...counts) <= 2, `${counts}`);
});

test('where few are to take part, they are the fast ones, wherever they stand', () => {
  const { crews } = run([1, 1, 20, 1, 25, 1, 1, 1], ({ length }) => 20 * length, 100);
  for (const crew of crews.slice(20))
    assert.ok(
      crew.every((id) => id === '2' || id === '4'),
      `${crew}`,
    );
});

test('one at the end of a narrow line waits for the others, and is tried again as rarely as it is slow', () => {
  const line = ({ id }: Paced) => (id === '3' ? 2e4 : 0);
  const { crews, durations } = run([1, 1, 1, 1], ({ length }) => 2000 * length, 2000, line);
  const late = crews.slice(200);
  assert.ok(late.filter((crew) => crew.length > 1).length <= 0.03 * late.length);
  const tries = late.filter((crew) => crew.includes('3')).length;
  assert.ok(tries >= 1 && tries <= 4, `${tries} tries`);
  assert.ok(sum(durations.slice(200)) <= 1.1 * 1800 * 3000);
});

test('a hiccup, however long, moves nobody whose steps are mostly computing', () => {
  const { crews } = run(Array(4).fill(1), (_, step) => (step === 10 ? 1e6 : 20), 60);
  assert.ok(crews.every((crew) => crew.length === 4));
});

test('a hiccup in the only step among so many does not count', () => {
  // With 8: 125 + 240, with 4: 250 + 120, with 2: 500 + 60.
  const { crews } = run(Array(16).fill(1), ({ length }, step) => 30 * length + (step === 1 ? 1e4 : 0), 40);
  assert.deepEqual(
    crews.slice(0, 4).map(({ length }) => length),
    [16, 8, 8, 4],
  );
  assert.ok(crews.slice(6).every(({ length }) => length === 8));
});

test('a line that becomes wide is noticed', () => {
  const { crews } = run(Array(8).fill(1), ({ length }, step) => (step < 200 ? 300 * length : 1), 500);
  assert.ok(crews[190].length <= 2);
  assert.equal(crews[499].length, 8);
});

test('what is remembered has an end', () => {
  let trials: Trials = new Map();
  for (let step = 0; step < 1000; step++) {
    const crew = workers(Array(1 + (step % 300)).fill(1));
    trials = tried(trials, crew, 1, { total: TOTAL, step });
  }
  assert.ok(trials.size <= 101);
});
