import { z } from 'zod';

/**
 * A source's share of the training windows, relative to the other sources': one number, or points that say it at some
 * steps (counted from 0, as the batches are), with straight lines between them.
 */
export type Weight = number | readonly (readonly [step: number, weight: number])[];

const largest = 1e9;
const most = 1000;

const allowed = `a number above 0 and at most ${largest}, or at most ${most} points [[step, weight], …] whose steps rise, not all of weight 0`;

const point = z
  .tuple(
    [
      z.int(allowed).min(0, allowed).max(largest, allowed),
      z.number(allowed).min(0, allowed).max(largest, allowed),
    ],
    {
      error: allowed,
    },
  )
  .readonly();

/** A weight as a person writes it. Whatever is wrong, the sentence says all that is allowed. */
export const weightSchema = z.union(
  [
    z.number(allowed).positive(allowed).max(largest, allowed),
    z
      .array(point, { error: allowed })
      .min(1, allowed)
      .max(most, allowed)
      .refine((points) => points.every(([step], at) => at === 0 || step > points[at - 1][0]), allowed)
      .refine((points) => points.some(([, weight]) => weight > 0), allowed)
      .readonly(),
  ],
  { error: allowed },
);

/** Before the first point and after the last one it is theirs. */
export function weightAt(weight: Weight, step: number): number {
  if (typeof weight === 'number') return weight;
  const next = weight.findIndex(([at]) => at > step);
  if (next <= 0) return weight.at(next)?.[1] ?? 0;
  const [[fromStep, from], [toStep, to]] = [weight[next - 1], weight[next]];
  const way = (step - fromStep) / (toStep - fromStep);
  // Both terms are at least 0, however they are rounded.
  return from * (1 - way) + to * way;
}

/**
 * A step at which no weight is above 0; null: there is none. Only the points have to be looked at: a sum of weights is
 * 0 between two of them only where it is 0 at both.
 */
export function barrenStep(weights: readonly Weight[]): number | null {
  const points = weights.flatMap((weight) =>
    typeof weight === 'number' ? [] : weight.map(([step]) => step),
  );
  const barren = (step: number) => weights.every((weight) => weightAt(weight, step) <= 0);
  return [0, ...points].sort((a, b) => a - b).find(barren) ?? null;
}

/** In a few characters: `2`, or `0 (step 0) … 3 (step 500)`. */
export function describeWeight(weight: Weight): string {
  if (typeof weight === 'number') return String(weight);
  return weight.map(([step, value]) => `${value} (step ${step})`).join(' … ');
}
