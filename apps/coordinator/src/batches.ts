import type { Window } from '@manyhands/core/data';
import type { Shape, Assignment as WireAssignment, MicroBatch as WireMicroBatch } from '@manyhands/proto';
import type { EvaluationBatch } from './evaluation.js';
import type { OpenRun } from './open-run.js';
import type { Assignment, JobKind } from './state.js';

/** What the micro-batches of a step or an evaluation consist of, and how a worker is told. */
export class Batches {
  /** The windows of the step that is being handed out. */
  private drawn: { readonly step: number; readonly windows: readonly Window[] } = { step: -1, windows: [] };

  /** @param sent is told the bytes of tokens in every message */
  constructor(
    private readonly run: OpenRun,
    private readonly evaluation: readonly EvaluationBatch[],
    private readonly sent: (bytes: number) => void,
  ) {}

  /** Every shape that a worker will be given, once. */
  shapes(): Shape[] {
    const { config, material, microBatch } = this.run;
    const { time } = material;
    const { sequences } = config.batch;
    const training = [Math.min(microBatch, sequences), sequences % microBatch].filter((size) => size > 0);
    const evaluating = this.evaluation.map(({ windows }) => windows.length);
    return [
      ...[...new Set(training)].map((size) => ({ sequences: size, time, train: true })),
      ...[...new Set(evaluating)].map((size) => ({ sequences: size, time, train: false })),
    ];
  }

  /** More targets no micro-batch has. */
  mostTargets(kind: JobKind): number {
    const sequences =
      kind === 'train' ? [this.run.microBatch] : this.evaluation.map(({ windows }) => windows.length);
    return Math.max(0, ...sequences) * this.run.material.time;
  }

  /** An assignment as it goes over the wire: positions for a worker that has the shards, tokens for the others. */
  message(kind: JobKind, step: number, { id, range }: Assignment, hasShards: boolean): WireAssignment {
    const microBatches: WireMicroBatch[] = [];
    for (let index = range.first; index < range.first + range.count; index++) {
      const windows = kind === 'train' ? this.trainingWindows(step, index) : this.evaluation[index].windows;
      microBatches.push((hasShards ? null : this.tokens(windows)) ?? this.positions(windows));
    }
    return { id, kind: kind === 'train' ? 'TRAIN' : 'EVALUATE', step, range, microBatches };
  }

  private trainingWindows(step: number, index: number): readonly Window[] {
    const { material, microBatch } = this.run;
    if (this.drawn.step !== step) this.drawn = { step, windows: material.training(step) };
    return this.drawn.windows.slice(index * microBatch, (index + 1) * microBatch);
  }

  private positions(windows: readonly Window[]): WireMicroBatch {
    return {
      batch: windows.length,
      time: this.run.material.time,
      windows: windows.map(({ split, source, offset }) => ({
        split: split === 'train' ? 'TRAIN' : 'VALIDATION',
        source,
        offset,
      })),
    };
  }

  /** null where every worker makes it from the windows themselves. */
  private tokens(windows: readonly Window[]): WireMicroBatch | null {
    const { material } = this.run;
    const { time } = material;
    const tokens = Buffer.alloc(windows.length * (time + 1) * Int32Array.BYTES_PER_ELEMENT);
    let at = 0;
    for (const window of windows) {
      const found = material.tokens(window);
      if (found === null) return null;
      for (const token of found) at = tokens.writeInt32LE(token, at);
    }
    this.sent(tokens.length);
    return { batch: windows.length, time, tokens };
  }
}
