import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { loadModel, readSafetensors } from '@manyhands/core/checkpoint';
import { Graph } from '@manyhands/core/graph';
import type { Kernels } from '@manyhands/core/kernels';
import { createCache, forward, type Model, parameterNodes, uploadWeights } from '@manyhands/core/model';
import { applyStep, createOptimizer, type OptimizerConfig } from '@manyhands/core/optim';
import { Learner, type MicroBatch } from '@manyhands/core/train';

/** What PyTorch computed in float64 for a tiny model: see fixtures/parity. */
export interface Fixture {
  readonly model: Model;
  readonly weights: Float32Array;
  /** The batch as one micro-batch of 3 sequences of 16. */
  readonly batch: MicroBatch;
  readonly loss: number;
  readonly gradNorm: number;
  /** Before the first step and after each of ten. */
  readonly losses: readonly number[];
  /** The first four ids of the first sequence, continued greedily. */
  readonly greedy: readonly number[];
  readonly optimizer: OptimizerConfig;
  readonly gradientClip: number;
  readonly logits: Float32Array;
  /** Flat: of the mean loss, before clipping. */
  readonly gradient: Float32Array;
  /** Flat: the weights after ten steps. */
  readonly after: Float32Array;
}

export type FixtureName = 'gpt2-tiny' | 'llama-tiny';
export const fixtureNames: readonly FixtureName[] = ['gpt2-tiny', 'llama-tiny'];

interface Expected {
  loss: number;
  grad_norm: number;
  losses: number[];
  greedy: number[];
  optimizer: {
    lr: number;
    betas: [number, number];
    eps: number;
    weight_decay: number;
    clip_grad_norm: number;
  };
}

export function readFixture(name: FixtureName): Fixture {
  const directory = fileURLToPath(new URL(`../../fixtures/parity/${name}/`, import.meta.url));
  const { model, weights } = loadModel(directory);
  const ours: { input_ids: number[][]; labels: number[][] } = JSON.parse(
    readFileSync(`${directory}batch.json`, 'utf8'),
  );
  const expected: Expected = JSON.parse(readFileSync(`${directory}expected.json`, 'utf8'));
  const { tensors } = readSafetensors(`${directory}expected.safetensors`);
  const tensor = (key: string) => {
    const found = tensors.get(key);
    assert.ok(found, `${name} has no ${key}`);
    return found.data;
  };
  const flat = (prefix: string) => {
    const values = new Float32Array(model.size);
    for (const parameter of model.parameters)
      values.set(tensor(`${prefix}.${parameter.name}`), parameter.offset);
    return values;
  };
  const { lr, betas, eps, weight_decay: weightDecay, clip_grad_norm: gradientClip } = expected.optimizer;
  return {
    model,
    weights,
    batch: {
      index: 0,
      batch: ours.input_ids.length,
      time: ours.input_ids[0].length,
      inputs: Int32Array.from(ours.input_ids.flat()),
      targets: Int32Array.from(ours.labels.flat()),
    },
    loss: expected.loss,
    gradNorm: expected.grad_norm,
    losses: expected.losses,
    greedy: expected.greedy,
    optimizer: { name: 'adamw', lr, betas, eps, weightDecay },
    gradientClip,
    logits: tensor('logits'),
    gradient: flat('grad'),
    after: flat('after'),
  };
}

/** Everything below, one after the other, on one backend. */
export async function checkParity(kernels: Kernels, name: FixtureName): Promise<void> {
  const fixture = readFixture(name);
  await checkLogits(kernels, fixture);
  await checkGradients(kernels, fixture);
  await checkInert(kernels, fixture);
  await checkUnequalMicroBatches(kernels, fixture);
  await checkTenSteps(kernels, fixture);
  await checkGreedy(kernels, fixture);
}

/** Logits within 1e-4. */
export async function checkLogits(
  kernels: Kernels,
  { model, weights, batch, logits }: Fixture,
): Promise<void> {
  const mark = kernels.mark();
  const graph = new Graph(kernels, { record: false });
  const parameter = parameterNodes(graph, uploadWeights(kernels, model, weights));
  const node = forward(graph, model, parameter, { ids: batch.inputs, batch: batch.batch, time: batch.time });
  assertWithin(await kernels.read(node.output), logits, 1e-4, 'logits');
  kernels.release(mark);
}

/**
 * What the kernels leave where the gradient is zero (the bias of GPT-2's keys) is rounding alone: under 1e-6 of the
 * tensor's largest entry. Training sets it to zero, so the other checks would not see it.
 */
export async function checkInert(kernels: Kernels, { model, weights, batch }: Fixture): Promise<void> {
  const mark = kernels.mark();
  const graph = new Graph(kernels);
  const parameter = parameterNodes(graph, uploadWeights(kernels, model, weights));
  const input = { ids: batch.inputs, batch: batch.batch, time: batch.time };
  const targets = graph.input('targets', kernels.indices(batch.targets));
  graph.backward(graph.crossEntropy(forward(graph, model, parameter, input), targets));
  for (const { name, inert } of model.parameters) {
    if (inert === undefined) continue;
    const { gradient } = parameter(name);
    assert.ok(gradient);
    const values = Float32Array.from(await kernels.read(gradient));
    const zeros = values.subarray(inert.first, inert.first + inert.count);
    assertWithin(zeros, new Float32Array(inert.count), 1e-6 * largestOf(values), `gradient of ${name}`);
  }
  kernels.release(mark);
}

