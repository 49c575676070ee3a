import assert from 'node:assert/strict';
import { test } from 'node:test';
import { weightsSha256 } from '@manyhands/core/checkpoint';
import { UserError } from '@manyhands/core/config';
import { createCpuKernels, createReferenceKernels } from '@manyhands/core/kernels';
import { createModel, initialWeights, type ModelConfig } from '@manyhands/core/model';
import { readStepRule } from './optimizer.js';
import { type Scene, takePicture } from './take-picture.js';

const gpt2: ModelConfig = {
  ...{ arch: 'gpt2', layers: 2, heads: 2, kvHeads: 2, channels: 8, hidden: 16, context: 8, vocab: 11 },
  ...{ dropout: 0, tieEmbeddings: true, activation: 'gelu_new', epsilon: 1e-5, ropeTheta: 10000 },
};
const configs: readonly ModelConfig[] = [gpt2, { ...gpt2, arch: 'llama', kvHeads: 1, activation: 'silu' }];

function sceneOf(config: ModelConfig, steps: number): Scene {
  const model = createModel(config);
  return {
    model,
    weights: initialWeights(model, 7),
    example: {
      ...{ batch: 1, time: 5, asked: 2 },
      inputs: Int32Array.of(1, 2, 3, 4, 5),
      targets: Int32Array.of(-1, -1, -1, 5, 6),
    },
    rule: readStepRule(undefined, steps),
    text: (id) => `<${id}>`,
    endOfText: null,
  };
}

for (const config of configs) {
  test(`a picture of ${config.arch} holds what the graph of each step held`, async () => {
    const scene = sceneOf(config, 3);
    const kernels = await createCpuKernels();
    const before = scene.weights.slice();
    const { picture, walk } = await takePicture(kernels, scene);
    await kernels.dispose();
    assert.deepEqual(scene.weights, before);
    assert.deepEqual(
      picture.tokens.map(({ id }) => id),
      [1, 2, 3, 4, 5, 6],
    );
    assert.deepEqual(
      picture.moments.map(({ loss }) => loss),
      walk.losses,
    );
    assert.equal(picture.steps.length, 3);
    assert.equal(picture.steps[0].gradientNorm, walk.gradNorm);
    assert.equal(picture.moments[0].weightsSha256, weightsSha256(scene.weights));
    assert.equal(picture.moments[3].weightsSha256, weightsSha256(walk.after));
    assert.equal(new Set(picture.moments.map((moment) => moment.weightsSha256)).size, 4);

    for (const { loss, predictions } of picture.moments) {
      assert.deepEqual(
        predictions.map(({ answer }) => answer.id),
        [5, 6],
      );
      const mean = predictions.reduce((sum, { answer }) => sum - Math.log(answer.probability), 0) / 2;
      assert.ok(Math.abs(mean - loss) < 1e-5, 'the loss is the mean surprise at the answers');
    }
    for (const { attention, embeddings, nodes, moved } of picture.steps) {
      assert.deepEqual([attention.length, attention[0].length, attention[0][0].length], [2, 2, 15]);
      for (const shares of attention.flat()) {
        assert.equal(shares[0], 1, 'the first token can look at itself alone');
        assert.ok(Math.abs(shares.slice(10).reduce((a, b) => a + b) - 1) < 1e-3);
      }
      assert.equal(nodes.length, picture.graph.length);
      const at = picture.graph.findIndex(({ operation }) => operation === 'crossEntropy');
      assert.ok(nodes[at].output.greatest >= nodes[at].output.mean);
      assert.ok(Math.abs((nodes[at].gradientNorm ?? 0) - Math.sqrt(5) / 2) < 1e-6, 'ones, over two asked');
      assert.equal(embeddings.length, 5);
      const distances = moved.map(({ before, after }) => Math.abs(after - before));
      assert.equal(distances.length, 10);
      assert.deepEqual(
        distances,
        distances.toSorted((a, b) => b - a),
      );
    }
    const biggest = walk.after.reduce((most, value, i) => Math.max(most, Math.abs(value - before[i])), 0);
    assert.ok(biggest > 0);
  });
}

