import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { randomStream } from '@manyhands/core/numeric';
import { learning } from '../learning.js';
import { run, sampleText, temporaryFolder, tinyConfig } from './cluster.js';

const folder = temporaryFolder(after);

/** Words, numbers and letters by the roll of a die: three kinds of text that have little in common. */
function texts(): Record<'words' | 'numbers' | 'letters', string> {
  const random = randomStream(3, 0);
  const many = (alphabet: string, length: number) =>
    Array.from({ length }, () => alphabet[random.below(alphabet.length)]).join('');
  const paths = {
    words: join(folder, 'words.txt'),
    numbers: join(folder, 'numbers.txt'),
    letters: join(folder, 'letters.txt'),
  };
  writeFileSync(paths.words, sampleText(20_000));
  writeFileSync(paths.numbers, many('0123456789 \n', 8000));
  writeFileSync(paths.letters, many('the whalsndcrpi.', 6000));
  return paths;
}

const paths = texts();
const trained = [
  { path: paths.words, weight: 1 },
  {
    path: paths.numbers,
    name: 'figures',
    weight: [
      [0, 0],
      [6, 2],
    ],
  },
];
const mixture = (sources: unknown[]) => tinyConfig(folder, { data: { sources, tokenizer: 'char' } });
const config = mixture([...trained, { path: paths.letters, heldOut: true }]);
const calm = await run(config, join(folder, 'calm'), { threads: [1] });

function evaluations(out: string): Record<string, unknown>[] {
  return learning(out).filter(({ kind }) => kind === 'eval');
}

test('each evaluation tells the losses of every source; what is held out has no training loss', () => {
  const all = evaluations(calm.summary.out);
  assert.deepEqual(
    all.map(({ step }) => step),
    [0, 4, 8],
  );
  for (const { sources, trainSources, heldOut } of all) {
    assert.deepEqual(Object.keys(Object(sources)), ['words', 'figures', 'letters']);
    assert.deepEqual(Object.keys(Object(trainSources)), ['words', 'figures']);
    assert.deepEqual(heldOut, ['letters']);
  }
  const told = calm.events.filter((event) => event.kind === 'eval');
  assert.deepEqual(
    told.map(({ sources, heldOut }) => ({ sources, heldOut })),
    all.map(({ sources, heldOut }) => ({ sources, heldOut })),
  );
});

for (const threads of [
  [1, 1],
  [2, 1, 1, 1, 1],
]) {
  test(`${threads.length} workers come to the same weights and the same losses of each source`, async () => {
    const { summary } = await run(config, join(folder, `workers-${threads.length}`), { threads });
    assert.equal(summary.weightsSha256, calm.summary.weightsSha256);
    assert.deepEqual(learning(summary.out), learning(calm.summary.out));
  });
}

test('a run that is interrupted while the mixture changes goes on in it', async () => {
  const out = join(folder, 'resumed');
  const interrupted = await run(config, out, {
    threads: [1],
    during(event, stage) {
      if (event.kind === 'step' && event.step === 3) stage.stop();
    },
  });
  assert.ok(interrupted.summary.interrupted && interrupted.summary.step < 8);
  const { summary } = await run(config, out, { threads: [1, 1] }, true);
  assert.equal(summary.weightsSha256, calm.summary.weightsSha256);
  assert.deepEqual(learning(out), learning(calm.summary.out));
});

test('what is held out changes neither the weights nor any figure but its own loss', async () => {
  // Its characters are all in the words, so that the vocabulary is the same without it.
  const { summary } = await run(mixture(trained), join(folder, 'alone'), { threads: [1] });
  assert.equal(summary.weightsSha256, calm.summary.weightsSha256);
  const own = ({ sources, ...line }: Record<string, unknown>) => {
    const { letters: _, ...rest } = Object(sources);
    return { ...line, heldOut: [], sources: rest };
  };
  assert.deepEqual(evaluations(summary.out), evaluations(calm.summary.out).map(own));
  assert.equal(summary.bestValidationLoss, calm.summary.bestValidationLoss);
});

test('the mixture decides the weights: without its schedule the run comes to others', async () => {
  const [words, { path, name }] = trained;
  const { summary } = await run(mixture([words, { path, name }]), join(folder, 'even'), { threads: [1] });
  assert.notEqual(summary.weightsSha256, calm.summary.weightsSha256);
});
