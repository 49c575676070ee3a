import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseConfig } from '@manyhands/core/config';
import { createModel, modelHash, resolveModelConfig } from '@manyhands/core/model';
import { checkersTask, languageTask, taskFromJson, taskHash, taskToJson } from './index.js';

const checkers = (keys: object = {}) => checkersTask(parseConfig({ task: { name: 'checkers', ...keys } }));

describe('a task', () => {
  it('is said to a worker, which hears the same', () => {
    for (const task of [checkers(), checkers({ evaluation: 'network', hidden: 5 })]) {
      const heard = taskFromJson(taskToJson(task));
      assert.deepEqual(heard, task);
      assert.equal(taskHash(heard), taskHash(task));
    }
  });

  it('of language is its model, as workers always heard it', () => {
    const { model } = parseConfig({});
    const task = languageTask(createModel(resolveModelConfig({ ...model, vocab: 9 })));
    assert.equal(taskToJson(task), JSON.stringify(task.model.config));
    assert.equal(taskHash(task), modelHash(task.model));
    assert.deepEqual(taskFromJson(taskToJson(task)), task);
  });

  it('has another hash where anything of it would play otherwise', () => {
    const changes = [
      {},
      { depth: 4 },
      { lambda: 0.1 },
      { exploration: 0.2 },
      { openingMoves: 1 },
      { maxMoves: 90 },
    ];
    const hashes = [...changes, { evaluation: 'network' }, { evaluation: 'network', hidden: 7 }].map((keys) =>
      taskHash(checkers(keys)),
    );
    assert.equal(new Set(hashes).size, hashes.length);
  });

  it('from a stranger is read within bounds', () => {
    const said = JSON.parse(taskToJson(checkers({ evaluation: 'network' })));
    for (const wrong of [
      { ...said, task: 'chess' },
      { ...said, play: { ...said.play, depth: 10_000 } },
      { ...said, play: { ...said.play, maxMoves: 1e9 } },
      { ...said, model: { ...said.model, inputs: 5 } },
      { ...said, model: { ...said.model, hidden: 1e9 } },
      { ...said, more: 1 },
    ]) {
      assert.throws(
        () => taskFromJson(JSON.stringify(wrong)),
        /^Error: the (task checkers|model’s config) has /,
      );
    }
    assert.throws(() => taskFromJson('{'), /not JSON/);
  });
});
