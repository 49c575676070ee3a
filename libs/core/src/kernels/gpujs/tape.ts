import type { KernelError, Shape, Tensor } from '../kernels.js';
import { checkRange, type IndexRange, rangeOf } from '../shapes.js';
import type { AnyProgram } from './program.js';

/** A matrix (a vector is one row), or a cube within an operation. Its values lie with the engine. */
export class DeviceTensor implements Tensor {
  failure: KernelError | null = null;
  released = false;
  private readonly bounds: { what: string; from: number; below: number }[] = [];

  /** `owner`: the device. `size`: columns, rows and, for a cube, planes. `range`: of an index tensor's values. */
  constructor(
    readonly owner: object,
    readonly shape: Shape,
    readonly type: Tensor['type'],
    readonly size: readonly number[],
    public range: IndexRange = rangeOf(new Int32Array()),
  ) {}

  get columns(): number {
    return this.size[0];
  }

  get rows(): number {
    return this.size[1];
  }

  get length(): number {
    return this.size.reduce((product, extent) => product * extent, 1);
  }

  /** @throws KernelError where an index lies outside, now or, once it was recorded, when others are written */
  demand(what: string, from: number, below: number, recorded: boolean): void {
    checkRange(what, this.range, from, below);
    if (recorded) this.bounds.push({ what, from, below });
  }

  /** @throws KernelError where an index lies outside of what was recorded */
  replaceRange(range: IndexRange): void {
    for (const { what, from, below } of this.bounds) checkRange(what, range, from, below);
    this.range = range;
  }
}

/** One command to an engine: done at once, or recorded and done in every run. */
export type Step = Launch | Place | Fill;

/** A program over every entry of a new tensor. */
export interface Launch {
  readonly kind: 'launch';
  readonly program: AnyProgram;
  readonly constants: object;
  readonly operands: readonly (DeviceTensor | number)[];
  readonly target: DeviceTensor;
}

/** Copies `source` over a part of `target` that is contiguous: whole rows of it, or a part of its only row. */
export interface Place {
  readonly kind: 'place';
  readonly target: DeviceTensor;
  readonly firstRow: number;
  readonly firstColumn: number;
  readonly source: DeviceTensor;
}

/** Values of this process. `fixed`: the same in each run. */
export interface Fill {
  readonly kind: 'fill';
  readonly target: DeviceTensor;
  readonly values: () => Float32Array;
  readonly fixed: boolean;
}

export interface Hook {
  readonly tensors: readonly DeviceTensor[];
  readonly then: () => void;
}

/** What a step reads. */
export function operandsOf(step: Step): readonly DeviceTensor[] {
  switch (step.kind) {
    case 'launch':
      return step.operands.filter((operand): operand is DeviceTensor => typeof operand !== 'number');
    case 'place':
      // Where a part is replaced, the rest stays.
      return covers(step) ? [step.source] : [step.source, step.target];
    case 'fill':
      return [];
  }
}

export function covers({ source, target }: Place): boolean {
  return source.length === target.length;
}

/** Steps that are recorded once and run often, with the hooks between them. */
export class Tape {
  readonly steps: Step[] = [];
  /** `after`: the number of steps before the hook. */
  readonly hooks: { readonly after: number; readonly hook: Hook }[] = [];
  private readonly inside = new Set<DeviceTensor>();
  private found: readonly DeviceTensor[] = [];

  make(tensor: DeviceTensor): DeviceTensor {
    this.inside.add(tensor);
    return tensor;
  }

  /** `results`: tensors that are read after a run. */
  end(results: readonly DeviceTensor[]): void {
    this.found = results;
  }

  isInside(tensor: DeviceTensor): boolean {
    return this.inside.has(tensor);
  }

  /** Tensors that were made before, which the steps read or change. */
  get outside(): DeviceTensor[] {
    const all = this.steps.flatMap((step) => [...operandsOf(step), step.target]);
    return [...new Set([...all, ...this.readAfter])].filter((tensor) => !this.inside.has(tensor));
  }

  get changed(): DeviceTensor[] {
    const targets = this.steps.map(({ target }) => target);
    return [...new Set(targets)].filter((tensor) => !this.inside.has(tensor));
  }

  /** Tensors of the inside that hold nothing but values of this process. */
  get filled(): Set<DeviceTensor> {
    const computed = new Set(this.steps.flatMap(({ kind, target }) => (kind === 'fill' ? [] : target)));
    const fills = this.steps.flatMap(({ kind, target }) => (kind === 'fill' ? target : []));
    return new Set(fills.filter((target) => !computed.has(target)));
  }

  /** What a run needs beside what lives outside, in bytes. */
  get bytes(): number {
    const filled = [...this.filled].reduce((sum, { length }) => sum + 4 * length, 0);
    return assignBuffers(this, []).sizes.reduce((sum, size) => sum + size, filled);
  }

  /** Everything that somebody may read: results, what hooks name, and what lives outside and is changed. */
  get outputs(): DeviceTensor[] {
    return [...new Set([...this.readAfter, ...this.changed])];
  }

  /** The last step at which each tensor of the inside must still be there. */
  lastUses(): Map<DeviceTensor, number> {
    const last = new Map<DeviceTensor, number>();
    const use = (tensor: DeviceTensor, at: number) => {
      if (this.inside.has(tensor)) last.set(tensor, Math.max(at, last.get(tensor) ?? 0));
    };
    for (const [at, step] of this.steps.entries()) {
      for (const tensor of [...operandsOf(step), step.target]) use(tensor, at);
    }
    // A hook's tensors are read before the steps after it run.
    for (const { after, hook } of this.hooks) for (const tensor of hook.tensors) use(tensor, after - 1);
    for (const tensor of this.found) use(tensor, this.steps.length);
    return last;
  }

  private get readAfter(): readonly DeviceTensor[] {
    return [...this.found, ...this.hooks.flatMap(({ hook }) => hook.tensors)];
  }
}

/**
 * Shares buffers among tensors that do not live at once: each takes, in the order of the steps, the smallest free
 * buffer that holds it, or else the largest one, grown, or a new one. `present`: sizes of buffers that other tapes
 * have, which can be shared but not grown. Values of this process have buffers of their own, filled in one go.
 * @returns for each tensor that some step fills, the number of its buffer, and the buffers' sizes, all in bytes
 */
export function assignBuffers(
  tape: Tape,
  present: readonly number[],
): { places: Map<DeviceTensor, number>; sizes: number[] } {
  const last = tape.lastUses();
  const filled = tape.filled;
  const places = new Map<DeviceTensor, number>();
  const sizes = [...present];
  const busyUntil = sizes.map(() => -1);
  for (const [at, { target }] of tape.steps.entries()) {
    if (places.has(target) || filled.has(target) || !tape.isInside(target)) continue;
    const bytes = 4 * target.length;
    const free = sizes.flatMap((_, i) => (busyUntil[i] < at ? i : []));
    const fitting = free.filter((i) => sizes[i] >= bytes).sort((a, b) => sizes[a] - sizes[b]);
    const growing = free.filter((i) => i >= present.length).sort((a, b) => sizes[b] - sizes[a]);
    const place = fitting[0] ?? growing[0] ?? sizes.length;
    sizes[place] = Math.max(bytes, sizes[place] ?? 0);
    busyUntil[place] = last.get(target) ?? at;
    places.set(target, place);
  }
  return { places, sizes };
}
