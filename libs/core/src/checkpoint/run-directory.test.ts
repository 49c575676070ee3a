import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parseConfig } from '../config/index.js';
import {
  bestStep,
  holdsRun,
  markBest,
  openRunDirectory,
  readJournal,
  readRunConfig,
  resolveModelDirectory,
  saveCheckpoint,
} from './index.js';
import { lockDirectory } from './lock.js';
import { contentOf } from './test-content.js';

const folder = mkdtempSync(join(tmpdir(), 'run-directory-'));
after(() => rmSync(folder, { recursive: true }));
let made = 0;
const newPath = () => join(folder, String(made++));
const lockFile = (path: string) => join(path, 'run.lock');

/** A run that has its config and its data, and was ended then. */
async function startedRun(path = newPath()): Promise<string> {
  const run = await openRunDirectory(path, { resume: false });
  await run.writeConfig(parseConfig({ run: { steps: 10 } }));
  mkdirSync(join(path, 'data'));
  writeFileSync(join(path, 'data', 'manifest.json'), '{}');
  run.close();
  return path;
}

test('a new run is written where nothing was, and its config reads back', async () => {
  const path = join(newPath(), 'deep', 'run');
  const run = await openRunDirectory(path, { resume: false });
  const config = parseConfig(
    { model: { arch: 'llama', heads: 4, kvHeads: 2 }, data: { sources: 'a b.txt' } },
    'small',
  );
  await run.writeConfig(config);
  await run.writeTokenizer('{"a":1}');
  run.close();
  assert.deepEqual(readRunConfig(path), config);
  assert.equal(readFileSync(join(path, 'tokenizer.json'), 'utf8'), '{"a":1}');
  assert.deepEqual([run.checkpoint, run.damaged], [null, []]);
});

test('a folder that holds a run is refused without --resume, and one that holds none with it', async () => {
  const path = await startedRun();
  await assert.rejects(openRunDirectory(path, { resume: false }), {
    name: 'UserError',
    message: `${path} holds a run already: add --resume to go on with it, or choose another --out.`,
  });
  const none = newPath();
  await assert.rejects(openRunDirectory(none, { resume: true }), {
    name: 'UserError',
    message: /holds no run to resume/,
  });
  assert.ok(!existsSync(none), 'a refusal makes no folder');
  writeFileSync(none, '');
  await assert.rejects(openRunDirectory(none, { resume: false }), {
    name: 'UserError',
    message: /is a file/,
  });
  (await openRunDirectory(path, { resume: true })).close();
});

test('what a failed start left is overwritten by a new run, and gone on with by --resume', async () => {
  const path = newPath();
  const failed = await openRunDirectory(path, { resume: false });
  await failed.writeConfig(parseConfig({}));
  await failed.writeTokenizer('{"a":1}');
  failed.metrics.append({ kind: 'train', step: 1 });
  failed.events.append({ event: 'failed', step: 0 });
  failed.close();
  mkdirSync(join(path, 'data'));
  writeFileSync(join(path, 'data', 'plan.json'), '{}');
  assert.equal(holdsRun(path), false);
  (await openRunDirectory(path, { resume: true })).close();
  assert.equal(readJournal(join(path, 'events.jsonl')).length, 1, 'resumed, what happened stays');
  (await openRunDirectory(path, { resume: false })).close();
  assert.deepEqual(readJournal(join(path, 'metrics.jsonl')), []);
  assert.deepEqual(readJournal(join(path, 'events.jsonl')), []);
  writeFileSync(join(path, 'data', 'manifest.json'), '{}');
  assert.equal(holdsRun(path), true, 'a run that has its data');
  assert.equal(holdsRun(join(path, 'data')), false);
});

test('checkpoints without a config are neither gone on with nor overwritten', async () => {
  const path = newPath();
  await train(path, 5, { resume: false, withBytes: true });
  assert.equal(holdsRun(path), true);
  rmSync(join(path, 'config.yaml'));
  await assert.rejects(openRunDirectory(path, { resume: false }), {
    name: 'UserError',
    message: `${path} has checkpoints, but no config.yaml to go on with them: choose another --out.`,
  });
  await assert.rejects(openRunDirectory(path, { resume: true }), { message: /holds no run to resume/ });
});

test('a tokenizer that is damaged or missing is to be copied from the checkpoint', async () => {
  const path = newPath();
  await train(path, 5, { resume: false, withBytes: true });
  const [file, copy] = [path, join(path, 'checkpoints', 'step-000005')].map((at) =>
    join(at, 'tokenizer.json'),
  );
  writeFileSync(file, '{');
  await assert.rejects(openRunDirectory(path, { resume: true }), {
    name: 'UserError',
    message: `${file} is not the one that the run was trained with: copy ${copy} there and resume again.`,
  });
  rmSync(file);
  await assert.rejects(openRunDirectory(path, { resume: true }), {
    message: /tokenizer\.json is missing: copy /,
  });
  copyFileSync(copy, file);
  (await openRunDirectory(path, { resume: true })).close();
});

