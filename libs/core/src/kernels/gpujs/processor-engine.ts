import { KernelError } from '../kernels.js';
import type { Engine, Feeds, Linked } from './engine.js';
import type { Gpu, GpuJs, GpuKernel, GpuMode, GpuPipeline, Rows } from './foreign.js';
import { kernelSettings, Launches } from './launches.js';
import { type Matrix, program, type Thread } from './program.js';
import { covers, type DeviceTensor, type Launch, type Place, type Step, type Tape } from './tape.js';

/** `target`, with the rows and columns from the first ones on replaced by `source`. */
const replaceBlock = program(function replaceBlock(
  this: Thread<object>,
  target: Matrix,
  source: Matrix,
  firstRow: number,
  firstColumn: number,
  rows: number,
  columns: number,
): number {
  const row = this.thread.y - firstRow;
  const column = this.thread.x - firstColumn;
  if (row >= 0 && row < rows && column >= 0 && column < columns) {
    return source[row][column];
  }
  return target[this.thread.y][this.thread.x];
});

/**
 * gpu.js's modes that compute in this process: a tensor is an array, a tape one gpu.js pipeline, whose arguments are
 * what lives outside and whose results are what is read after a run.
 */
export class ProcessorEngine implements Engine {
  private readonly launches: Launches;
  private readonly compiled = new Map<string, GpuKernel>();
  private readonly numbers = new Map<object, number>();
  private readonly values = new Map<DeviceTensor, Float32Array>();

  constructor(
    readonly mode: GpuMode,
    private readonly gpu: Gpu,
    private readonly gpuJs: GpuJs,
  ) {
    this.launches = new Launches(mode);
  }

  get launched() {
    return this.launches.records;
  }

  async execute(step: Step): Promise<void> {
    switch (step.kind) {
      case 'fill':
        this.values.set(step.target, step.values().slice());
        return;
      case 'place': {
        const { target, source, firstRow, firstColumn } = step;
        const values = this.values.get(target) ?? new Float32Array(target.length);
        values.set(this.valuesOf(source), firstRow * target.columns + firstColumn);
        this.values.set(target, values);
        return;
      }
      case 'launch': {
        const kernel = this.compile(step, '');
        kernel.setOutput(step.target.size);
        const rows = kernel(...step.operands.map((it) => (typeof it === 'number' ? it : this.input(it))));
        this.launches.add(step.program, kernel.kernel.constructor.mode, kernel.kernel.fallbackReason);
        this.launches.count(step.program);
        this.values.set(step.target, flat(rows, step.target.length));
      }
    }
  }

  /** gpu.js traces and compiles a pipeline when it first runs. */
  async link(tape: Tape): Promise<Linked> {
    const feeds = tape.steps.flatMap((step) => (step.kind === 'fill' && !step.fixed ? step.target : []));
    const { outside, outputs } = tape;
    const given = [...outside, ...feeds];
    const trace = (...handles: object[]) => this.trace(tape, new Map(given.map((it, i) => [it, handles[i]])));
    // gpu.js asks the function how many arguments it has.
    Object.defineProperty(trace, 'length', { value: given.length });
    // A worker's threads compute a micro-batch each: gpu.js's own would take their cores.
    const pipeline = this.gpu.createPipeline(trace, { threads: false });
    const launches = tape.steps.flatMap((step) => {
      if (step.kind === 'place' && !covers(step)) return replacing(step);
      return step.kind === 'launch' ? step : [];
    });
    return {
      run: async (first, _end, values: Feeds) => {
        if (first > 0) return; // a pipeline runs as a whole
        const results = await pipeline(...given.map((it) => this.input(it, values.get(it))));
        if (launches.length > 0) this.check(pipeline);
        for (const step of launches) this.launches.count(step.program);
        for (const [i, tensor] of outputs.entries()) this.values.set(tensor, flat(results[i], tensor.length));
      },
    };
  }

  async read(tensor: DeviceTensor, into: Float32Array): Promise<void> {
    into.set(this.valuesOf(tensor));
  }

