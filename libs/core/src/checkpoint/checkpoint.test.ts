import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { RunError } from '../config/index.js';
import { createModel } from '../model/index.js';
import { faultyStorage, type Operation } from './faulty-storage.js';
import {
  bestStep,
  checkpointSteps,
  describeDamage,
  loadCheckpoint,
  loadModel,
  markBest,
  newestCheckpoint,
  resolveModelDirectory,
  saveCheckpoint,
  verifyCheckpoint,
  weightsSha256,
} from './index.js';
import { stateFromJson } from './state.js';
import { contentOf, model } from './test-content.js';

const folder = mkdtempSync(join(tmpdir(), 'checkpoint-'));
after(() => rmSync(folder, { recursive: true }));
let made = 0;
const newRun = () => {
  const run = join(folder, String(made++));
  mkdirSync(run);
  return run;
};
const hidden = (run: string) => readdirSync(join(run, 'checkpoints')).filter((name) => name.startsWith('.'));

test('a checkpoint gives back what was saved, bit for bit', async () => {
  const run = newRun();
  const content = contentOf(500);
  const { path } = await saveCheckpoint(run, content, { keepLast: 3 });
  assert.equal(path, join(run, 'checkpoints', 'step-000500'));
  const { checkpoint, damaged } = newestCheckpoint(run);
  assert.deepEqual([checkpoint?.path, checkpoint?.step, damaged], [path, 500, []]);
  const { weights, optimizer, state, tokenizerJson } = loadCheckpoint(path, model);
  assert.deepEqual(weights, content.weights);
  assert.deepEqual(optimizer, content.optimizer);
  assert.equal(tokenizerJson, content.tokenizerJson);
  const { files, weightsSha256: sha256, ...rest } = state;
  assert.deepEqual(rest, { ...content.state, step: 500 });
  assert.equal(sha256, weightsSha256(content.weights));
  assert.deepEqual(
    Object.keys(files).sort(),
    readdirSync(path)
      .filter((name) => name !== 'state.json')
      .sort(),
  );
  assert.equal(loadModel(path).weightsSha256, sha256, 'a checkpoint is a model directory');
});

test('a flipped bit in any file is found, and the file is named with both hashes', async () => {
  const run = newRun();
  const { path, state } = await saveCheckpoint(run, contentOf(1), { keepLast: 1 });
  const names = readdirSync(path);
  assert.equal(names.length, 6);
  for (const name of names) {
    const file = join(path, name);
    const whole = readFileSync(file);
    for (let place = 0; place < 12; place++) {
      const at = Math.floor((place * (whole.length - 1)) / 11);
      const flipped = Buffer.from(whole);
      flipped[at] ^= 1 << (place % 8);
      writeFileSync(file, flipped);
      const checked = verifyCheckpoint(path);
      assert.ok('reasons' in checked, `bit ${place % 8} of byte ${at} of ${name} is not found`);
      assert.match(checked.reasons[0], new RegExp(`^${name.replace('.', '\\.')} `));
      if (name === 'state.json') continue;
      assert.match(checked.reasons[0], new RegExp(`sha256 [0-9a-f]{64}.*${state.files[name]}`));
    }
    writeFileSync(file, whole);
    assert.ok('state' in verifyCheckpoint(path));
  }
});

test('no bit of state.json can flip without being found', async () => {
  const { path, state } = await saveCheckpoint(newRun(), contentOf(1), { keepLast: 1 });
  const whole = readFileSync(join(path, 'state.json'));
  assert.deepEqual(stateFromJson(whole.toString()), state);
  for (let bit = 0; bit < whole.length * 8; bit++) {
    const flipped = Buffer.from(whole);
    flipped[bit >> 3] ^= 1 << (bit & 7);
    assert.ok('reason' in stateFromJson(flipped.toString()), `bit ${bit & 7} of byte ${bit >> 3}`);
  }
});

test('a file that is missing, or cut short, is found', async () => {
  const run = newRun();
  const { path } = await saveCheckpoint(run, contentOf(1), { keepLast: 1 });
  for (const name of readdirSync(path)) {
    const file = join(path, name);
    const whole = readFileSync(file);
    truncateSync(file, whole.length - 1);
    assert.ok('reasons' in verifyCheckpoint(path), `${name} cut short`);
    rmSync(file);
    const checked = verifyCheckpoint(path);
    assert.ok('reasons' in checked && checked.reasons[0].startsWith(name), `${name} missing`);
    writeFileSync(file, whole);
  }
});

test('a damaged checkpoint is passed over for the newest whole one, and said', async () => {
  const run = newRun();
  for (const step of [1, 2, 3]) await saveCheckpoint(run, contentOf(step), { keepLast: 5 });
  const three = join(run, 'checkpoints', 'step-000003');
  writeFileSync(join(three, 'model.safetensors'), 'x');
  writeFileSync(join(three, 'tokenizer.json'), 'x');
  rmSync(join(run, 'checkpoints', 'step-000002', 'state.json'));
  const { checkpoint, damaged } = newestCheckpoint(run);
  assert.equal(checkpoint?.step, 1);
  assert.deepEqual(
    damaged.map(({ step, reasons }) => [step, reasons.length]),
    [
      [3, 2],
      [2, 1],
    ],
  );
  assert.match(
    describeDamage(damaged[0]),
    /step-000003 is damaged: model\.safetensors has sha256 .*; tokenizer\.json has sha256 .*\.$/,
  );
  assert.throws(() => loadCheckpoint(three, model), {
    name: 'RunError',
    message: /model\.safetensors has sha256/,
  });
});

