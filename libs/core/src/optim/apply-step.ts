import type { Layout, ParameterGroup } from '../model/index.js';
import { clipFactor, globalNorm, scale } from './clip.js';
import type { Optimizer, UpdateNorms } from './types.js';

export interface Step {
  readonly model: Layout;
  readonly optimizer: Optimizer;
  /** Flat; overwritten by the new weights. */
  readonly weights: Float32Array;
  /** Flat, the SUM over the batch's targets; overwritten by the clipped mean. */
  readonly gradient: Float32Array;
  /** How many targets the batch has, over all of its micro-batches. */
  readonly targets: number;
  readonly learningRate: number;
  /** Largest global norm of the mean gradient; 0 switches clipping off. */
  readonly gradientClip: number;
  /** Steps applied so far and this one: 1, 2, … */
  readonly t: number;
}

export interface StepResult {
  /** Global norm of the mean gradient before clipping. */
  readonly gradNorm: number;
  /** The gradient was not finite, or there was no target: weights and state are as they were. */
  readonly skipped: boolean;
  /** null: not measured. */
  readonly updateRatio: UpdateRatio | null;
}

/** ‖change of the weights‖ / ‖weights before‖, over all and over each group; 0 where the step was skipped. */
export interface UpdateRatio {
  readonly overall: number;
  readonly groups: Readonly<Partial<Record<ParameterGroup, number>>>;
}

/** One optimiser step: mean over targets → global norm → (not finite: skip) → clip → optimiser. */
export function applyStep(step: Step): StepResult {
  const { model, optimizer, weights, gradient, targets, learningRate, gradientClip, t } = step;
  const gradNorm = targets > 0 ? globalNorm(gradient) / targets : 0;
  const factor = gradientFactor(gradNorm, targets, gradientClip);
  if (factor === null) return skippedStep(gradNorm);
  scale(gradient, factor);
  return takenStep(gradNorm, model, optimizer.step(weights, gradient, learningRate, t));
}

/** What makes the sum of the gradients a clipped mean; null: the step must be skipped. */
export function gradientFactor(gradNorm: number, targets: number, gradientClip: number): number | null {
  if (targets <= 0 || !Number.isFinite(gradNorm)) return null;
  return clipFactor(gradNorm, gradientClip) / targets;
}

export function skippedStep(gradNorm: number): StepResult {
  return { gradNorm, skipped: true, updateRatio: { overall: 0, groups: {} } };
}

export function takenStep(gradNorm: number, model: Layout, norms: UpdateNorms | null): StepResult {
  return { gradNorm, skipped: false, updateRatio: norms && ratios(model, norms) };
}

function ratios(model: Layout, { update, weights }: UpdateNorms): UpdateRatio {
  const over = (group: ParameterGroup | null) => {
    let [moved, length] = [0, 0];
    for (const [number, parameter] of model.parameters.entries()) {
      if (group !== null && parameter.group !== group) continue;
      moved += update[number];
      length += weights[number];
    }
    return moved === 0 ? 0 : Math.sqrt(moved / length);
  };
  const groups = new Set(model.parameters.map(({ group }) => group));
  return {
    overall: over(null),
    groups: Object.fromEntries([...groups].map((group) => [group, over(group)])),
  };
}
