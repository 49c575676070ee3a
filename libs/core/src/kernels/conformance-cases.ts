import type { ActivationKind, AttentionShape, Kernels, Shape, Tensor, WeightLayout } from './kernels.js';

/** An operation at a shape, tiny enough for a software GPU: how to call it forward and backward. */
export interface Case {
  readonly name: string;
  /** Normal numbers of this scale around this offset. */
  readonly inputs: readonly { readonly shape: Shape; readonly scale?: number; readonly offset?: number }[];
  /** How much less exact float32 is here than elsewhere: scores of 1,000 leave three digits fewer of e^score. */
  readonly slack?: number;
  forward(kernels: Kernels, inputs: readonly Tensor[]): readonly Tensor[];
  /** Those of the results that the loss may depend on: the others are statistics for the backward kernel. */
  outputs<Value>(results: readonly Value[]): readonly Value[];
  /** The gradients of the inputs from those of the outputs; left out where there is none. */
  backward?(
    kernels: Kernels,
    gradients: readonly Tensor[],
    inputs: readonly Tensor[],
    results: readonly Tensor[],
  ): readonly Tensor[];
}

const first = <Value>(results: readonly Value[]) => results.slice(0, 1);
const all = <Value>(results: readonly Value[]) => results;

function linear(n: number, k: number, m: number, bias: boolean, layout: WeightLayout): Case {
  const weight = layout === 'inOut' ? [k, m] : [m, k];
  return {
    name: `linear [${n},${k}] to ${m}, ${layout}, ${bias ? 'with' : 'without'} bias`,
    inputs: [{ shape: [n, k] }, { shape: weight }, ...(bias ? [{ shape: [m] }] : [])],
    forward: (kernels, [x, w, b]) => [kernels.linear(x, w, b ?? null, layout)],
    outputs: all,
    backward(kernels, [gradient], [x, w]) {
      const result = kernels.linearBackward(gradient, x, w, bias, layout);
      return [result.x, result.weight, ...(result.bias ? [result.bias] : [])];
    },
  };
}

function layerNorm(n: number, c: number, offset = 0): Case {
  return {
    name: `layer norm of [${n},${c}] around ${offset}`,
    inputs: [{ shape: [n, c], offset }, { shape: [c] }, { shape: [c] }],
    forward(kernels, [x, weight, bias]) {
      const { out, mean, rstd } = kernels.layerNorm(x, weight, bias, 1e-3);
      return [out, mean, rstd];
    },
    outputs: first,
    backward(kernels, [gradient], [x, weight], [, mean, rstd]) {
      const result = kernels.layerNormBackward(gradient, x, weight, mean, rstd);
      return [result.x, result.weight, result.bias];
    },
  };
}

function rmsNorm(n: number, c: number): Case {
  return {
    name: `RMS norm of [${n},${c}]`,
    inputs: [{ shape: [n, c] }, { shape: [c] }],
    forward(kernels, [x, weight]) {
      const { out, rstd } = kernels.rmsNorm(x, weight, 1e-5);
      return [out, rstd];
    },
    outputs: first,
    backward(kernels, [gradient], [x, weight], [, rstd]) {
      const result = kernels.rmsNormBackward(gradient, x, weight, rstd);
      return [result.x, result.weight];
    },
  };
}

function activation(kind: ActivationKind, shape: Shape, scale: number): Case {
  return {
    name: `${kind} of [${shape}], scale ${scale}`,
    inputs: [{ shape, scale }],
    forward: (kernels, [x]) => [kernels.activation(x, kind)],
    outputs: all,
    backward: (kernels, [gradient], [x]) => [kernels.activationBackward(gradient, x, kind)],
  };
}