test('a checkpoint under another step’s name is not taken for it', async () => {
  const run = newRun();
  const { path } = await saveCheckpoint(run, contentOf(1), { keepLast: 1 });
  cpSync(path, join(run, 'checkpoints', 'step-000009'), { recursive: true });
  const { checkpoint, damaged } = newestCheckpoint(run);
  assert.deepEqual([checkpoint?.step, damaged[0].reasons], [1, ['state.json is that of step 1']]);
});

test('the newest ones stay, and the best one whatever its age', async () => {
  const run = newRun();
  for (let step = 1; step <= 6; step++) {
    await saveCheckpoint(run, contentOf(step), { keepLast: 2 });
    if (step === 2) await markBest(run, 2);
  }
  assert.deepEqual(checkpointSteps(run), [6, 5, 2]);
  assert.equal(bestStep(run), 2);
  assert.equal(
    loadModel(resolveModelDirectory(run, { best: true })).weightsSha256,
    weightsSha256(contentOf(2).weights),
  );
  await markBest(run, 5);
  await saveCheckpoint(run, contentOf(7), { keepLast: 2 });
  assert.deepEqual(checkpointSteps(run), [7, 6, 5], 'what is the best no longer goes');
  assert.deepEqual(hidden(run), []);
  await assert.rejects(markBest(run, 2), RangeError);
});

test('a damaged checkpoint of a later step never takes the place of one that is whole', async () => {
  const run = newRun();
  await saveCheckpoint(run, contentOf(1), { keepLast: 1 });
  const { path } = await saveCheckpoint(run, contentOf(3), { keepLast: 2 });
  truncateSync(join(path, 'model.safetensors'), 10);
  // The run goes on from step 1.
  await saveCheckpoint(run, contentOf(2), { keepLast: 1 });
  assert.equal(newestCheckpoint(run).checkpoint?.step, 2);
});

test('a checkpoint that is there is saved again only where it is damaged or its state has changed', async () => {
  const run = newRun();
  const { path } = await saveCheckpoint(run, contentOf(4), { keepLast: 1 });
  const log: Operation[] = [];
  await saveCheckpoint(run, contentOf(4), { keepLast: 1, storage: faultyStorage(() => {}, log) });
  assert.deepEqual(log, []);
  const evaluated = { ...contentOf(4).state, bestValidationLoss: 0.5 };
  const storage = faultyStorage(() => {}, log);
  await saveCheckpoint(run, { ...contentOf(4), state: evaluated }, { keepLast: 1, storage });
  assert.deepEqual(
    log.filter(({ kind }) => kind === 'create' || kind === 'rename').map(({ to, path: at }) => to ?? at),
    [join(path, '.state.json.partial'), join(path, 'state.json')],
    'a state that was learned since replaces the state alone, at once',
  );
  assert.equal(loadCheckpoint(path, model).state.bestValidationLoss, 0.5);
  writeFileSync(join(path, 'optimizer.safetensors'), 'x');
  await saveCheckpoint(run, contentOf(4), { keepLast: 1 });
  assert.deepEqual(loadCheckpoint(path, model).optimizer, contentOf(4).optimizer);
  assert.deepEqual(hidden(run), []);
});

test('a checkpoint of another model is refused with the key that differs', async () => {
  const run = newRun();
  const { path } = await saveCheckpoint(run, contentOf(1), { keepLast: 1 });
  const other = createModel({ ...model.config, context: 8 });
  assert.throws(() => loadCheckpoint(path, other), {
    name: 'UserError',
    message: /: context is 8 in the config, but 4 in the checkpoint; resume with/,
  });
});

test('every file and folder is on the disk before the name appears, and the name before anything is removed', async () => {
  const run = newRun();
  await saveCheckpoint(run, contentOf(1), { keepLast: 1 });
  const log: Operation[] = [];
  await saveCheckpoint(run, contentOf(2), { keepLast: 1, storage: faultyStorage(() => {}, log) });
  const directory = join(run, 'checkpoints');
  const index = (kind: Operation['kind'], path: string) =>
    log.findIndex((one) => one.kind === kind && one.path === path);
  const last = (kind: Operation['kind'], path: string) =>
    log.findLastIndex((one) => one.kind === kind && one.path === path);
  const partial = join(directory, '.partial-step-000002');
  const renamed = index('rename', partial);
  assert.equal(log[renamed].to, join(directory, 'step-000002'));
  const files = log.filter(({ kind }) => kind === 'create').map(({ path }) => path);
  assert.equal(files.length, 6);
  for (const file of files) {
    assert.equal(dirname(file), partial);
    assert.ok(last('write', file) < index('sync', file), 'synced after the last byte');
    assert.ok(index('sync', file) < last('syncDirectory', partial));
  }
  assert.ok(last('syncDirectory', partial) < renamed);
  const named = log.findIndex(
    ({ kind, path }, i) => i > renamed && kind === 'syncDirectory' && path === directory,
  );
  assert.ok(renamed < named);
  assert.ok(named < index('rename', join(directory, 'step-000001')));
});