test('a folder that cannot be made is one sentence', async () => {
  const file = newPath();
  writeFileSync(file, '');
  await assert.rejects(openRunDirectory(join(file, 'below', 'run'), { resume: false }), {
    name: 'UserError',
    message:
      /^The folder .*run cannot be made, since a part of the path is not a folder \(ENOTDIR\): choose another output folder\.$/,
  });
});

test('a second coordinator is refused while the first one runs, and not after', async () => {
  const path = newPath();
  const first = await openRunDirectory(path, { resume: false });
  await first.writeConfig(parseConfig({}));
  await assert.rejects(openRunDirectory(path, { resume: true }), {
    name: 'UserError',
    message: new RegExp(
      `is in use by another coordinator \\(process ${process.pid} on ${hostname()} since .*\\): stop it first`,
    ),
  });
  first.close();
  (await openRunDirectory(path, { resume: true })).close();
  assert.ok(!existsSync(lockFile(path)));
});

const holder = (change: object) =>
  JSON.stringify({ pid: process.pid, host: hostname(), processStart: null, since: '2026-01-01', ...change });

test('a lock that was left behind is taken over, one that may be alive is not', () => {
  const path = newPath();
  mkdirSync(path);
  const { pid } = spawnSync(process.execPath, ['-e', '']);
  const left = (text: string) => writeFileSync(lockFile(path), text);
  left(holder({ pid }));
  lockDirectory(path).release();
  if (process.platform === 'linux') {
    left(holder({ processStart: 'another boot:1' }));
    lockDirectory(path).release(); // the pid belongs to another process by now
  }
  for (const text of [holder({}), holder({ pid, host: `not-${hostname()}` }), '', 'garbage', '{"pid":0}']) {
    left(text);
    assert.throws(() => lockDirectory(path), {
      name: 'UserError',
      message: /run\.lock if it no longer runs\.$/,
    });
    assert.equal(readFileSync(lockFile(path), 'utf8'), text);
  }
});

test('a lock is not released by one who lost it', () => {
  const path = newPath();
  mkdirSync(path);
  const lock = lockDirectory(path);
  writeFileSync(lockFile(path), holder({ host: 'thief' }));
  lock.release();
  assert.ok(existsSync(lockFile(path)));
});

test('of several processes that find a stale lock together, one gets it', async () => {
  const path = newPath();
  mkdirSync(path);
  const { pid } = spawnSync(process.execPath, ['-e', '']);
  const script = fileURLToPath(new URL('lock.js', import.meta.url));
  const code = `
    const { lockDirectory } = await import(${JSON.stringify(script)});
    process.stdout.write('ready');
    process.stdin.once('data', () => {
      try { lockDirectory(${JSON.stringify(path)}); process.stdout.write('won'); }
      catch (error) { process.stdout.write(error.name === 'UserError' ? 'lost' : String(error)); }
    });
    process.stdin.once('end', () => process.exit());`;
  const said = async (child: ChildProcess) => String((await once(child.stdout ?? child, 'data'))[0]);
  const children = Array.from({ length: 4 }, () =>
    spawn(process.execPath, ['--input-type=module', '-e', code]),
  );
  try {
    assert.deepEqual(await Promise.all(children.map(said)), ['ready', 'ready', 'ready', 'ready']);
    writeFileSync(lockFile(path), holder({ pid }));
    const answers = children.map(said);
    for (const child of children) child.stdin.write('go');
    assert.deepEqual((await Promise.all(answers)).sort(), ['lost', 'lost', 'lost', 'won']);
  } finally {
    const exits = children.map((child) => once(child, 'exit'));
    for (const child of children) child.stdin.end();
    await Promise.all(exits);
  }
});

/** Trains from `from` to `to`: a line of metrics a step, an evaluation and a checkpoint every fifth. */
async function train(
  path: string,
  to: number,
  options: { resume: boolean; withBytes: boolean },
): Promise<void> {
  const run = await openRunDirectory(path, options);
  if (!options.resume) {
    await run.writeConfig(parseConfig({}));
    await run.writeTokenizer(contentOf(0).tokenizerJson ?? '');
  }
  for (let step = (run.checkpoint?.step ?? 0) + 1; step <= to; step++) {
    run.metrics.append({ kind: 'train', step, loss: 1 / step });
    run.events.append({ kind: 'step', step });
    if (step % 5 > 0) continue;
    run.metrics.append({ kind: 'eval', step, validationLoss: 2 / step });
    run.metrics.flush();
    const content = contentOf(step);
    const state = { ...content.state, ...(options.withBytes ? { metricsBytes: run.metrics.bytes } : {}) };
    await saveCheckpoint(path, { ...content, state }, { keepLast: 2 });
  }
  run.close();
}

