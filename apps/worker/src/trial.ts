import type { Kernels, Trial } from '@manyhands/core/kernels';
import type { Model } from '@manyhands/core/model';
import { type BatchShape, Learner, type MicroBatch } from '@manyhands/core/train';

const TRIAL_MILLISECONDS = 500;

/** How `auto` compares backends: by micro-batches of the run's own model and shape, for about half a second each. */
export function trialOf(
  model: Model,
  { batch, time }: BatchShape,
  { recompute, threads }: { readonly recompute: boolean; readonly threads: number },
): Trial {
  return {
    key: JSON.stringify({ model: model.config, batch, time, recompute, threads }),
    async measure(kernels: Kernels): Promise<number> {
      const mark = kernels.mark();
      const learner = Learner.create(kernels, model, { recompute });
      const tokens = new Int32Array(batch * time);
      const micro: MicroBatch = { index: 0, batch, time, inputs: tokens, targets: tokens };
      const into = new Float32Array(model.size);
      const once = () => learner.gradients(micro, { seed: 0, step: 0 }, into);
      await once(); // compiles
      const began = performance.now();
      let runs = 0;
      do {
        await once();
        runs += 1;
      } while (performance.now() - began < TRIAL_MILLISECONDS);
      const seconds = (performance.now() - began) / 1000;
      kernels.release(mark);
      // All threads share one GPU, and have a core each.
      return ((runs * tokens.length) / seconds) * (kernels.info.backend === 'cpu' ? threads : 1);
    },
  };
}
