/**
 * The one interface that every backend implements.
 *
 * Calls enqueue and return at once; only `read` waits for the device. Tensors are handles: on a GPU their
 * data never leaves the device between two calls, on a CPU they are views into one memory. Matrices are
 * row-major; N is the number of positions (B·T), in the order sequence by sequence, time within it.
 *
 * Every method is a pure function of its arguments, except those that overwrite a tensor: `write`, `writeIndices`,
 * `writeRows`, `accumulate` and `copy`.
 * A backward kernel takes the gradient of the loss with respect to its operation's output first.
 */
export interface Kernels {
  readonly info: BackendInfo;

  /** Uploads a copy of `data`. */
  tensor(data: Float32Array | Float64Array, shape: Shape): Tensor;
  /** Uploads token ids, positions or targets; shape [data.length]. */
  indices(data: Int32Array): Tensor;
  /** A tensor of zeros. */
  zeros(shape: Shape): Tensor;
  /** Overwrites the contents of a tensor made by `tensor` or `zeros`; handles to it stay valid. */
  write(target: Tensor, data: Float32Array | Float64Array): void;
  /** Overwrites a tensor made by `indices` with as many values, within the bounds of what was computed from it. */
  writeIndices(target: Tensor, data: Int32Array): void;
  /** Waits for the device and returns a copy of the values. Rejects where an earlier call failed. */
  read(tensor: Tensor): Promise<Float32Array | Float64Array>;
  /** As `read`, into memory of the caller, which is as long as the tensor; null where the values are there at once. */
  readInto(tensor: Tensor, target: Float32Array): Promise<void> | null;
  /** Marks a point in time; `release(mark)` frees every tensor that was made after it. */
  mark(): Mark;
  release(mark: Mark): void;
  dispose(): Promise<void>;

  /**
   * Records what `build` calls; each run of the program computes it. A backend plans its memory once, so tensors made
   * by `build` are good until the next run of any program: those found in its result after a run, those named by a
   * hook inside that hook, the others never. A `DropoutKey` and a
   * `CacheShape` are kept and read again at each run. Programs do not nest,
   * and `build` must not `read`.
   */
  compile<T>(build: () => T): Program<T>;
  /** Within `compile`: calls `then` in each run once these tensors are computed, when they may be read. Else at once. */
  hook(tensors: readonly Tensor[], then: () => void): void;
  /**
   * What was measured and chosen so far, as text: given to `createKernels` on a machine of the same kind, the same
   * bits come out. Nothing more is measured once this was asked. Empty where there is nothing to choose.
   */
  choices(): string;

  /** table [V,C], ids [N] → [N,C] */
  embedding(table: Tensor, ids: Tensor): Tensor;
  /** gradient [N,C], ids [N] → gradient of the table [rows,C]; rows that occur often are summed in order of N */
  embeddingBackward(gradient: Tensor, ids: Tensor, rows: number): Tensor;

  /** x [N,K] · weight + bias [M] → [N,M]; the weight is [K,M] (`inOut`, GPT-2) or [M,K] (`outIn`, Llama) */
  linear(x: Tensor, weight: Tensor, bias: Tensor | null, layout: WeightLayout): Tensor;
  linearBackward(
    gradient: Tensor,
    x: Tensor,
    weight: Tensor,
    hasBias: boolean,
    layout: WeightLayout,
  ): { x: Tensor; weight: Tensor; bias: Tensor | null };

  /** Over the last axis: x [N,C], weight [C], bias [C]; also returns mean [N] and 1/σ [N]. (Ba et al. 2016) */
  layerNorm(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    epsilon: number,
  ): { out: Tensor; mean: Tensor; rstd: Tensor };
  layerNormBackward(
    gradient: Tensor,
    x: Tensor,
    weight: Tensor,
    mean: Tensor,
    rstd: Tensor,
  ): { x: Tensor; weight: Tensor; bias: Tensor };

  /** x / sqrt(mean(x²) + ε) · weight; also returns 1/rms [N]. (Zhang & Sennrich 2019) */
  rmsNorm(x: Tensor, weight: Tensor, epsilon: number): { out: Tensor; rstd: Tensor };
  rmsNormBackward(gradient: Tensor, x: Tensor, weight: Tensor, rstd: Tensor): { x: Tensor; weight: Tensor };

  activation(x: Tensor, kind: ActivationKind): Tensor;
  activationBackward(gradient: Tensor, x: Tensor, kind: ActivationKind): Tensor;

  /** silu(gate) ⊙ up, all [N,F]. (Shazeer 2020) */
  swiglu(gate: Tensor, up: Tensor): Tensor;
  swigluBackward(gradient: Tensor, gate: Tensor, up: Tensor): { gate: Tensor; up: Tensor };

  /**
   * Rotary position embedding (Su et al. 2021), "rotate half" as in Hugging Face's Llama: x [N, heads·headDim],
   * positions [N]. `inverse` rotates backwards, which is the gradient.
   */
  rope(x: Tensor, positions: Tensor, options: RopeOptions, inverse: boolean): Tensor;