for (const withBytes of [true, false]) {
  test(`the metrics of a resumed run equal the undisturbed one’s, ${withBytes ? 'cut by length' : 'cut by step'}`, async () => {
    const [calm, disturbed] = [newPath(), newPath()];
    await train(calm, 12, { resume: false, withBytes });
    await train(disturbed, 8, { resume: false, withBytes });
    appendFileSync(join(disturbed, 'metrics.jsonl'), '{"kind":"train","st'); // killed in the middle of a line
    await train(disturbed, 12, { resume: true, withBytes });
    const metrics = (path: string) => readFileSync(join(path, 'metrics.jsonl'), 'utf8');
    assert.equal(metrics(disturbed), metrics(calm));
    assert.equal(readJournal(join(disturbed, 'metrics.jsonl')).length, 14);
    assert.equal(readJournal(join(disturbed, 'events.jsonl')).length, 8 + 7, 'what happened stays');
  });
}

test('a run that was interrupted before its first checkpoint begins anew', async () => {
  const path = newPath();
  await train(path, 3, { resume: false, withBytes: true });
  await train(path, 4, { resume: true, withBytes: true });
  assert.deepEqual(
    readJournal(join(path, 'metrics.jsonl')).map(({ step }) => step),
    [1, 2, 3, 4],
  );
});

test('a journal whose last line was cut by a crash goes on after the last whole one', async () => {
  const path = await startedRun();
  appendFileSync(join(path, 'events.jsonl'), '{"a":1}\n{"b":2}\n{"c"');
  const run = await openRunDirectory(path, { resume: true });
  run.events.append({ d: 4 });
  assert.equal(run.events.bytes, Buffer.byteLength('{"a":1}\n{"b":2}\n{"d":4}\n'));
  run.close();
  assert.deepEqual(readJournal(join(path, 'events.jsonl')), [{ a: 1 }, { b: 2 }, { d: 4 }]);
  assert.deepEqual(readJournal(join(path, 'none.jsonl')), []);
});

test('resuming passes over a damaged checkpoint and says so; where all are damaged it is refused', async () => {
  const path = newPath();
  await train(path, 10, { resume: false, withBytes: true });
  const damage = (step: string) => writeFileSync(join(path, 'checkpoints', step, 'config.json'), '{}');
  damage('step-000010');
  const run = await openRunDirectory(path, { resume: true });
  assert.equal(run.checkpoint?.step, 5);
  assert.match(run.damaged[0].reasons[0], /^config\.json has sha256/);
  run.close();
  damage('step-000005');
  await assert.rejects(openRunDirectory(path, { resume: true }), {
    name: 'UserError',
    message:
      /has no whole checkpoint: .*step-000010 is damaged.*step-000005 is damaged.* Put a copy of one back, or start a new run with another --out\.$/,
  });
  assert.ok(!existsSync(lockFile(path)), 'a refusal keeps no lock');
});

test('a crash between a checkpoint and its mark as the best is made good on resuming', async () => {
  const path = newPath();
  await train(path, 10, { resume: false, withBytes: true });
  await markBest(path, 5);
  (await openRunDirectory(path, { resume: true })).close();
  assert.equal(bestStep(path), 10);
});

test('--model takes a model directory, a checkpoint, or a run with its newest or best checkpoint', async () => {
  const path = newPath();
  await train(path, 10, { resume: false, withBytes: true });
  const [five, ten] = ['step-000005', 'step-000010'].map((name) => join(path, 'checkpoints', name));
  assert.equal(resolveModelDirectory(path), ten);
  assert.equal(resolveModelDirectory(five), five);
  assert.throws(() => resolveModelDirectory(path, { best: true }), {
    name: 'UserError',
    message: /has no best checkpoint yet/,
  });
  await markBest(path, 5);
  assert.equal(realpathSync(resolveModelDirectory(path, { best: true })), realpathSync(five));
  assert.equal(realpathSync(resolveModelDirectory(join(path, 'best'))), realpathSync(five));

  writeFileSync(join(ten, 'model.safetensors'), 'x');
  const warnings: string[] = [];
  assert.equal(resolveModelDirectory(path, { warn: (sentence) => warnings.push(sentence) }), five);
  assert.match(
    warnings[0],
    /step-000010 is damaged: model\.safetensors has sha256 [0-9a-f]{64}, but was written with [0-9a-f]{64}\. Using .*step-000005\.$/,
  );
  assert.throws(() => resolveModelDirectory(ten), {
    name: 'UserError',
    message: /is damaged: model\.safetensors/,
  });
  writeFileSync(join(five, 'model.safetensors'), 'x');
  assert.throws(() => resolveModelDirectory(path), {
    name: 'UserError',
    message: /step-000010.*step-000005/,
  });
  assert.throws(() => resolveModelDirectory(path, { best: true }), {
    name: 'UserError',
    message: /is damaged/,
  });
});

test('what holds no model is refused by its name', async () => {
  const empty = newPath();
  mkdirSync(empty);
  assert.throws(() => resolveModelDirectory(empty), {
    name: 'UserError',
    message: /is neither a model nor a run directory/,
  });
  assert.throws(() => resolveModelDirectory(join(empty, 'none')), {
    name: 'UserError',
    message: /does not exist/,
  });
  assert.throws(() => resolveModelDirectory(join(empty, '..', '0', 'deep', 'run')), {
    name: 'UserError',
    message: /is a run without a checkpoint yet/,
  });
});
