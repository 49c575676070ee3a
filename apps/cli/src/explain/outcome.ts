import type { Model, Parameter } from '@manyhands/core/model';
import { norm } from './network.js';
import type { Moved } from './page/picture.js';
import type { Walk } from './walk.js';

/** What one parameter tensor felt and how it moved. */
export interface TensorReport {
  readonly name: string;
  readonly shape: readonly number[];
  /** Euclidean norm of its gradient, before clipping. */
  readonly gradientNorm: number;
  /** Its steepest entry. */
  readonly steepest: { readonly index: readonly number[]; readonly gradient: number };
  /** ‖change‖ / ‖weights before‖ over all steps; 0 for a tensor of zeros. */
  readonly relativeChange: number;
}

/** Every tensor, the one with the largest gradient first. */
export function tensorReports(model: Model, weights: Float32Array, walk: Walk): TensorReport[] {
  const reports = model.parameters.map((parameter): TensorReport => {
    const gradient = view(walk.gradient, parameter);
    const before = view(weights, parameter);
    const change = view(walk.after, parameter).map((value, i) => value - before[i]);
    const at = largest(gradient);
    return {
      name: parameter.name,
      shape: parameter.shape,
      gradientNorm: norm(gradient),
      steepest: { index: indices(at, parameter.shape), gradient: gradient[at] },
      relativeChange: norm(before) === 0 ? 0 : norm(change) / norm(before),
    };
  });
  return reports.sort((a, b) => b.gradientNorm - a.gradientNorm);
}

/** The weight of each tensor that moved furthest, and of those the `count` furthest. */
export function movedWeights(model: Model, weights: Float32Array, walk: Walk, count: number): Moved[] {
  const moved = model.parameters.map((parameter): Moved => {
    const before = view(weights, parameter);
    const after = view(walk.after, parameter);
    const at = largest(after.map((value, i) => value - before[i]));
    return {
      name: parameter.name,
      index: indices(at, parameter.shape),
      before: before[at],
      after: after[at],
    };
  });
  const distance = ({ before, after }: Moved) => Math.abs(after - before);
  return moved.sort((a, b) => distance(b) - distance(a)).slice(0, count);
}

/** The weights that moved furthest, wherever they are, the furthest first; of equal ones the first in the file. */
export function furthestWeights(
  model: Model,
  before: Float32Array,
  after: Float32Array,
  count: number,
): Moved[] {
  const distance = (at: number) => Math.abs(after[at] - before[at]);
  const best: number[] = [];
  for (let at = 0; at < after.length; at++) {
    if (best.length === count && !(distance(at) > distance(best[count - 1]))) continue;
    const place = best.findIndex((other) => distance(at) > distance(other));
    best.splice(place < 0 ? best.length : place, 0, at);
    if (best.length > count) best.pop();
  }
  return best.flatMap((at): Moved[] => {
    const parameter = model.parameters.find(({ offset, size }) => at >= offset && at < offset + size);
    if (parameter === undefined) return []; // padding between parameters never moves
    const { name, shape, offset } = parameter;
    return [{ name, index: indices(at - offset, shape), before: before[at], after: after[at] }];
  });
}

/** A token that the model considers, and how likely it finds it. */
export interface Guess {
  readonly id: number;
  readonly probability: number;
}

/** What the model expected at one position. */
export interface Prediction {
  /** The token that should follow, and how likely the model found it. */
  readonly answer: Guess;
  /** 1 where the answer was the likeliest token. */
  readonly rank: number;
  /** The likeliest tokens, the likeliest first. */
  readonly guesses: readonly Guess[];
}

/** The softmax of one row of logits [N,V], against the token that should have come. */
export function predictionAt(
  logits: Float32Array,
  vocab: number,
  position: number,
  answer: number,
): Prediction {
  const row = logits.subarray(position * vocab, (position + 1) * vocab);
  const highest = row.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const weights = Float64Array.from(row, (logit) => Math.exp(logit - highest));
  const total = weights.reduce((a, b) => a + b, 0);
  const guess = (id: number): Guess => ({ id, probability: weights[id] / total });
  const order = Array.from(row.keys()).sort((a, b) => row[b] - row[a] || a - b);
  return { answer: guess(answer), rank: order.indexOf(answer) + 1, guesses: order.slice(0, 5).map(guess) };
}

function view(flat: Float32Array, { offset, size }: Parameter): Float32Array {
  return flat.subarray(offset, offset + size);
}

function largest(values: Float32Array): number {
  let at = 0;
  for (let i = 1; i < values.length; i++) if (Math.abs(values[i]) > Math.abs(values[at])) at = i;
  return at;
}

function indices(flat: number, shape: readonly number[]): number[] {
  const found: number[] = [];
  let rest = flat;
  for (const extent of [...shape].reverse()) {
    found.unshift(rest % extent);
    rest = Math.floor(rest / extent);
  }
  return found;
}