function swiglu(shape: Shape, scale: number): Case {
  return {
    name: `SwiGLU of [${shape}], scale ${scale}`,
    inputs: [{ shape, scale }, { shape }],
    forward: (kernels, [gate, up]) => [kernels.swiglu(gate, up)],
    outputs: all,
    backward(kernels, [gradient], [gate, up]) {
      const result = kernels.swigluBackward(gradient, gate, up);
      return [result.gate, result.up];
    },
  };
}

function rope(heads: number, headDim: number, positions: readonly number[], inverse: boolean): Case {
  const options = { heads, headDim, theta: 10000 };
  const turn = (kernels: Kernels, x: Tensor, backwards: boolean) =>
    kernels.rope(x, kernels.indices(Int32Array.from(positions)), options, backwards);
  return {
    name: `RoPE of ${heads} heads of ${headDim} at ${positions.join(', ')}${inverse ? ', inverse' : ''}`,
    inputs: [{ shape: [positions.length, heads * headDim] }],
    forward: (kernels, [x]) => [turn(kernels, x, inverse)],
    outputs: all,
    backward: (kernels, [gradient]) => [turn(kernels, gradient, !inverse)],
  };
}

function attention(shape: AttentionShape, scale = 1, rows = shape.batch * shape.time): Case {
  const { batch, time, heads, kvHeads, headDim, first: from = 0 } = shape;
  const differentiable = from === 0;
  return {
    name:
      `attention, B ${batch}, T ${time}, ${heads} heads of ${headDim}, ${kvHeads} for keys, scale ${scale}` +
      (from > 0 ? `, from ${from} on, in ${rows} rows` : ''),
    inputs: [{ shape: [rows, (heads + 2 * kvHeads) * headDim], scale }],
    slack: scale * scale,
    forward(kernels, [qkv]) {
      const { out, logSumExp } = kernels.attention(qkv, shape);
      return [out, logSumExp];
    },
    outputs: first,
    ...(differentiable && {
      backward: (
        kernels: Kernels,
        [g]: readonly Tensor[],
        [qkv]: readonly Tensor[],
        r: readonly Tensor[],
      ) => [kernels.attentionBackward(g, qkv, r[0], r[1], shape)],
    }),
  };
}

function embedding(rows: number, c: number, ids: readonly number[]): Case {
  const index = (kernels: Kernels) => kernels.indices(Int32Array.from(ids));
  return {
    name: `embedding of ${ids.join(', ')} from [${rows},${c}]`,
    inputs: [{ shape: [rows, c] }],
    forward: (kernels, [table]) => [kernels.embedding(table, index(kernels))],
    outputs: all,
    backward: (kernels, [gradient]) => [kernels.embeddingBackward(gradient, index(kernels), rows)],
  };
}

function crossEntropy(v: number, targets: readonly number[], scale: number): Case {
  const index = (kernels: Kernels) => kernels.indices(Int32Array.from(targets));
  return {
    name: `cross-entropy over ${v} for ${targets.join(', ')}, scale ${scale}`,
    inputs: [{ shape: [targets.length, v], scale }],
    forward(kernels, [logits]) {
      const { losses, logSumExp } = kernels.crossEntropy(logits, index(kernels));
      return [losses, logSumExp];
    },
    outputs: first,
    backward: (kernels, [gradient], [logits], [, logSumExp]) => [
      kernels.crossEntropyBackward(gradient, logits, index(kernels), logSumExp),
    ],
  };
}

function add(shape: Shape): Case {
  return {
    name: `add of [${shape}]`,
    inputs: [{ shape }, { shape }],
    forward: (kernels, [a, b]) => [kernels.add(a, b)],
    outputs: all,
  };
}

function concat(n: number, columns: readonly number[]): Case {
  return {
    name: `concat of ${columns.join(', ')} columns`,
    inputs: columns.map((c) => ({ shape: [n, c] })),
    forward: (kernels, parts) => [kernels.concat(parts)],
    outputs: all,
    backward: (kernels, [gradient]) => kernels.split(gradient, columns),
  };
}