  /**
   * Causal attention with grouped queries. `qkv` is [B·T, (heads + 2·kvHeads)·headDim]: queries of all heads,
   * then keys, then values. Returns out [B·(T−first), heads·headDim] and the log-sum-exp of the scaled scores,
   * [B, heads, T−first]. No T×T matrix outlives the call. `first` > 0 computes only the queries from that time
   * on (generation with a cache); it needs B = 1, lets qkv have more rows than T, and may not be differentiated.
   */
  attention(qkv: Tensor, shape: AttentionShape): { out: Tensor; logSumExp: Tensor };
  attentionBackward(
    gradient: Tensor,
    qkv: Tensor,
    out: Tensor,
    logSumExp: Tensor,
    shape: AttentionShape,
  ): Tensor;

  /**
   * Writes qkv [T−first,W] into the cache [≥T,W] from row `first` on and attends with its queries over the T rows →
   * [T−first, heads·headDim]; one sequence, no gradient. A program reads `time` and `first` again at each run.
   */
  cachedAttention(qkv: Tensor, cache: Tensor, shape: CacheShape): Tensor;

  /** a + b, equal shapes */
  add(a: Tensor, b: Tensor): Tensor;
  /** target += x, equal shapes, in place */
  accumulate(target: Tensor, x: Tensor): void;
  /** target = x, equal shapes */
  copy(target: Tensor, x: Tensor): void;
  /** [N,C₁], [N,C₂], … → [N, C₁+C₂+…] */
  concat(parts: readonly Tensor[]): Tensor;
  /** The inverse of `concat`, which is its gradient. */
  split(x: Tensor, columns: readonly number[]): Tensor[];

  /**
   * Zeroes each entry with probability p and scales the rest by 1/(1−p). The mask is a pure function of the key
   * and the entry's index (see numeric/random), so the gradient is the same call on the gradient.
   */
  dropout(x: Tensor, probability: number, key: DropoutKey): Tensor;

  /** logits [N,V], targets [N] → losses [N] in nats and log-sum-exp [N]; a target of −1 is ignored, its loss is 0. */
  crossEntropy(logits: Tensor, targets: Tensor): { losses: Tensor; logSumExp: Tensor };
  /** gradient [N] of the losses → gradient of the logits [N,V] */
  crossEntropyBackward(gradient: Tensor, logits: Tensor, targets: Tensor, logSumExp: Tensor): Tensor;
  /**
   * The output layer and `crossEntropy` in one, block by block, so that no [N,V] tensor is kept: x [N,C], weight [V,C],
   * targets [N] → losses [N]; with `gradients` also those of the SUM of the losses, of x and of the weight.
   */
  headLoss(x: Tensor, weight: Tensor, targets: Tensor, gradients: boolean): HeadLoss;

  /** Rows first … first+count−1 of x [N,C], copied. */
  rows(x: Tensor, first: number, count: number): Tensor;
  /** Overwrites rows of `target` [M,C] from `first` on with x [N,C]: a key-value cache grows by it. */
  writeRows(target: Tensor, first: number, x: Tensor): void;
}

export type Shape = readonly number[];

/** A handle to values on a device. Backends extend it privately; nobody else looks inside. */
export interface Tensor {
  readonly shape: Shape;
  readonly type: 'float' | 'index';
}

export type Mark = number;

/** A recorded computation. */
export interface Program<T> {
  /** Computes it; what `build` returned. */
  run(): T;
  /** Memory that a run needs at its peak beside what lives outside of it, in bytes. */
  readonly bytes: number;
}

export interface HeadLoss {
  readonly losses: Tensor;
  /** null where no gradients were asked for. */
  readonly x: Tensor | null;
  readonly weight: Tensor | null;
}

export type WeightLayout = 'inOut' | 'outIn';
/** `gelu_new` is the tanh approximation (Hendrycks & Gimpel 2016), `gelu` the exact one with erf. */
export type ActivationKind = 'gelu_new' | 'gelu' | 'silu';

export interface RopeOptions {
  readonly heads: number;
  readonly headDim: number;
  readonly theta: number;
}

export interface AttentionShape {
  readonly batch: number;
  readonly time: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly first?: number;
}

export interface CacheShape extends AttentionShape {
  readonly first: number;
}

/** Where in a run a dropout stands: its mask depends on nothing else. */
export interface DropoutKey {
  readonly seed: number;
  readonly step: number;
  readonly microBatch: number;
  /** Number of the dropout within the model. */
  readonly layer: number;
}

export type BackendName = 'cpu' | 'gpujs' | 'reference';

export interface BackendInfo {
  readonly backend: BackendName;
  /** What really computes: `wasm-simd`, `webgpu`, `webasm`, `cpu`, `float64`. */
  readonly mode: string;
  /** The device in its own words, for people. */
  readonly device: string;
  /** Whether results are bit-identical on every processor. */
  readonly reproducible: boolean;
}

export class KernelError extends Error {
  override readonly name = 'KernelError';
}
