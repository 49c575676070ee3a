import type { GpuMode } from './foreign.js';
import type { DeviceTensor, Step, Tape } from './tape.js';

/** Where tensors lie and programs run: one for WebGPU, one for the modes that compute in this process. */
export interface Engine {
  readonly mode: GpuMode;
  /** Every kernel that ran, in which mode it really ran, and how often. */
  readonly launched: readonly Readonly<LaunchRecord>[];
  /** Does one step. Rejects where gpu.js fails or falls back on another mode. */
  execute(step: Step): Promise<void>;
  /** Makes all steps of a tape ready to run together. */
  link(tape: Tape): Promise<Linked>;
  /** What is executed after the call does not show. Resolves after the next `flush`. */
  read(tensor: DeviceTensor, into: Float32Array): Promise<void>;
  /** Hands over to the device what it has not got yet. */
  flush(): void;
  free(tensors: readonly DeviceTensor[]): void;
  close(): Promise<void>;
}

/** A tape that is ready to run. */
export interface Linked {
  /**
   * Does the steps from `first` up to, not including, `end`: a run is such parts in order, from the tape's start to its
   * end, cut at its hooks. `feeds`: values for the fills that are not fixed.
   */
  run(first: number, end: number, feeds: Feeds): Promise<void>;
}

export type Feeds = ReadonlyMap<DeviceTensor, Float32Array>;

export interface LaunchRecord {
  readonly kernel: string;
  readonly mode: string;
  readonly fallbackReason: string | null;
  launches: number;
}