/** Loss within 1e-4, every gradient within 3e-4 of its tensor's largest entry. */
export async function checkGradients(kernels: Kernels, fixture: Fixture): Promise<void> {
  const { model, weights, batch, loss, gradient } = fixture;
  const learner = Learner.create(kernels, model);
  learner.setWeights(weights);
  const sum = new Float32Array(model.size).fill(Number.NaN);
  const { lossSum, targets } = await learner.gradients(batch, { seed: 0, step: 0 }, sum);
  assert.equal(targets, batch.targets.length);
  assertClose(lossSum / targets, loss, 1e-4, 'loss');
  assertTensors(
    model,
    sum.map((value) => value / targets),
    gradient,
    'gradient',
  );
}

/** Micro-batches of 32, 5 and 11 targets add up to PyTorch's full batch: sums are added, never means averaged. */
export async function checkUnequalMicroBatches(kernels: Kernels, fixture: Fixture): Promise<void> {
  const { model, weights, batch, loss, gradient } = fixture;
  const { time } = batch;
  const rest = { inputs: batch.inputs.subarray(2 * time), targets: batch.targets.subarray(2 * time) };
  const parts: MicroBatch[] = [
    {
      index: 0,
      batch: 2,
      time,
      inputs: batch.inputs.subarray(0, 2 * time),
      targets: batch.targets.subarray(0, 2 * time),
    },
    { index: 1, batch: 1, time: 5, inputs: rest.inputs.subarray(0, 5), targets: rest.targets.subarray(0, 5) },
    {
      index: 2,
      batch: 1,
      time,
      inputs: rest.inputs,
      targets: rest.targets.map((target, t) => (t < 5 ? -1 : target)),
    },
  ];
  const learner = Learner.create(kernels, model);
  learner.setWeights(weights);
  const total = new Float32Array(model.size);
  const part = new Float32Array(model.size);
  const counts: number[] = [];
  let sum = 0;
  for (const micro of parts) {
    const { lossSum, targets } = await learner.gradients(micro, { seed: 0, step: 0 }, part);
    counts.push(targets);
    sum += lossSum;
    for (const [i, value] of part.entries()) total[i] += value;
  }
  assert.deepEqual(counts, [32, 5, 11]);
  assertClose(sum / 48, loss, 1e-4, 'loss');
  assertTensors(
    model,
    total.map((value) => value / 48),
    gradient,
    'gradient',
  );
}

/** Ten steps of AdamW with clipping: losses within 1e-4, weights within 3e-4 of each tensor's largest entry. */
export async function checkTenSteps(kernels: Kernels, fixture: Fixture): Promise<void> {
  const { model, batch, optimizer: config, gradientClip } = fixture;
  const learner = Learner.create(kernels, model);
  const optimizer = createOptimizer(config, model);
  const weights = fixture.weights.slice();
  const gradient = new Float32Array(model.size);
  for (const [step, expected] of fixture.losses.entries()) {
    learner.setWeights(weights);
    const { lossSum, targets } = await learner.gradients(batch, { seed: 0, step }, gradient);
    assertClose(lossSum / targets, expected, 1e-4, `loss after ${step} steps`);
    if (step === fixture.losses.length - 1) break;
    const learningRate = config.lr;
    const result = applyStep({
      model,
      optimizer,
      weights,
      gradient,
      targets,
      learningRate,
      gradientClip,
      t: step + 1,
    });
    assert.equal(result.skipped, false);
    if (step === 0) assertClose(result.gradNorm, fixture.gradNorm, 1e-4, 'norm of the gradient');
  }
  assertTensors(model, weights, fixture.after, 'weights after ten steps');
}

/** Generation over the cache, a token at a time, picks the tokens that PyTorch picked. */
export async function checkGreedy(
  kernels: Kernels,
  { model, weights, greedy, batch }: Fixture,
): Promise<void> {
  const prompt = greedy.slice(0, 4);
  assert.deepEqual(prompt, [...batch.inputs.subarray(0, 4)]);
  const outer = kernels.mark();
  const tensors = uploadWeights(kernels, model, weights);
  const cache = createCache(kernels, model);
  const ids = [...prompt];
  for (let next = prompt; ids.length < greedy.length; next = ids.slice(-1)) {
    const mark = kernels.mark();
    const graph = new Graph(kernels, { record: false });
    const input = { ids: Int32Array.from(next), batch: 1, time: next.length, cache, lastOnly: true };
    const logits = await kernels.read(forward(graph, model, parameterNodes(graph, tensors), input).output);
    ids.push(logits.indexOf(Math.max(...logits)));
    kernels.release(mark);
  }
  kernels.release(outer);
  assert.deepEqual(ids, greedy);
}

function assertClose(actual: number, expected: number, tolerance: number, what: string): void {
  assert.ok(Math.abs(actual - expected) <= tolerance, `${what}: ${actual} instead of ${expected}`);
}

function assertWithin(
  actual: ArrayLike<number>,
  expected: Float32Array,
  tolerance: number,
  what: string,
): void {
  assert.equal(actual.length, expected.length, what);
  let [worst, at] = [0, 0];
  for (const [i, value] of expected.entries()) {
    const error = Math.abs(actual[i] - value);
    if (!(error <= worst)) [worst, at] = [error, i]; // a NaN is the worst
  }
  assert.ok(
    worst <= tolerance,
    `${what}[${at}]: ${actual[at]} instead of ${expected[at]}, ${worst} > ${tolerance}`,
  );
}

function assertTensors(model: Model, actual: Float32Array, expected: Float32Array, what: string): void {
  for (const { name, offset, size } of model.parameters) {
    const part = expected.subarray(offset, offset + size);
    assertWithin(actual.subarray(offset, offset + size), part, 3e-4 * largestOf(part), `${what} of ${name}`);
  }
}

function largestOf(values: Float32Array): number {
  return values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}
