import type { AttentionShape, Kernels, Mark, Shape, Tensor } from '../kernels/index.js';

/**
 * A backend that computes nothing and counts the bytes of the tensors that another would make: what a graph costs
 * is found by running the same code that will train.
 */
export class CountingKernels implements Kernels {
  readonly info = { backend: 'reference', mode: 'counting', device: 'none', reproducible: true } as const;
  #bytes = 0;

  /** Of the tensors alive, at four bytes an entry. */
  get bytes(): number {
    return this.#bytes;
  }

  tensor = (_: unknown, shape: Shape) => this.zeros(shape);
  indices = (data: Int32Array): Tensor => ({ ...this.zeros([data.length]), type: 'index' });
  zeros(shape: Shape): Tensor {
    this.#bytes += 4 * shape.reduce((product, extent) => product * extent, 1);
    return { shape, type: 'float' };
  }
  write(): void {}
  readInto(): Promise<never> {
    return this.read();
  }

  read(): Promise<never> {
    return Promise.reject(new Error('a counting backend has no values'));
  }
  mark = (): Mark => this.#bytes;
  release(mark: Mark): void {
    this.#bytes = mark;
  }
  async dispose(): Promise<void> {}

  embedding = (table: Tensor, ids: Tensor) => this.zeros([ids.shape[0], table.shape[1]]);
  embeddingBackward = (gradient: Tensor, _ids: Tensor, rows: number) => this.zeros([rows, gradient.shape[1]]);

  linear: Kernels['linear'] = (x, weight, _bias, layout) =>
    this.zeros([x.shape[0], weight.shape[layout === 'inOut' ? 1 : 0]]);
  linearBackward: Kernels['linearBackward'] = (gradient, x, weight, hasBias) => ({
    x: this.#like(x),
    weight: this.#like(weight),
    bias: hasBias ? this.zeros([gradient.shape[1]]) : null,
  });

  layerNorm = (x: Tensor) => ({ out: this.#like(x), mean: this.#column(x), rstd: this.#column(x) });
  layerNormBackward = (_gradient: Tensor, x: Tensor, weight: Tensor) => ({
    x: this.#like(x),
    weight: this.#like(weight),
    bias: this.#like(weight),
  });
  rmsNorm = (x: Tensor) => ({ out: this.#like(x), rstd: this.#column(x) });
  rmsNormBackward = (_gradient: Tensor, x: Tensor, weight: Tensor) => ({
    x: this.#like(x),
    weight: this.#like(weight),
  });

  activation = (x: Tensor) => this.#like(x);
  activationBackward = (gradient: Tensor) => this.#like(gradient);
  swiglu = (gate: Tensor) => this.#like(gate);
  swigluBackward = (gradient: Tensor) => ({ gate: this.#like(gradient), up: this.#like(gradient) });
  rope = (x: Tensor) => this.#like(x);

  attention(_qkv: Tensor, { batch, time, heads, headDim, first = 0 }: AttentionShape) {
    return {
      out: this.zeros([batch * (time - first), heads * headDim]),
      logSumExp: this.zeros([batch, heads, time - first]),
    };
  }
  attentionBackward = (_gradient: Tensor, qkv: Tensor) => this.#like(qkv);

  add = (a: Tensor) => this.#like(a);
  concat = (parts: readonly Tensor[]) =>
    this.zeros([parts[0].shape[0], parts.reduce((sum, part) => sum + part.shape[1], 0)]);
  split = (x: Tensor, columns: readonly number[]) => columns.map((width) => this.zeros([x.shape[0], width]));
  dropout = (x: Tensor) => this.#like(x);

  crossEntropy = (logits: Tensor) => ({ losses: this.#column(logits), logSumExp: this.#column(logits) });
  crossEntropyBackward = (_gradient: Tensor, logits: Tensor) => this.#like(logits);

  rows = (x: Tensor, _first: number, count: number) => this.zeros([count, x.shape[1]]);
  writeRows(): void {}

  #like(tensor: Tensor): Tensor {
    return this.zeros(tensor.shape);
  }

  #column(tensor: Tensor): Tensor {
    return this.zeros([tensor.shape[0]]);
  }
}
