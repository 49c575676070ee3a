import type { Kernels, Tensor } from '../kernels/index.js';
import type { Layout, Parameter } from '../model/index.js';

/** Brings gradients from the device into the model's flat order, and tells from where on they are all there. */
export class GradientReader {
  readonly #missing: Set<Parameter>;
  readonly #reads: Promise<void>[] = [];
  /** Number of the last parameter that is not there yet, counted from 1; 0 where all are. */
  #next: number;

  /** @param final see Learner.sum */
  constructor(
    private readonly kernels: Kernels,
    private readonly model: Layout,
    private readonly into: Float32Array,
    private readonly final: (from: number) => void,
  ) {
    this.#missing = new Set(model.parameters);
    this.#next = model.parameters.length;
  }

  take(parameter: Parameter, gradient: Tensor): void {
    const { offset, size } = parameter;
    const reading = this.kernels.readInto(gradient, this.into.subarray(offset, offset + size));
    if (reading === null) this.#arrived(parameter);
    else this.#reads.push(reading.then(() => this.#arrived(parameter)));
  }

  /** Zeros where no gradient came. */
  async done(): Promise<void> {
    await Promise.all(this.#reads);
    for (const parameter of [...this.#missing].reverse()) {
      this.into.fill(0, parameter.offset, parameter.offset + parameter.size);
      this.#arrived(parameter);
    }
  }

  #arrived(parameter: Parameter): void {
    const { offset, inert } = parameter;
    if (inert) this.into.fill(0, offset + inert.first, offset + inert.first + inert.count);
    this.#missing.delete(parameter);
    const { parameters } = this.model;
    const before = this.#next;
    while (this.#next > 0 && !this.#missing.has(parameters[this.#next - 1])) this.#next -= 1;
    if (this.#next < before) this.final(parameters[this.#next].offset);
  }
}
