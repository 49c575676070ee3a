import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { randomStream } from '@manyhands/core/numeric';
import fc from 'fast-check';
import { mutators } from './mutate.js';
import { encodeFields, type Field, parseFields } from './mutate-protobuf.js';
import { runTarget, runTargets } from './run-target.js';
import { shareOut, targets } from './targets.js';

/** What must be said of each reader that is broken on purpose. */
const planted: Readonly<Record<string, RegExp>> = {
  'planted-internal': /threw an internal error: TypeError/,
  'planted-words': /refused in words of its insides: Error: .* is undefined/,
  'planted-control': /refused with control characters/,
  'planted-length': /refused in \d+ characters/,
  'planted-hang': /hung for more than 1 s/,
  'planted-silence': /hung for more than 1 s/,
  'planted-crash': /ended its process \(status 1\): Error: out of turn/,
  'planted-death': /ended its process \(SIGSEGV\)/,
  'planted-memory': /took \d+ MiB of memory for/,
  'planted-leak': /ended its process \(SIGABRT\): FATAL ERROR: .*heap/,
  'planted-pollution': /a prototype of every object was changed/,
  'planted-refusal': /a valid input was refused: Error: not today/,
};

test('each kind of defect is noticed, with the input that shows it', async () => {
  for (const [name, expected] of Object.entries(planted)) {
    const patience = /hang|silence/.test(name) ? { patience: 1 } : {};
    const outcome = await runTarget(name, { seed: 1, inputs: 1000, ...patience });
    assert.ok('defect' in outcome, `${name} was not noticed`);
    assert.match(outcome.defect.what, expected, name);
    const input = Buffer.from(outcome.defect.input).toString();
    assert.equal(/^\d+$/.test(input), name === 'planted-refusal', `${name}: ${input}`);
  }
});

test('a reader without a defect is found to have none, and a seed gives the same inputs again', async () => {
  const tallies = await Promise.all(
    ['planted-none', 'set-option', 'set-option'].map((name) => runTarget(name, { seed: 3, inputs: 200 })),
  );
  const [none, first, again] = tallies.map((outcome) => {
    assert.ok('tally' in outcome);
    const { seconds: _, ...counts } = outcome.tally;
    return counts;
  });
  assert.deepEqual(none, { inputs: 200, accepted: 200, refused: 0, kinds: 0 });
  assert.deepEqual(first, again);
});

test('10,000 hostile inputs, over all readers, are accepted or refused in one clear sentence', async () => {
  const shares = shareOut(10_000);
  assert.equal(
    shares.reduce((sum, [, inputs]) => sum + inputs, 0),
    10_000,
  );
  const told = new Map<string, number>();
  await runTargets(shares, 1, (name, outcome) => {
    assert.ok('tally' in outcome, 'defect' in outcome ? `${name}: ${outcome.defect.what}` : '');
    told.set(name, outcome.tally.inputs);
  });
  assert.deepEqual([...told.keys()].sort(), Object.keys(targets).sort());
});

test('the program ends with status 1 where it finds a defect, tells the seed and saves the input', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'manyhands-fuzz-'));
  try {
    const main = fileURLToPath(new URL('./main.js', import.meta.url));
    const run = (args: string[]) =>
      new Promise<{ status: unknown; output: string }>((resolve) => {
        execFile(process.execPath, [main, ...args], { cwd: folder }, (error, stdout, stderr) =>
          resolve({ status: error?.code ?? 0, output: stdout + stderr }),
        );
      });
    const found = await run(['--target', 'planted-control', '--inputs', '500', '--seed', '7']);
    assert.equal(found.status, 1);
    assert.match(found.output, /planted-control +DEFECT at input \d+ with --seed 7: refused with control/);
    const [saved] = readdirSync(folder);
    const input = Buffer.from(readFileSync(join(folder, saved), 'latin1'), 'base64').toString();
    assert.doesNotMatch(input, /^\d+$/);
    assert.equal((await run(['--target', 'join-url', '--inputs', '50'])).status, 0);
    for (const wrong of [
      ['--target', 'nothing'],
      ['--speed', '1'],
    ]) {
      assert.equal((await run(wrong)).status, 2, wrong.join(' '));
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

const bytesOf = (length?: number) =>
  fc.uint8Array(length === undefined ? { maxLength: 40 } : { minLength: length, maxLength: length });
const number = fc.integer({ min: 1, max: 2 ** 29 - 1 });
const field: fc.Arbitrary<Field> = fc.oneof(
  fc.record({
    number,
    type: fc.constant('varint' as const),
    value: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  }),
  fc.record({ number, type: fc.constant('fixed64' as const), value: bytesOf(8) }),
  fc.record({ number, type: fc.constant('fixed32' as const), value: bytesOf(4) }),
  fc.record({ number, type: fc.constant('bytes' as const), value: bytesOf() }),
);

test('fields of a protobuf message are read as they were written, and those of real messages too', async () => {
  fc.assert(
    fc.property(fc.array(field, { maxLength: 8 }), (fields) => {
      assert.deepEqual(
        parseFields(encodeFields(fields)),
        fields.map((one) => ({ ...one })),
      );
    }),
  );
  for (const name of ['worker-message', 'coordinator-message', 'partial-sum'] as const) {
    const { seeds } = await targets[name].open();
    for (const seed of seeds) assert.ok((parseFields(seed)?.length ?? 0) > 0, name);
  }
});

test('every mutator takes any bytes, keeps its bound and gives the same for the same random numbers', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(), (input, seed) => {
      for (const mutate of Object.values(mutators)) {
        const [first, again] = [0, 1].map(() => mutate(input, randomStream(seed), [input]));
        assert.deepEqual(first, again);
        assert.ok(first.length <= 1 << 18);
      }
    }),
    { numRuns: 200 },
  );
});
