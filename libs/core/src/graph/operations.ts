import type {
  ActivationKind,
  AttentionShape,
  CacheShape,
  DropoutKey,
  Kernels,
  RopeOptions,
  Tensor,
  WeightLayout,
} from '../kernels/index.js';

/** What each operation needs beside its tensors. The table below has one entry for each key. */
export interface OperationAttributes {
  embedding: object;
  linear: { readonly layout: WeightLayout };
  layerNorm: { readonly epsilon: number };
  rmsNorm: { readonly epsilon: number };
  activation: { readonly kind: ActivationKind };
  swiglu: object;
  rope: RopeOptions;
  attention: AttentionShape;
  cachedAttention: CacheShape;
  add: object;
  concat: object;
  dropout: { readonly probability: number; readonly key: DropoutKey };
  crossEntropy: object;
  headLoss: { readonly gradients: boolean };
  rows: { readonly first: number; readonly count: number };
}

export type OperationName = keyof OperationAttributes;

/** An operation that ran: its output, and how to send a gradient of that output back to each of its inputs. */
export interface Recorded {
  readonly output: Tensor;
  /** One gradient for each input, in their order; null where the input has none (token ids, targets). */
  readonly backward: (gradient: Tensor) => readonly (Tensor | null)[];
  /** The gradients of the sum of the output's entries, where they are known without a way back. */
  readonly ofSum?: readonly (Tensor | null)[];
}

/** What the forward pass computed beside its output stays in the closure of `backward`: nothing else needs it. */
type Operation<Attributes> = (
  kernels: Kernels,
  inputs: readonly Tensor[],
  attributes: Attributes,
) => Recorded;

export class GraphError extends Error {
  override readonly name = 'GraphError';
}

/** Every operation, forward and backward side by side. To add one: its attributes above, its entry here, a method of Graph. */
export const operations: { readonly [Name in OperationName]: Operation<OperationAttributes[Name]> } = {
  /** table [V,C], ids [N] → [N,C] */
  embedding: (kernels, [table, ids]) => ({
    output: kernels.embedding(table, ids),
    backward: (gradient) => [kernels.embeddingBackward(gradient, ids, table.shape[0]), null],
  }),

  /** x [N,K], weight, bias [M]? → [N,M] */
  linear: (kernels, [x, weight, bias], { layout }) => ({
    output: kernels.linear(x, weight, bias ?? null, layout),
    backward: (gradient) => {
      const to = kernels.linearBackward(gradient, x, weight, bias !== undefined, layout);
      return bias === undefined ? [to.x, to.weight] : [to.x, to.weight, to.bias];
    },
  }),

  /** x [N,C], weight [C], bias [C] → [N,C] */
  layerNorm: (kernels, [x, weight, bias], { epsilon }) => {
    const { out, mean, rstd } = kernels.layerNorm(x, weight, bias, epsilon);
    return {
      output: out,
      backward: (gradient) => {
        const to = kernels.layerNormBackward(gradient, x, weight, mean, rstd);
        return [to.x, to.weight, to.bias];
      },
    };
  },

  /** x [N,C], weight [C] → [N,C] */
  rmsNorm: (kernels, [x, weight], { epsilon }) => {
    const { out, rstd } = kernels.rmsNorm(x, weight, epsilon);
    return {
      output: out,
      backward: (gradient) => {
        const to = kernels.rmsNormBackward(gradient, x, weight, rstd);
        return [to.x, to.weight];
      },
    };
  },

  activation: (kernels, [x], { kind }) => ({
    output: kernels.activation(x, kind),
    backward: (gradient) => [kernels.activationBackward(gradient, x, kind)],
  }),

  /** gate, up [N,F] → [N,F] */
  swiglu: (kernels, [gate, up]) => ({
    output: kernels.swiglu(gate, up),
    backward: (gradient) => {
      const to = kernels.swigluBackward(gradient, gate, up);
      return [to.gate, to.up];
    },
  }),

  /** x [N,H·D], positions [N] → [N,H·D]; a rotation's gradient is the rotation back */
  rope: (kernels, [x, positions], options) => ({
    output: kernels.rope(x, positions, options, false),
    backward: (gradient) => [kernels.rope(gradient, positions, options, true), null],
  }),

  /** qkv [N,(H+2Hkv)·D] → [N,H·D] */
  attention: (kernels, [qkv], shape) => {
    const { out, logSumExp } = kernels.attention(qkv, shape);
    return {
      output: out,
      backward: (gradient) => [kernels.attentionBackward(gradient, qkv, out, logSumExp, shape)],
    };
  },

  /** qkv [T−first,(H+2Hkv)·D] is written into the cache [≥T,(H+2Hkv)·D] at `first`; → [T−first,H·D] */
  cachedAttention: (kernels, [qkv, cache], shape) => {
    return {
      output: kernels.cachedAttention(qkv, cache, shape),
      backward: () => {
        throw new GraphError('attention over a cache has no gradient: record training without a cache');
      },
    };
  },

  add: (kernels, [a, b]) => ({
    output: kernels.add(a, b),
    backward: (gradient) => [gradient, gradient],
  }),

  /** [N,C₁], [N,C₂], … → [N,C₁+C₂+…] */
  concat: (kernels, parts) => ({
    output: kernels.concat(parts),
    backward: (gradient) =>
      kernels.split(
        gradient,
        parts.map((part) => part.shape[1]),
      ),
  }),

  /** The mask is a function of the key: masking the gradient is the same call. */
  dropout: (kernels, [x], { probability, key }) => ({
    output: kernels.dropout(x, probability, key),
    backward: (gradient) => [kernels.dropout(gradient, probability, key)],
  }),

  /** logits [N,V], targets [N] → losses [N] in nats, 0 where the target is −1 */
  crossEntropy: (kernels, [logits, targets]) => {
    const { losses, logSumExp } = kernels.crossEntropy(logits, targets);
    return {
      output: losses,
      backward: (gradient) => [kernels.crossEntropyBackward(gradient, logits, targets, logSumExp), null],
    };
  },

  /** x [N,C], weight [V,C], targets [N] → losses [N]: the last node of a graph, whose sum alone has a gradient */
  headLoss: (kernels, [x, weight, targets], { gradients }) => {
    const head = kernels.headLoss(x, weight, targets, gradients);
    return {
      output: head.losses,
      ofSum: [head.x, head.weight, null],
      backward: () => {
        throw new GraphError('the loss of a head is the end of a graph: nothing may be computed from it');
      },
    };
  },

  /** x [N,C] → rows first … first+count−1 */
  rows: (kernels, [x], { first, count }) => ({
    output: kernels.rows(x, first, count),
    backward: (gradient) => {
      const whole = kernels.zeros(x.shape);
      kernels.writeRows(whole, first, gradient);
      return [whole];
    },
  }),
};
