import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { parseConfig } from '../config/index.js';
import {
  markBest,
  newestCheckpoint,
  openRunDirectory,
  readJournal,
  resolveModelDirectory,
  saveCheckpoint,
} from './index.js';
import { openJournal } from './journal.js';
import { contentOf } from './test-content.js';

/* A disk that is full or read-only for real, where this system allows to mount one, and one that a person was at. */

const folder = mkdtempSync(join(tmpdir(), 'real-disk-'));
const disk = join(folder, 'disk');
mkdirSync(disk);
const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'manyhands-test', disk], {
  encoding: 'utf8',
});
const skip = mounted.status === 0 ? false : 'no file system can be mounted here';
after(() => {
  if (skip === false) spawnSync('umount', [disk]);
  rmSync(folder, { recursive: true });
});

/** A run with checkpoints 1 to `steps`, and a line of metrics a step. */
async function trained(path: string, steps: number): Promise<string> {
  const run = await openRunDirectory(path, { resume: false });
  await run.writeConfig(parseConfig({}));
  await run.writeTokenizer(contentOf(0).tokenizerJson ?? '');
  for (let step = 1; step <= steps; step++) {
    run.metrics.append({ kind: 'train', step });
    const content = contentOf(step);
    const state = { ...content.state, metricsBytes: run.metrics.bytes };
    await saveCheckpoint(path, { ...content, state }, { keepLast: 3 });
  }
  run.close();
  return path;
}

test('a full disk costs the new checkpoint; with room again the run goes on', { skip }, async () => {
  const path = await trained(join(disk, 'full'), 1);
  const ballast = join(disk, 'ballast');
  const { bavail, bsize } = statfsSync(disk);
  writeFileSync(ballast, new Uint8Array((bavail - 3) * bsize)); // room for three small files
  await assert.rejects(saveCheckpoint(path, contentOf(2), { keepLast: 3 }), {
    name: 'RunError',
    message: /step-000002 could not be written, since the disk is full \(ENOSPC\); step-000001 is untouched/,
  });
  const { checkpoint, damaged } = newestCheckpoint(path);
  assert.deepEqual([checkpoint?.step, damaged], [1, []]);
  assert.deepEqual(readdirSync(join(path, 'checkpoints')), ['step-000001']);
  appendFileSync(ballast, new Uint8Array(3 * bsize));
  // Not the fault of who started it: a service manager tries again, and one day there is room.
  await assert.rejects(openRunDirectory(path, { resume: true }), {
    name: 'RunError',
    message: /run\.lock could not be written, since the disk is full \(ENOSPC\)/,
  });
  rmSync(ballast);
  (await openRunDirectory(path, { resume: true })).close();
  await saveCheckpoint(path, contentOf(2), { keepLast: 3 });
  assert.equal(newestCheckpoint(path).checkpoint?.step, 2);
  rmSync(path, { recursive: true });
});

test('a journal that meets a full disk says so; a line that was cut short is not read again', {
  skip,
}, () => {
  const path = join(disk, 'metrics.jsonl');
  const journal = openJournal(path);
  let lines = 0;
  assert.throws(
    () => {
      for (; ; lines++) journal.append({ step: lines, text: 'x'.repeat(5000) });
    },
    { name: 'RunError', message: /metrics\.jsonl could not be written, since the disk is full \(ENOSPC\)/ },
  );
  journal.close();
  const whole = readJournal(path).map(({ step }) => step);
  assert.ok(readFileSync(path).at(-1) !== 10, 'the last line is cut short');
  assert.deepEqual(whole, [...whole.keys()]);
  const again = openJournal(path, { step: 9 });
  again.append({ step: 10 });
  again.close();
  assert.deepEqual(
    readJournal(path).map(({ step }) => step),
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
  );
  rmSync(path);
});

test('a read-only disk is named, and what is on it can still be used', { skip }, async (t) => {
  const path = await trained(join(disk, 'read-only'), 1);
  const remount = (how: string) => spawnSync('mount', ['-o', `remount,${how}`, disk]);
  t.after(() => remount('rw'));
  assert.equal(remount('ro').status, 0);
  await assert.rejects(openRunDirectory(path, { resume: true }), {
    name: 'RunError',
    message:
      /run\.lock could not be written, since the file system is read-only \(EROFS\); the run is as it was\.$/,
  });
  await assert.rejects(saveCheckpoint(path, contentOf(2), { keepLast: 3 }), {
    name: 'RunError',
    message: /since the file system is read-only \(EROFS\)/,
  });
  assert.equal(resolveModelDirectory(path), join(path, 'checkpoints', 'step-000001'));
});

test('a run whose newest checkpoint was deleted by hand goes on from the one before, metrics and all', async () => {
  const path = await trained(join(folder, 'deleted'), 3);
  await markBest(path, 3);
  rmSync(join(path, 'checkpoints', 'step-000003'), { recursive: true });
  assert.throws(() => resolveModelDirectory(path, { best: true }), {
    name: 'UserError',
    message: /best is damaged: state\.json is missing/,
  });
  const run = await openRunDirectory(path, { resume: true });
  assert.equal(run.checkpoint?.step, 2);
  assert.deepEqual(
    readJournal(run.metrics.path).map(({ step }) => step),
    [1, 2],
  );
  run.close();
  await saveCheckpoint(path, contentOf(3), { keepLast: 3 });
  await markBest(path, 3);
  assert.ok(existsSync(resolveModelDirectory(path, { best: true })));
});
