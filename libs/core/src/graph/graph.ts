import type {
  ActivationKind,
  AttentionShape,
  DropoutKey,
  Kernels,
  RopeOptions,
  Tensor,
  WeightLayout,
} from '../kernels/index.js';
import {
  GraphError,
  type OperationAttributes,
  type OperationName,
  operations,
  type Recorded,
} from './operations.js';

/** A value of the graph: a parameter, an input, or the result of an operation on other nodes. */
export interface Node {
  readonly id: number;
  readonly operation: OperationName | 'parameter' | 'input';
  /** Of a parameter or an input. */
  readonly name?: string;
  readonly inputs: readonly Node[];
  readonly output: Tensor;
  readonly attributes: object;
  /** Whether a parameter lies behind it: then `backward` gives it a gradient. */
  readonly differentiable: boolean;
  /** Of the loss with respect to the output, of the output's shape; null before `backward` and where nothing depends on it. */
  gradient: Tensor | null;
}

export interface GraphOptions {
  /** false: operations run but nothing is remembered (inference); `backward` is refused. Default true. */
  readonly record?: boolean;
}

/**
 * A computation as it runs: each method calls its kernel at once and remembers how to go back (reverse-mode
 * differentiation, Linnainmaa 1970). Tensors live until the caller releases the mark that it took before.
 */
export class Graph {
  readonly kernels: Kernels;
  readonly #record: boolean;
  readonly #nodes: Node[] = [];
  readonly #backward = new Map<Node, Recorded['backward']>();
  #made = 0;

  constructor(kernels: Kernels, options: GraphOptions = {}) {
    this.kernels = kernels;
    this.#record = options.record ?? true;
  }

  /** In the order in which they were computed; empty where the graph does not record. */
  get nodes(): readonly Node[] {
    return this.#nodes;
  }

  parameter(name: string, tensor: Tensor): Node {
    return this.#node({ operation: 'parameter', name, inputs: [], output: tensor, attributes: {} }, true);
  }

  input(name: string, tensor: Tensor): Node {
    return this.#node({ operation: 'input', name, inputs: [], output: tensor, attributes: {} }, false);
  }

  /** table [V,C], ids [N] → [N,C] */
  embedding(table: Node, ids: Node): Node {
    return this.#apply('embedding', [table, ids], {});
  }

  /** x [N,K] · weight + bias [M] → [N,M]; the weight is [K,M] (`inOut`) or [M,K] (`outIn`) */
  linear(x: Node, weight: Node, bias: Node | null, layout: WeightLayout): Node {
    return this.#apply('linear', bias === null ? [x, weight] : [x, weight, bias], { layout });
  }

  layerNorm(x: Node, weight: Node, bias: Node, epsilon: number): Node {
    return this.#apply('layerNorm', [x, weight, bias], { epsilon });
  }

  rmsNorm(x: Node, weight: Node, epsilon: number): Node {
    return this.#apply('rmsNorm', [x, weight], { epsilon });
  }

  activation(x: Node, kind: ActivationKind): Node {
    return this.#apply('activation', [x], { kind });
  }

  swiglu(gate: Node, up: Node): Node {
    return this.#apply('swiglu', [gate, up], {});
  }

  rope(x: Node, positions: Node, options: RopeOptions): Node {
    return this.#apply('rope', [x, positions], options);
  }

  /** qkv [B·T,(H+2Hkv)·D] → [B·T,H·D] */
  attention(qkv: Node, shape: AttentionShape): Node {
    return this.#apply('attention', [qkv], shape);
  }

  /** Appends qkv [T−first,(H+2Hkv)·D] to the cache and attends over all T of its rows → [T−first,H·D]. */
  cachedAttention(qkv: Node, cache: Node, shape: AttentionShape & { readonly first: number }): Node {
    return this.#apply('cachedAttention', [qkv, cache], shape);
  }

  add(a: Node, b: Node): Node {
    return this.#apply('add', [a, b], {});
  }

  concat(parts: readonly Node[]): Node {
    return this.#apply('concat', parts, {});
  }

  dropout(x: Node, probability: number, key: DropoutKey): Node {
    return this.#apply('dropout', [x], { probability, key });
  }

  /** logits [N,V], targets [N] → losses [N] in nats, 0 where the target is −1 */
  crossEntropy(logits: Node, targets: Node): Node {
    return this.#apply('crossEntropy', [logits, targets], {});
  }

  rows(x: Node, first: number, count: number): Node {
    return this.#apply('rows', [x], { first, count });
  }

  /**
   * Sets `gradient` on every node between the parameters and the loss. Each entry of the loss is seeded with one,
   * so the gradients belong to the sum of its entries, not to their mean. A graph can be walked back once.
   * @throws GraphError where the graph does not record, was walked before, or no parameter leads to the loss
   */
  backward(loss: Node): void {
    if (!this.#record) throw new GraphError('this graph does not record, so it has no way back');
    if (!this.#nodes.includes(loss)) throw new GraphError('the loss is not a node of this graph');
    if (!loss.differentiable) throw new GraphError('no parameter leads to this loss');
    if (this.#nodes.some((node) => node.gradient !== null)) {
      throw new GraphError('this graph was walked back already');
    }
    const entries = loss.output.shape.reduce((product, extent) => product * extent, 1);
    loss.gradient = this.kernels.tensor(new Float32Array(entries).fill(1), loss.output.shape);
    for (let id = loss.id; id >= 0; id--) {
      const node = this.#nodes[id];
      const backward = this.#backward.get(node);
      if (node.gradient === null || backward === undefined) continue;
      const gradients = backward(node.gradient);
      node.inputs.forEach((input, i) => {
        const gradient = gradients[i];
        if (gradient === null || !input.differentiable) return;
        input.gradient = input.gradient === null ? gradient : this.kernels.add(input.gradient, gradient);
      });
    }
  }

  #apply<Name extends OperationName>(
    name: Name,
    inputs: readonly Node[],
    attributes: OperationAttributes[Name],
  ): Node {
    const tensors = inputs.map((input) => input.output);
    const { output, backward } = operations[name](this.kernels, tensors, attributes);
    const differentiable = inputs.some((input) => input.differentiable);
    const node = this.#node({ operation: name, inputs, output, attributes }, differentiable);
    if (this.#record && differentiable) this.#backward.set(node, backward);
    return node;
  }

  #node(part: Omit<Node, 'id' | 'differentiable' | 'gradient'>, differentiable: boolean): Node {
    const inputs = this.#record ? part.inputs : [];
    const node: Node = { ...part, inputs, id: this.#made++, differentiable, gradient: null };
    if (this.#record) this.#nodes.push(node);
    return node;
  }
}
