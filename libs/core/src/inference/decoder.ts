import { Graph } from '../graph/index.js';
import type { Kernels, Program, Tensor } from '../kernels/index.js';
import {
  type Cache,
  createCache,
  type ForwardInput,
  forward,
  type Model,
  parameterNodes,
  type WeightTensors,
} from '../model/index.js';

/** A computation of the last position's logits, ready to be run on any tokens. */
interface LogitsProgram {
  readonly ids: Tensor;
  readonly positions: Tensor;
  readonly program: Program<Tensor>;
}

/**
 * Logits of what follows a growing sequence. Keys and values of its tokens stay on the device; past the model's
 * context the window slides, and each token is computed from the last `context` ones anew, as nanoGPT does, since
 * positions are absolute. Lives until the caller's mark is released.
 */
export class Decoder {
  readonly #cache: Cache;
  /** By what is computed again and again: one more token, and a whole window. */
  readonly #programs = new Map<'next' | 'window', LogitsProgram>();

  constructor(
    private readonly kernels: Kernels,
    private readonly model: Model,
    private readonly weights: WeightTensors,
  ) {
    this.#cache = createCache(kernels, model);
  }

  /** The logits [V] after the whole sequence; call by call it may only grow at its end. */
  logits(sequence: readonly number[]): Promise<ArrayLike<number> & Iterable<number>> {
    const { context } = this.model.config;
    if (sequence.length > context) return this.#run('window', sequence.slice(-context), 0);
    const first = this.#cache.length;
    // What comes once is computed at once, and everything where no device keeps a program's place in a sequence.
    if (sequence.length - first > 1 || this.kernels.info.backend === 'gpujs') {
      return this.#once(sequence.slice(first));
    }
    const logits = this.#run('next', sequence.slice(first), first);
    this.#cache.length += 1;
    return logits;
  }

  async #once(pending: readonly number[]) {
    const { kernels } = this;
    const mark = kernels.mark();
    const ids = Int32Array.from(pending);
    const output = this.#forward({ ids, batch: 1, time: ids.length, cache: this.#cache });
    const logits = await kernels.read(output);
    kernels.release(mark);
    return logits;
  }

  async #run(kind: 'next' | 'window', pending: readonly number[], first: number) {
    const ids = Int32Array.from(pending);
    const positions = Int32Array.from(pending, (_, i) => first + i);
    const known = this.#programs.get(kind);
    if (known !== undefined) {
      this.kernels.writeIndices(known.ids, ids);
      this.kernels.writeIndices(known.positions, positions);
      return this.kernels.read(known.program.run());
    }
    const made = this.#compile(kind, ids, positions);
    this.#programs.set(kind, made);
    return this.kernels.read(made.program.run());
  }

  #compile(kind: 'next' | 'window', first: Int32Array, places: Int32Array): LogitsProgram {
    const { kernels } = this;
    const [ids, positions] = [first, places].map((values) => kernels.indices(values));
    const time = first.length;
    const cache = kind === 'next' ? this.#cache : undefined;
    const program = kernels.compile(() => {
      const { length } = this.#cache;
      const logits = this.#forward({ ids, positions, batch: 1, time, ...(cache && { cache }) });
      this.#cache.length = length; // whoever runs the program counts
      return logits;
    });
    return { ids, positions, program };
  }

  #forward(input: ForwardInput): Tensor {
    const graph = new Graph(this.kernels, { record: false });
    const parameter = parameterNodes(graph, this.weights);
    return forward(graph, this.model, parameter, { ...input, lastOnly: true }).output;
  }
}