/** Copies of a run with checkpoints 0 and 1, the latter the best. */
const begun = newRun();
before(async () => {
  await saveCheckpoint(begun, contentOf(0), { keepLast: 9 });
  await saveCheckpoint(begun, contentOf(1), { keepLast: 9 });
  await markBest(begun, 1);
});
function beforeTheCrash(): string {
  const run = newRun();
  cpSync(begun, run, { recursive: true, verbatimSymlinks: true });
  return run;
}

/** What must hold in a run that was stopped at any point of saving checkpoint 2; returns the newest step. */
async function afterTheCrash(run: string, where: string): Promise<number> {
  const { checkpoint, damaged } = newestCheckpoint(run);
  assert.ok(checkpoint, `nothing is left ${where}`);
  assert.deepEqual(damaged, [], `half a checkpoint has a name ${where}`);
  assert.deepEqual(loadCheckpoint(checkpoint.path, model).weights, contentOf(checkpoint.step).weights);
  loadModel(resolveModelDirectory(run, { best: true }));
  await saveCheckpoint(run, contentOf(3), { keepLast: 1 });
  assert.deepEqual(hidden(run), [], 'the next save clears away what was left');
  assert.deepEqual(checkpointSteps(run), [3, bestStep(run)]);
  return checkpoint.step;
}

test('stopped before any operation, or in the middle of a write, a run has a whole checkpoint to go on from', async () => {
  const newest: number[] = [];
  for (let stopAt = 0, finished = false; !finished; stopAt++) {
    const run = beforeTheCrash();
    let stop = () => {};
    const stopped = new Promise<boolean>((resolve) => {
      stop = () => resolve(false);
    });
    // what was begun is never continued, not even its clean-up: to the disk, that is a killed process
    const storage = faultyStorage((number) => {
      if (number !== stopAt) return;
      stop();
      return new Promise<void>(() => {});
    });
    const save = async () => {
      await saveCheckpoint(run, contentOf(2), { keepLast: 1, storage });
      await markBest(run, 2, storage);
      return true;
    };
    finished = await Promise.race([save(), stopped]);
    await storage.abandon();
    newest.push(await afterTheCrash(run, `after a stop at operation ${stopAt}`));
  }
  assert.ok(newest.length > 35, `only ${newest.length} points of a crash`);
  assert.deepEqual([newest[0], newest.at(-1)], [1, 2]);
  assert.deepEqual(newest, newest.toSorted(), 'once the new one is there, it stays');
});

test('a killed process leaves a whole checkpoint behind', async () => {
  const child = fileURLToPath(new URL('crash-child.js', import.meta.url));
  for (const killAt of [9, 27, 36]) {
    const run = beforeTheCrash();
    const { signal, stderr } = spawnSync(process.execPath, [child, run, String(killAt)], {
      encoding: 'utf8',
    });
    assert.equal(signal, 'SIGKILL', stderr);
    await afterTheCrash(run, `after a kill at operation ${killAt}`);
  }
});

test('a disk that refuses any one operation costs the new checkpoint, never an old one', async () => {
  let refusals = 0;
  for (let failAt = 0; ; failAt++) {
    const run = beforeTheCrash();
    const storage = faultyStorage((number) => {
      if (number === failAt) throw Object.assign(new Error('refused'), { code: 'ENOSPC' });
    });
    const error = await saveCheckpoint(run, contentOf(2), { keepLast: 9, storage }).catch(
      (reason: unknown) => reason,
    );
    const { checkpoint, damaged } = newestCheckpoint(run);
    assert.deepEqual(damaged, []);
    rmSync(join(run, 'checkpoints', 'step-000002'), { recursive: true, force: true });
    assert.equal(newestCheckpoint(run).checkpoint?.step, 1, 'the old one is whole');
    if (!(error instanceof Error)) {
      assert.equal(checkpoint?.step, 2);
      break;
    }
    refusals++;
    assert.ok(error instanceof RunError, String(error));
    assert.match(
      error.message,
      /^The checkpoint \S+step-000002 could not be written, since the disk is full \(ENOSPC\); /,
    );
    assert.match(error.message, /step-000001 is untouched, so make room and go on with --resume\.$/);
    assert.ok(!existsSync(join(run, 'checkpoints', '.partial-step-000002')), 'no half of it is left');
  }
  assert.ok(refusals > 25, `${refusals} operations were refused`);
});

test('a first checkpoint that cannot be written says that nothing was saved', async () => {
  const storage = faultyStorage(() => {
    throw Object.assign(new Error('refused'), { code: 'EROFS' });
  });
  await assert.rejects(saveCheckpoint(newRun(), contentOf(1), { keepLast: 1, storage }), {
    name: 'RunError',
    message: /since the file system is read-only \(EROFS\); nothing was saved yet/,
  });
});
