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
  readonly operation: OperationName | 'parameter' | 'input' | 'recomputed';
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
  readonly #recorded = new Map<Node, Omit<Recorded, 'output'>>();
  /** How many operations have yet to give a parameter its gradient. */
  readonly #uses = new Map<Node, number>();
  /** Nodes whose gradient is a tensor of their own, to which more may be added in place. */
  readonly #owners = new Set<Node>();
  #mode: 'recording' | 'once' | 'again';
  #final: (parameter: Node) => void = () => {};
  #made = 0;

  constructor(kernels: Kernels, options: GraphOptions = {}) {
    this.kernels = kernels;
    this.#record = options.record ?? true;
    this.#mode = this.#record ? 'recording' : 'once';
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
  cachedAttention(qkv: Node, cache: Node, shape: CacheShape): Node {
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

  /** x [N,C], weight [V,C], targets [N] → losses [N]: `crossEntropy` of x · weightᵀ without its logits; ends a graph. */
  headLoss(x: Node, weight: Node, targets: Node): Node {
    return this.#apply('headLoss', [x, weight, targets], { gradients: this.#record });
  }

  rows(x: Node, first: number, count: number): Node {
    return this.#apply('rows', [x], { first, count });
  }

  /**
   * build(x), of which only x is kept: on the way back it is built once more (Chen et al. 2016, "Training deep nets
   * with sublinear memory cost", section 3). `build` must make the same nodes each time.
   */
  recomputed(x: Node, build: (x: Node) => Node): Node {
    if (this.#mode !== 'recording') return build(x);
    this.#mode = 'once';
    const { output, differentiable } = build(x);
    this.#mode = 'recording';
    const node = this.#node({ operation: 'recomputed', inputs: [x], output, attributes: {} }, differentiable);
    const backward = (gradient: Tensor) => {
      const first = this.#nodes.length;
      this.#mode = 'again';
      const leaf = this.#node({ operation: 'input', inputs: [], output: x.output, attributes: {} }, true);
      const again = build(leaf);
      this.#mode = 'recording';
      again.gradient = gradient;
      for (let i = this.#nodes.length - 1; i > first; i--) this.#stepBack(this.#nodes[i]);
      this.#nodes.length = first;
      return [leaf.gradient];
    };
    if (differentiable) this.#recorded.set(node, { backward });
    return node;
  }

  /**
   * Sets `gradient` on every node between the parameters and the loss. Each entry of the loss is seeded with one,
   * so the gradients belong to the sum of its entries, not to their mean. A graph can be walked back once.
   * @param final is called with each parameter once its gradient is whole, in the order of the way back
   * @throws GraphError where the graph does not record, was walked before, or no parameter leads to the loss
   */
  backward(loss: Node, final: (parameter: Node) => void = () => {}): void {
    if (!this.#record) throw new GraphError('this graph does not record, so it has no way back');
    if (!this.#nodes.includes(loss)) throw new GraphError('the loss is not a node of this graph');
    if (!loss.differentiable) throw new GraphError('no parameter leads to this loss');
    if (this.#nodes.some((node) => node.gradient !== null)) {
      throw new GraphError('this graph was walked back already');
    }
    this.#final = final;
    const ofSum = this.#recorded.get(loss)?.ofSum;
    if (ofSum === undefined) {
      const entries = loss.output.shape.reduce((product, extent) => product * extent, 1);
      loss.gradient = this.kernels.tensor(new Float32Array(entries).fill(1), loss.output.shape);
    } else {
      this.#handOut(loss, ofSum);
    }
    for (let id = this.#nodes.indexOf(loss); id >= 0; id--) this.#stepBack(this.#nodes[id]);
  }

  #stepBack(node: Node): void {
    const recorded = this.#recorded.get(node);
    if (node.gradient === null || recorded === undefined) return;
    this.#handOut(node, recorded.backward(node.gradient));
  }

  /** Adds to its inputs' gradients what a node sends back. */
  #handOut(node: Node, gradients: readonly (Tensor | null)[]): void {
    node.inputs.forEach((input, i) => {
      const gradient = gradients[i];
      if (gradient === null || !input.differentiable) return;
      if (input.gradient === null) {
        input.gradient = gradient;
        // An addition sends one tensor to both of its inputs.
        if (node.operation !== 'add') this.#owners.add(input);
      } else if (this.#owners.has(input)) {
        this.kernels.accumulate(input.gradient, gradient);
      } else {
        input.gradient = this.kernels.add(input.gradient, gradient);
        this.#owners.add(input);
      }
      this.#count(input, -1);
      if (this.#uses.get(input) === 0) this.#final(input);
    });
  }

  #count(input: Node, by: 1 | -1): void {
    if (input.operation === 'parameter') this.#uses.set(input, (this.#uses.get(input) ?? 0) + by);
  }

  #apply<Name extends OperationName>(
    name: Name,
    inputs: readonly Node[],
    attributes: OperationAttributes[Name],
  ): Node {
    const tensors = inputs.map((input) => input.output);
    const { output, ...recorded } = operations[name](this.kernels, tensors, attributes);
    const differentiable = inputs.some((input) => input.differentiable);
    const node = this.#node({ operation: name, inputs, output, attributes }, differentiable);
    if (this.#mode !== 'once' && differentiable) this.#recorded.set(node, recorded);
    if (this.#mode !== 'again') for (const input of inputs) this.#count(input, 1);
    return node;
  }

  #node(part: Omit<Node, 'id' | 'differentiable' | 'gradient'>, differentiable: boolean): Node {
    const kept = this.#record && (this.#mode !== 'once' || part.operation === 'parameter');
    const inputs = kept ? part.inputs : [];
    const node: Node = { ...part, inputs, id: this.#made++, differentiable, gradient: null };
    if (kept) this.#nodes.push(node);
    return node;
  }
}
