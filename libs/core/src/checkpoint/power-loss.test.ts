import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { loadCheckpoint, loadModel, markBest, newestCheckpoint, saveCheckpoint } from './index.js';
import { type Loss, LossyDisk } from './lossy-disk.js';
import type { Storage } from './storage.js';
import { contentOf, model } from './test-content.js';

const folder = mkdtempSync(join(tmpdir(), 'power-loss-'));
after(() => rmSync(folder, { recursive: true }));
let made = 0;

const nothing: Loss = { keepsChange: () => false, keeps: () => 'nothing new' };
const everything: Loss = { keepsChange: () => true, keeps: () => 'everything' };
const torn: Loss = { keepsChange: () => true, keeps: () => 'half' };
/** Names without content: what journals of file systems are known to leave. */
const empty: Loss = { keepsChange: () => true, keeps: () => 'nothing new' };

/** Any of the changes, as the bits of a number say. */
function some(bits: number): Loss {
  let state = bits;
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 8;
  };
  return {
    keepsChange: () => next() % 2 === 0,
    keeps: () => (['nothing new', 'half', 'everything'] as const)[next() % 3],
  };
}

/**
 * Saves checkpoint 2 of a run that has 0 and 1, and cuts the power after each operation, in several ways.
 * @returns the newest step after each, and how many operations there were until `saveCheckpoint` said that it is saved
 */
async function cutPower(change: (storage: Storage) => Storage = (storage) => storage) {
  const run = join(folder, `run-${made++}`);
  mkdirSync(run);
  await saveCheckpoint(run, contentOf(0), { keepLast: 9 });
  await saveCheckpoint(run, contentOf(1), { keepLast: 9 });
  await markBest(run, 0);
  const left = `${run}-left`;
  const lossy = new LossyDisk(run);
  const found: { readonly operation: string; readonly step: number }[] = [];
  const storage = change(
    lossy.storage((operation) => {
      const losses = [nothing, everything, torn, empty, some(2 * found.length), some(2 * found.length + 1)];
      for (const loss of losses) {
        rmSync(left, { recursive: true, force: true });
        lossy.loseInto(left, loss);
        found.push({ operation, step: wholeIn(left, operation) });
      }
    }),
  );
  await saveCheckpoint(run, contentOf(2), { keepLast: 1, storage });
  const saved = found.length;
  await markBest(run, 2, storage);
  return { found, saved };
}

/** The newest step of what is left, which must be whole; whatever `best` points at must be so too. */
function wholeIn(run: string, operation: string): number {
  const { checkpoint, damaged } = newestCheckpoint(run);
  assert.deepEqual(damaged, [], `half a checkpoint has a name after ${operation}`);
  assert.ok(checkpoint, `nothing is left after ${operation}`);
  const { weights, optimizer } = loadCheckpoint(checkpoint.path, model);
  assert.deepEqual(weights, contentOf(checkpoint.step).weights);
  assert.deepEqual(optimizer, contentOf(checkpoint.step).optimizer);
  assert.doesNotThrow(() => loadModel(join(run, 'best')), `the best one is not whole after ${operation}`);
  return checkpoint.step;
}

test('after a power loss at any operation the newest checkpoint is whole, and one that was said to be saved is there', async () => {
  const { found, saved } = await cutPower();
  assert.ok(found.length > 200, `${found.length} losses`);
  assert.ok(found.every(({ step }) => step > 0) && found.some(({ step }) => step === 1));
  assert.deepEqual(new Set(found.slice(saved).map(({ step }) => step)), new Set([2]));
});

/* The disk must be able to lose what was not flushed, or the test above would see nothing. */
const careless: Record<string, (storage: Storage) => Storage> = {
  'files that are not flushed': (storage) => ({
    ...storage,
    create: async (path) => ({ ...(await storage.create(path)), sync: async () => {} }),
  }),
  'names in a checkpoint that are not flushed': (storage) => ({
    ...storage,
    syncDirectory: async (path) => {
      if (!path.includes('.partial')) await storage.syncDirectory(path);
    },
  }),
  'a name that is not flushed before older ones are removed': (storage) => ({
    ...storage,
    syncDirectory: async (path) => {
      if (!path.endsWith('checkpoints')) await storage.syncDirectory(path);
    },
  }),
};
for (const [what, change] of Object.entries(careless)) {
  test(`${what} would be found`, async () => {
    await assert.rejects(cutPower(change), assert.AssertionError);
  });
}