test('the ten weights that moved most are found among all, each where it stands in its tensor', async () => {
  const scene = sceneOf(gpt2, 1);
  const kernels = await createCpuKernels();
  const { picture, walk } = await takePicture(kernels, scene);
  await kernels.dispose();
  const changes = Array.from(walk.after, (value, i) => Math.abs(value - scene.weights[i]));
  const [step] = picture.steps;
  assert.deepEqual(
    step.moved.map(({ before, after }) => Math.abs(after - before)),
    changes.toSorted((a, b) => b - a).slice(0, 10),
  );
  for (const { name, index, before, after } of step.moved) {
    const parameter = scene.model.parameters.find((candidate) => candidate.name === name);
    assert.ok(parameter);
    const flat = index.reduce((at, i, axis) => at * parameter.shape[axis] + i, 0) + parameter.offset;
    assert.deepEqual([before, after], [scene.weights[flat], walk.after[flat]]);
  }
});

test('the statistics of a node are those of its values', async () => {
  const kernels = await createCpuKernels();
  const { picture, walk } = await takePicture(kernels, sceneOf(gpt2, 1));
  await kernels.dispose();
  const { output } =
    picture.steps[0].nodes[picture.graph.findLastIndex((node) => node.operation === 'linear')];
  const { logits } = walk;
  const mean = logits.reduce((sum, value) => sum + value / logits.length, 0);
  const meanSquare = logits.reduce((sum, value) => sum + value ** 2 / logits.length, 0);
  assert.ok(Math.abs(output.mean - mean) < 1e-9);
  assert.ok(Math.abs(output.deviation - Math.sqrt(meanSquare - mean ** 2)) < 1e-6);
  assert.deepEqual([output.least, output.greatest], [Math.min(...logits), Math.max(...logits)]);
});

test('node statistics and gradients are those of a float64 graph', async () => {
  const scene = sceneOf(gpt2, 1);
  const [cpu, reference] = [await createCpuKernels(), createReferenceKernels()];
  const [ours, expected] = [await takePicture(cpu, scene), await takePicture(reference, scene)];
  await cpu.dispose();
  ours.picture.steps[0].nodes.forEach((node, i) => {
    const other = expected.picture.steps[0].nodes[i];
    for (const key of ['mean', 'deviation', 'least', 'greatest'] as const) {
      assert.ok(Math.abs(node.output[key] - other.output[key]) < 1e-4, `node ${i} ${key}`);
    }
    assert.ok(Math.abs((node.gradientNorm ?? 0) - (other.gradientNorm ?? 0)) < 1e-4, `node ${i}`);
  });
});

test('inference feeds back what it wrote, holds what it saw, and leaves the weights alone', async () => {
  const scene = sceneOf(gpt2, 2);
  const kernels = await createCpuKernels();
  const { picture } = await takePicture(kernels, scene);
  await kernels.dispose();
  const { tokens, weightsSha256: hashes } = picture.inference;
  assert.equal(tokens.length, 12);
  assert.deepEqual(hashes, {
    before: weightsSha256(scene.weights),
    after: weightsSha256(scene.weights),
  });
  assert.deepEqual(
    tokens[0].fed.map(({ id }) => id),
    [1, 2, 3, 4],
  );
  const [first] = picture.moments[0].predictions;
  tokens[0].candidates.forEach((candidate, i) => {
    assert.equal(candidate.id, first.guesses[i].id, 'the same forward pass as training’s');
    assert.ok(Math.abs(candidate.probability - first.guesses[i].probability) < 1e-6);
  });
  const written = [1, 2, 3, 4];
  for (const { fed, held, candidates, picked } of tokens) {
    assert.equal(picked.id, candidates[0].id, 'the likeliest is taken');
    const seen = written.slice(-8);
    assert.deepEqual(
      fed.map(({ id }) => id),
      written.length === 4 || written.length > 8 ? seen : seen.slice(-1),
    );
    assert.equal(held + fed.length, seen.length);
    written.push(picked.id);
  }
});

test('a picture that no page could hold is refused with what would fit', async () => {
  const kernels = createReferenceKernels();
  await assert.rejects(takePicture(kernels, sceneOf(gpt2, 10_000)), (error: Error) => {
    assert.ok(error instanceof UserError);
    assert.match(
      error.message,
      /--steps is 10000, but a page of this model and prompt can show at most \d+\./,
    );
    return true;
  });
});
