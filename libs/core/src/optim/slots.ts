import type { Model, Parameter } from '../model/index.js';
import type { UpdateNorms } from './types.js';

/** A parameter and where its part of an optimiser's state begins. */
export interface Slot {
  readonly parameter: Parameter;
  /** Number of the parameter in the model's table. */
  readonly number: number;
  /** In elements, from the start of the state's arrays. */
  readonly at: number;
}

/** Lays the chosen parameters' state out one after the other, in the order of the model's table. */
export function layOut(
  model: Model,
  chosen: (parameter: Parameter) => boolean,
): { slots: Slot[]; size: number } {
  const slots: Slot[] = [];
  let size = 0;
  for (const [number, parameter] of model.parameters.entries()) {
    if (!chosen(parameter)) continue;
    slots.push({ parameter, number, at: size });
    size += parameter.size;
  }
  return { slots, size };
}

export function noNorms(model: Model): UpdateNorms {
  const count = model.parameters.length;
  return { update: new Float64Array(count), weights: new Float64Array(count) };
}
