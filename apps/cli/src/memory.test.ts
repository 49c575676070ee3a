import assert from 'node:assert/strict';
import { totalmem } from 'node:os';
import { test } from 'node:test';
import { parseConfig, UserError } from '@manyhands/core/config';
import { createModel, memoryEstimate, resolveModelConfig } from '@manyhands/core/model';
import { loadTokenizer, vocabularyNames } from '@manyhands/tokenizer';
import {
  type LocalMachine,
  machineMemory,
  memoryNeed,
  refuseTooLarge,
  tellNeed,
  totalNeed,
} from './memory.js';
import { expectedVocabulary, vocabularySizes } from './vocabulary.js';

const config = (changes: object = {}) => parseConfig({ model: { vocab: 65 }, ...changes });
const modelOf = ({ model }: ReturnType<typeof config>) =>
  createModel(resolveModelConfig({ ...model, vocab: model.vocab ?? 65 }));
const machine: LocalMachine = { workers: 2, threads: 3, backend: 'cpu' };

function refusal(changes: object, where: LocalMachine, available: number, workspace?: number): string | null {
  const asked = config(changes);
  const need = memoryNeed(modelOf(asked), asked, where);
  try {
    refuseTooLarge(workspace === undefined ? need : { ...need, workspace }, asked, where, available);
    return null;
  } catch (error) {
    assert.ok(error instanceof UserError, String(error));
    return error.message;
  }
}

test('the need is that of its parts, each as often as it is there', () => {
  const need = memoryNeed(modelOf(config()), config(), machine);
  assert.equal(totalNeed(need, machine), need.coordinator + 2 * need.worker + 6 * need.thread);
  // Four micro-batches of 3 sequences, one for each of six threads at most.
  const { thread } = memoryEstimate(modelOf(config()), 3, 64, 1);
  assert.equal(need.workspace, thread);
  assert.ok(need.thread > need.workspace);
  const alone = memoryNeed(modelOf(config()), config(), { ...machine, workers: 1, threads: 1 });
  assert.equal(
    alone.workspace,
    memoryEstimate(modelOf(config()), 3, 64, 4).thread,
    'one thread sums all four',
  );
  const again = config({ batch: { recompute: true } });
  assert.ok(memoryNeed(modelOf(again), again, machine).workspace < need.workspace);
  const sgd = memoryNeed(modelOf(config()), config({ optimizer: { name: 'sgd' } }), machine);
  assert.equal(
    need.coordinator - sgd.coordinator,
    2 * 4 * modelOf(config()).size,
    'adamw remembers one array more, twice while it saves',
  );
});

test('a run is told by its threads, a coordinator by those that may join', () => {
  const need = { workspace: 0, thread: 230e6, worker: 90e6, coordinator: 100e6 };
  const one = { workers: 1, threads: 1, backend: 'cpu' } as const;
  assert.equal(
    tellNeed(need, one),
    'this needs 230 MB for its thread and 100 MB for the coordinator, 420 MB in all',
  );
  assert.match(
    tellNeed(need, { ...one, workers: 2, threads: 2 }),
    /^this needs 230 MB for each of 4 threads /,
  );
  assert.equal(
    tellNeed(need, { ...one, workers: 0, threads: 0 }),
    'this needs 100 MB here and 230 MB for each thread of a worker',
  );
});

test('a run that fits is let through; one byte less refuses it', () => {
  const total = totalNeed(memoryNeed(modelOf(config()), config(), machine), machine);
  assert.equal(refusal({}, machine, total), null);
  const sentence = refusal({}, machine, total - 1) ?? assert.fail('it was let through');
  assert.match(
    sentence,
    /^This run needs [\d.]+ MB \(6 threads of [\d.]+ MB, the coordinator [\d.]+ MB\), but/,
  );
  assert.match(
    sentence,
    /: lower --threads, lower batch\.microBatch, 3, set batch\.recompute: true, or lower model\.context, 64\.$/,
  );
});

test('only what would help is named', () => {
  const one = { ...machine, workers: 1, threads: 1 };
  const bare = { batch: { microBatch: 1, recompute: true } };
  const { coordinator, worker } = memoryNeed(modelOf(config(bare)), config(bare), one);
  assert.match(refusal(bare, one, coordinator + worker) ?? '', /has [\d.]+ MB: lower model\.context, 64\.$/);
  assert.match(
    refusal(bare, machine, coordinator + worker) ?? '',
    /: lower --workers, or take a smaller model, with fewer model\.layers or model\.channels\.$/,
  );
  assert.match(refusal(bare, one, 1) ?? '', /: take a smaller model/);
});

test('a thread ends where its WebAssembly memory does, but not on a GPU, and not for workers elsewhere', () => {
  const infinite = Number.POSITIVE_INFINITY;
  assert.equal(refusal({}, machine, infinite, 2 ** 32), null);
  assert.match(
    refusal({}, machine, infinite, 2 ** 32 + 1) ?? '',
    /^A thread would need 4\.29 GB, but its WebAssembly memory ends at 4\.29 GB: lower batch\.microBatch, 3, set/,
  );
  assert.equal(refusal({}, { ...machine, backend: 'gpujs' }, infinite, 2 ** 33), null);
  assert.equal(refusal({}, { workers: 0, threads: 0, backend: 'auto' }, infinite, 2 ** 33), null);
});

test('the machine’s memory is at most what it has', () => {
  assert.ok(machineMemory() > 0 && machineMemory() <= totalmem());
});

test('the sizes of the named vocabularies are those of their tokenizers', async () => {
  for (const name of vocabularyNames) {
    assert.equal((await loadTokenizer(name)).vocabSize, vocabularySizes[name], name);
    const named = parseConfig({ data: { tokenizer: name } });
    assert.equal(await expectedVocabulary(named, 'nowhere'), vocabularySizes[name]);
  }
  assert.equal(await expectedVocabulary(config(), 'nowhere'), 65, 'what the config says goes first');
  await assert.rejects(
    expectedVocabulary(parseConfig({ data: { tokenizer: 'nowhere.json' } }), ''),
    /nowhere/,
  );
});
