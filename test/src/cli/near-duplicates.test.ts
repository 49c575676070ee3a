import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { manyhands, temporaryFolder } from './command-line.js';

test('data prepare tells of texts on both sides of the split, and leaves them out where it is asked to', async (context) => {
  const folder = temporaryFolder(context);
  const text = (number: number) =>
    Array.from({ length: 60 }, (_, at) => `word${(number * 7919 + at * at) % 10007}`).join(' ');
  // Each text twice, the second time with its number at the end, so that chance decides both sides anew.
  const texts = Array.from({ length: 120 }, (_, index) => `${text(index >> 1)} ${index}`);
  writeFileSync(path.join(folder, 'a.jsonl'), texts.map((line) => JSON.stringify({ text: line })).join('\n'));
  const prepare = ['data', 'prepare', '--data', 'a.jsonl', '--tokenizer', 'r50k_base', '--out'];
  const told = await manyhands([...prepare, 'told'], { cwd: folder });
  assert.equal(told.status, 0, told.stderr);
  assert.match(
    told.stderr,
    /\d+ texts kept for validation are nearly the same as one that is trained on \(a\.jsonl:\d+ of a\.jsonl:\d+, similarity 0\.9\d\): the validation loss looks better than it is; --drop-near-duplicates leaves them out/,
  );
  const dropped = await manyhands([...prepare, 'dropped', '--drop-near-duplicates'], { cwd: folder });
  assert.match(dropped.stderr, /: left out$/m);
  const inspect = async (out: string) =>
    JSON.parse((await manyhands(['data', 'inspect', out, '--json'], { cwd: folder })).stdout);
  const [before, after] = [await inspect('told'), await inspect('dropped')];
  const documents = ({ sources }: { sources: { validation: { documents: number } }[] }) =>
    sources[0].validation.documents;
  assert.equal(documents(after), documents(before) - after.nearDuplicates.found);
  assert.equal(after.sources[0].train.tokens, before.sources[0].train.tokens);
});