  /** Everything is computed when it is executed. */
  flush(): void {}

  free(tensors: readonly DeviceTensor[]): void {
    for (const tensor of tensors) this.values.delete(tensor);
  }

  async close(): Promise<void> {
    await this.gpu.destroy();
    this.compiled.clear();
    this.values.clear();
  }

  /** Calls the tape's kernels on gpu.js's handles. Each value is a handle of its own: what changes a tensor makes a new one. */
  private trace(tape: Tape, handles: Map<DeviceTensor, object>): object[] {
    const handleOf = (tensor: DeviceTensor) =>
      handles.get(tensor) ?? this.input(tensor, new Float32Array(tensor.length));
    const call = (step: Launch): object => {
      const kernel = this.compile(step, step.target.size.join());
      const operands = step.operands.map((it) => (typeof it === 'number' ? it : handleOf(it)));
      return kernel(...operands);
    };
    for (const step of tape.steps) {
      switch (step.kind) {
        case 'fill':
          if (step.fixed) handles.set(step.target, this.input(step.target, step.values()));
          break;
        case 'place':
          handles.set(step.target, covers(step) ? handleOf(step.source) : call(replacing(step)));
          break;
        case 'launch':
          handles.set(step.target, call(step));
      }
    }
    return tape.outputs.map(handleOf);
  }

  private check({ backend, executorKind, fallbackReason }: GpuPipeline): void {
    // Plain JavaScript has nothing faster than one kernel after another, and says why.
    const asked = this.mode === 'cpu' ? executorKind === 'generic' : executorKind === 'fused-sync';
    if (backend !== this.mode || !asked) {
      throw new KernelError(
        `a program ran ${executorKind} in mode ${backend} instead of ${this.mode} (${fallbackReason ?? 'no reason given'})`,
      );
    }
  }

  private input(tensor: DeviceTensor, values = this.valuesOf(tensor)): object {
    // In mode cpu, a kernel keeps the sizes of the first inputs that it sees, but not those of arrays.
    return this.mode === 'cpu' ? nested(values, tensor.size) : new this.gpuJs.Input(values, tensor.size);
  }

  private valuesOf(tensor: DeviceTensor): Float32Array {
    const values = this.values.get(tensor);
    if (values === undefined) throw new KernelError('a tensor was used after its release');
    return values;
  }

  /** One kernel for each program and its constants and, within pipelines, which compile a kernel for one size, each `size`. */
  private compile({ program, constants, target }: Launch, size: string): GpuKernel {
    const number = this.numbers.get(program) ?? this.numbers.size;
    this.numbers.set(program, number);
    const key = `${number} ${size} ${JSON.stringify(constants)}`;
    let kernel = this.compiled.get(key);
    if (kernel === undefined) {
      kernel = this.gpu.createKernel(program.source, {
        ...kernelSettings(program, constants),
        output: [...target.size],
      });
      this.compiled.set(key, kernel);
    }
    return kernel;
  }
}

function replacing({ target, source, firstRow, firstColumn }: Place): Launch {
  const operands = [target, source, firstRow, firstColumn, source.rows, source.columns];
  return { kind: 'launch', program: replaceBlock, constants: {}, operands, target };
}

/** A matrix as an array of rows, a cube as an array of matrices; views of `values`. */
function nested(values: Float32Array, [columns, ...others]: readonly number[]): Nested {
  if (others.length === 0) return values;
  const parts = others[others.length - 1];
  const length = values.length / parts;
  return Array.from({ length: parts }, (_, i) =>
    nested(values.subarray(i * length, (i + 1) * length), [columns, ...others.slice(0, -1)]),
  );
}

type Nested = Float32Array | readonly Nested[];

/** The rows of a matrix or cube one after another. */
function flat(rows: Rows, length: number): Float32Array {
  const values = new Float32Array(length);
  let offset = 0;
  const append = (part: Rows) => {
    if (part instanceof Float32Array) {
      values.set(part, offset);
      offset += part.length;
    } else part.forEach(append);
  };
  append(rows);
  return values;
}
