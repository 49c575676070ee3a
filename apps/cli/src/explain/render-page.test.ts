import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createReferenceKernels } from '@manyhands/core/kernels';
import { createModel, initialWeights } from '@manyhands/core/model';
import { readStepRule } from './optimizer.js';
import { renderPage } from './render-page.js';
import { takePicture } from './take-picture.js';

test('what a page shows stands in it as data, whatever its tokens look like', async () => {
  const model = createModel({
    ...{ arch: 'gpt2', layers: 1, heads: 1, kvHeads: 1, channels: 4, hidden: 8, context: 4, vocab: 5 },
    ...{ dropout: 0, tieEmbeddings: true, activation: 'gelu_new', epsilon: 1e-5, ropeTheta: 10000 },
  });
  const { picture } = await takePicture(createReferenceKernels(), {
    model,
    weights: initialWeights(model, 1),
    example: {
      ...{ batch: 1, time: 2, asked: 1 },
      inputs: Int32Array.of(1, 2),
      targets: Int32Array.of(-1, 3),
    },
    rule: readStepRule(undefined, 1),
    text: (id) => ['a', '</script><script>alert(1)</script>', '<!--', '"\u2028', ' '][id],
    endOfText: null,
  });
  const page = renderPage(picture);
  assert.equal(page.match(/<script/g)?.length, 2, 'the data and the program');
  assert.equal(page.match(/<\/script/g)?.length, 2);
  assert.doesNotMatch(page, /<!--/);
  const [, data] = /<script type="application\/json" id="data">(.*?)<\/script>/s.exec(page) ?? [];
  const read = JSON.parse(data);
  assert.deepEqual(read.tokens, picture.tokens);
  assert.deepEqual(read.graph, picture.graph);
  const [ours, theirs] = [picture.steps[0].moved, read.steps[0].moved];
  ours.forEach(({ after }, i) => {
    assert.equal(Math.fround(theirs[i].after), Math.fround(after));
  });
});
