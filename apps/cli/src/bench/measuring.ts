import type { RunConfig } from '@manyhands/core/config';
import {
  COUNTED_TOKENS,
  initialSteering,
  judge,
  judgeConvergence,
  NgramModel,
} from '@manyhands/core/learning';
import { createModel, initialWeights, type ModelConfig, parameterCount } from '@manyhands/core/model';
import { createStepper, type Stepper } from '@manyhands/core/optim';

/** Tokens that are counted here; a run counts more. */
const SAMPLE_TOKENS = 2 ** 17;
/** A part that takes less than a millisecond is done so often. */
const TIMES = 20;

/** What watching a run's learning costs: all that `run.measure` switches off, and the look at each step. */
export class Measuring {
  private constructor(
    private readonly config: RunConfig,
    private readonly model: ModelConfig,
    private readonly threads: number,
    private readonly gradient: Float32Array,
    private readonly measured: Stepper,
    private readonly bare: Stepper,
  ) {}

  /** Of a preset, whose optimiser has `threads` threads. */
  static async start(config: RunConfig, model: ModelConfig, threads: number): Promise<Measuring> {
    // The cost of a parameter is the same in every layer.
    const layer = createModel({ ...model, layers: 1, vocab: Math.min(model.vocab, 1000) });
    const stepper = async (measure: boolean) => {
      const made = await createStepper(config.optimizer, layer, { threads: 1, measure });
      made.weights.set(initialWeights(layer, 1));
      return made;
    };
    const gradient = new Float32Array(new SharedArrayBuffer(4 * layer.size)).fill(1e-3);
    return new Measuring(config, model, threads, gradient, await stepper(true), await stepper(false));
  }

  /** Of a step, on average over the preset's run. */
  async seconds(): Promise<number> {
    const { evalEvery, steps } = this.config.run;
    const each = (await this.norms()) + this.look();
    return each + this.evaluation() / evalEvery + this.baselines() / steps;
  }

  async close(): Promise<void> {
    await Promise.all([this.measured.close(), this.bare.close()]);
  }

  /** The size of the updates: by turns, since others are busy on the machine, the better of each. */
  private async norms(): Promise<number> {
    const best = { measured: Number.POSITIVE_INFINITY, bare: Number.POSITIVE_INFINITY };
    for (let t = 1; t <= TIMES; t++) {
      for (const which of ['measured', 'bare'] as const) {
        const began = performance.now();
        await this[which].step({
          gradient: this.gradient,
          gradNorm: 1,
          targets: 1,
          learningRate: 1e-9,
          gradientClip: 0,
          t,
        });
        best[which] = Math.min(best[which], performance.now() - began);
      }
    }
    const parts = parameterCount(this.model) / this.gradient.length / this.threads;
    return (Math.max(0, best.measured - best.bare) / 1000) * parts;
  }

  /** Whether a step's loss and gradient are suspicious. */
  private look(): number {
    const { steering } = this.config;
    const values = wave(steering.window);
    const state = { ...initialSteering, first: 4, losses: values, gradNorms: values };
    return timed(TIMES, () => judge(steering, state, { number: 1, loss: 3, gradNorm: 3 }));
  }

  /** Whether the loss still falls, since five evaluations ago. */
  private evaluation(): number {
    const { evalEvery } = this.config.run;
    const training = wave(5 * evalEvery).map((loss, index) => ({ step: index + 1, loss }));
    const validation = Array.from({ length: 6 }, (_, index) => ({ step: index * evalEvery, loss: 3 }));
    const evidence = { training, validation, baselines: null, decayedAt: null };
    const config = { patience: 5, minImprovement: 0, beforeDecay: true };
    return timed(2, () => judgeConvergence(config, evidence));
  }

  /** Counting the most tokens that a run counts, of a frequency that falls as in text (Zipf). */
  private baselines(): number {
    const { vocab, context } = this.model;
    const uniform = (index: number) => ((Math.imul(index + 1, 0x9e3779b1) >>> 8) % 65_537) / 65_537;
    const tokens = Int32Array.from({ length: SAMPLE_TOKENS }, (_, index) =>
      Math.floor(vocab ** uniform(index) - 1),
    );
    const counting = timed(1, () => {
      const counts = new NgramModel(vocab);
      for (let from = 0; from < tokens.length; from += context) {
        counts.learn(tokens.subarray(from, from + context + 1));
      }
    });
    return (counting * COUNTED_TOKENS) / SAMPLE_TOKENS;
  }
}

/** Values about 3, none like its neighbours. */
function wave(length: number): number[] {
  return Array.from({ length }, (_, index) => 3 + Math.sin(index) / 10);
}

/** Seconds of one of them. */
function timed(times: number, work: () => unknown): number {
  const began = performance.now();
  for (let i = 0; i < times; i++) work();
  return (performance.now() - began) / 1000 / times;
}
