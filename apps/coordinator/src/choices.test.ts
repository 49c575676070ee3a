import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Choices } from './choices.js';

const folder = mkdtempSync(join(tmpdir(), 'manyhands-choices-'));
after(() => rmSync(folder, { recursive: true, force: true }));

/** Asks for a worker; what it was told is in `told`. */
function ask(choices: Choices, kind = 'a machine') {
  const told: string[] = [];
  const turn = choices.ask(kind, (known) => told.push(known));
  return { told, turn };
}

test('the first worker of a kind measures, the second is told when it is done', () => {
  const choices = new Choices(folder, false, true);
  const first = ask(choices);
  const second = ask(choices);
  assert.deepEqual([first.told, second.told], [[''], []]);
  first.turn?.settle('native');
  assert.deepEqual(second.told, ['native']);
  second.turn?.settle('wasm'); // who was told does not choose
  assert.deepEqual(ask(choices).told, ['native']);
});

test('where the measurer leaves without a word the next one measures, and one that left is not told', () => {
  const choices = new Choices(folder, false, true);
  const [first, second, third] = [ask(choices), ask(choices), ask(choices)];
  second.turn?.leave();
  first.turn?.leave();
  assert.deepEqual([second.told, third.told], [[], ['']]);
});

test('a worker with nothing to tell leaves the choice to the next of its kind', () => {
  const choices = new Choices(folder, false, true);
  const first = ask(choices);
  const second = ask(choices);
  first.turn?.settle(null);
  assert.deepEqual(second.told, ['']);
});

test('kinds do not wait for each other', () => {
  const choices = new Choices(folder, false, true);
  ask(choices, 'one');
  assert.deepEqual(ask(choices, 'another').told, ['']);
});

test('choices outlast their worker and the process; a new run begins without them', () => {
  const choices = new Choices(folder, false, true);
  const first = ask(choices, 'kept');
  first.turn?.settle('lines\nof text');
  first.turn?.leave();
  assert.deepEqual(ask(choices, 'kept').told, ['lines\nof text']);
  assert.deepEqual(ask(new Choices(folder, true, true), 'kept').told, ['lines\nof text']);
  assert.deepEqual(ask(new Choices(folder, false, true), 'kept').told, ['']);
});

test('where every kernel gives the same bits nobody waits', () => {
  const choices = new Choices(folder, false, false);
  assert.deepEqual([ask(choices).told, ask(choices).told], [[''], ['']]);
});

test('a run takes so many kinds and no more', () => {
  const choices = new Choices(folder, false, true);
  for (let kind = 0; kind < 64; kind++) assert.notEqual(ask(choices, `machine ${kind}`).turn, null);
  assert.equal(ask(choices, 'one more').turn, null);
  assert.notEqual(ask(choices, 'machine 5').turn, null);
});

for (const damage of ['', '[]', '{"a":1}', JSON.stringify({ a: 'x'.repeat(70_000) })]) {
  test(`a damaged file is told by name instead of measured over: ${damage.slice(0, 10)}`, () => {
    const file = join(folder, 'machine-choices.json');
    writeFileSync(file, damage);
    assert.throws(() => new Choices(folder, true, true), /machine-choices\.json is damaged: put a copy back/);
    assert.equal(readFileSync(file, 'utf8'), damage);
  });
}
