import type { Kernels, Tensor } from '../kernels/index.js';
import type { Layout, Parameter } from '../model/index.js';

/** A gradient of each parameter. */
type Sum = ReadonlyMap<Parameter, Tensor>;

/**
 * The sums that a tree over micro-batches is waiting with, on the device, while its leaves are fed in order: like the
 * bits of a binary counter, leaf i is added to as many of them as i ends in ones. Gradients come parameter by parameter.
 */
export class PartialSums {
  /** Wider nodes first. */
  readonly #waiting: Sum[] = [];
  readonly #free: Sum[] = [];

  constructor(
    private readonly kernels: Kernels,
    private readonly model: Layout,
  ) {}

  /** Forgets what was added. */
  clear(): void {
    this.#free.push(...this.#waiting.splice(0));
  }

  /** What to do with each gradient of leaf `i`, which is not the last; `settle(i)` follows. */
  leaf(i: number): (parameter: Parameter, gradient: Tensor) => void {
    const { kernels } = this;
    const merges = mergesOf(i);
    if (merges === 0) {
      const sum = this.#free.pop() ?? this.#make();
      this.#waiting.push(sum);
      return (parameter, gradient) => kernels.copy(tensorOf(sum, parameter), gradient);
    }
    // Its sibling takes the leaf in, that one's sibling both, and so on.
    const chain = this.#waiting.slice(-merges).reverse();
    return (parameter, gradient) => {
      let value = gradient;
      for (const sum of chain) {
        const target = tensorOf(sum, parameter);
        kernels.accumulate(target, value);
        value = target;
      }
    };
  }

  /** Leaf `i` was added whole. */
  settle(i: number): void {
    for (let merges = mergesOf(i); merges > 1; merges--) {
      const merged = this.#waiting.pop();
      if (merged !== undefined) this.#free.push(merged);
    }
  }

  /** Adds all that waits to a gradient of the last leaf, in place: at the right edge of a tree each node meets it. */
  addTo(parameter: Parameter, gradient: Tensor): void {
    for (let i = this.#waiting.length - 1; i >= 0; i--) {
      this.kernels.accumulate(gradient, tensorOf(this.#waiting[i], parameter));
    }
  }

  #make(): Sum {
    return new Map(
      this.model.parameters.map((parameter) => [parameter, this.kernels.zeros(parameter.shape)]),
    );
  }
}

/** How many nodes are complete with leaf `i`: the ones that its number ends in. */
function mergesOf(i: number): number {
  return 31 - Math.clz32(~i & (i + 1));
}

function tensorOf(sum: Sum, parameter: Parameter): Tensor {
  const tensor = sum.get(parameter);
  if (tensor === undefined) throw new RangeError(`the model has no parameter ${parameter.name}`);
  return tensor;
}
