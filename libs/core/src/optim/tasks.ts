import type { Layout, Parameter } from '../model/index.js';

/** Floats of a block of the fixed grid, from the start of a flat array, by which norms are summed and steps divided. */
export const BLOCK = 65_536;

/** How a parameter is moved; see workbench.ts. */
export type Rule = 'adam' | 'momentum' | 'muon';

/** A part of one step that depends on no other: entries from … to−1 of the flat arrays, all of one parameter. */
export interface Task {
  readonly rule: Rule;
  /** Of the parameter in the model's table. */
  readonly parameter: number;
  readonly from: number;
  readonly to: number;
  /** Where this part of the optimiser's state begins, in its arrays. */
  readonly at: number;
  readonly decay: boolean;
  /** Of a whole matrix; 1 × its length for any other part. */
  readonly rows: number;
  readonly columns: number;
}

/**
 * Lays the chosen parameters' state out one after the other, in the order of the model's table, and cuts them along the
 * grid, or, with `whole`, not at all.
 */
export function layOut(
  model: Layout,
  rule: Rule,
  chosen: (parameter: Parameter) => boolean,
  whole = false,
): { tasks: Task[]; size: number } {
  const tasks: Task[] = [];
  let size = 0;
  for (const [number, parameter] of model.parameters.entries()) {
    if (!chosen(parameter)) continue;
    const { offset, decay, shape } = parameter;
    const end = offset + parameter.size;
    for (let from = offset; from < end; ) {
      const to = whole ? end : Math.min(end, (Math.floor(from / BLOCK) + 1) * BLOCK);
      const [rows, columns] = whole ? shape : [1, to - from];
      tasks.push({ rule, parameter: number, from, to, at: size + from - offset, decay, rows, columns });
      from = to;
    }
    size += parameter.size;
  }
  return { tasks, size };
}