function split(n: number, columns: readonly number[]): Case {
  return {
    name: `split into ${columns.join(', ')} columns`,
    inputs: [{ shape: [n, columns.reduce((sum, c) => sum + c, 0)] }],
    forward: (kernels, [x]) => kernels.split(x, columns),
    outputs: all,
    backward: (kernels, gradients) => [kernels.concat(gradients)],
  };
}

function rows(n: number, c: number, from: number, count: number): Case {
  return {
    name: `rows ${from} to ${from + count - 1} of [${n},${c}]`,
    inputs: [{ shape: [n, c] }],
    forward: (kernels, [x]) => [kernels.rows(x, from, count)],
    outputs: all,
  };
}

function dropout(n: number, c: number, probability: number): Case {
  const key = { seed: 7, step: 1, microBatch: 2, layer: 3 };
  return {
    name: `dropout of [${n},${c}] with ${probability}`,
    inputs: [{ shape: [n, c] }],
    forward: (kernels, [x]) => [kernels.dropout(x, probability, key)],
    outputs: all,
    backward: (kernels, [gradient]) => [kernels.dropout(gradient, probability, key)],
  };
}

export const cases: readonly Case[] = [
  linear(1, 1, 1, true, 'inOut'),
  linear(1, 19, 21, true, 'inOut'),
  linear(3, 18, 5, false, 'outIn'),
  linear(5, 7, 9, true, 'inOut'),
  linear(5, 7, 9, true, 'outIn'),
  linear(8, 8, 8, false, 'outIn'),
  linear(13, 20, 17, false, 'inOut'),
  linear(4, 400, 6, true, 'inOut'),
  linear(4, 400, 6, true, 'outIn'),
  linear(70, 3, 5, true, 'inOut'),
  linear(5, 2, 390, true, 'outIn'),
  layerNorm(1, 1),
  layerNorm(3, 7),
  layerNorm(5, 16, 30),
  rmsNorm(1, 1),
  rmsNorm(3, 7),
  rmsNorm(5, 16),
  activation('gelu_new', [3, 5], 1),
  activation('gelu_new', [1, 9], 30),
  activation('gelu', [3, 5], 1),
  activation('gelu', [1, 9], 30),
  activation('silu', [3, 5], 1),
  activation('silu', [1, 9], 100),
  swiglu([3, 5], 1),
  swiglu([1, 9], 100),
  rope(2, 6, [0, 1, 2, 900], false),
  rope(1, 8, [5, 3, 3], true),
  rope(3, 2, [0], false),
  attention({ batch: 1, time: 1, heads: 1, kvHeads: 1, headDim: 4 }),
  attention({ batch: 2, time: 5, heads: 2, kvHeads: 2, headDim: 3 }),
  attention({ batch: 2, time: 3, heads: 4, kvHeads: 2, headDim: 5 }),
  attention({ batch: 1, time: 37, heads: 2, kvHeads: 1, headDim: 8 }),
  attention({ batch: 1, time: 6, heads: 1, kvHeads: 1, headDim: 4 }, 20),
  attention({ batch: 1, time: 6, heads: 4, kvHeads: 2, headDim: 4, first: 5 }, 1, 9),
  attention({ batch: 1, time: 6, heads: 2, kvHeads: 2, headDim: 3, first: 2 }),
  embedding(4, 5, [2, 0, 2, 2]),
  embedding(3, 4, [1]),
  crossEntropy(2, [1], 1),
  crossEntropy(5, [0, 4, -1, 2], 1),
  crossEntropy(9, [-1, -1], 1),
  crossEntropy(300, [299, 0], 3),
  crossEntropy(7, [6, 1, -1], 1000),
  add([3, 5]),
  add([1]),
  concat(3, [1, 4, 2]),
  split(3, [2, 1, 4]),
  rows(5, 3, 2, 2),
  dropout(3, 7, 0.3),
  dropout(2, 4, 0),
];
