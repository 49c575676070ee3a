import { KernelError } from '../kernels.js';
import type { LaunchRecord } from './engine.js';
import type { GpuMode } from './foreign.js';
import type { AnyProgram, Helper } from './program.js';

/** What runs where, and how often: gpu.js computes in plain JavaScript what a mode cannot do, and only warns. */
export class Launches {
  readonly records: LaunchRecord[] = [];
  private readonly byProgram = new Map<object, LaunchRecord>();

  constructor(private readonly mode: GpuMode) {}

  /** @throws KernelError where gpu.js fell back on another mode */
  add({ source: { name } }: AnyProgram, mode: string, fallbackReason: string | null): void {
    if (mode !== this.mode || fallbackReason !== null) {
      const why = fallbackReason ?? 'no reason given';
      throw new KernelError(`kernel ${name} ran in mode ${mode} instead of ${this.mode} (${why})`);
    }
  }

  count(program: AnyProgram): void {
    let record = this.byProgram.get(program);
    if (record === undefined) {
      record = { kernel: program.source.name, mode: this.mode, fallbackReason: null, launches: 0 };
      this.byProgram.set(program, record);
      this.records.push(record);
    }
    record.launches += 1;
  }
}

/** The settings of every kernel, of any size. */
export function kernelSettings({ helpers }: AnyProgram, constants: object): object {
  return {
    constants,
    functions: helpers.map(registered),
    pipeline: true,
    immutable: true,
    dynamicArguments: true,
    dynamicOutput: true,
    // gpu.js cuts a loop whose end is not a constant after 1,000 rounds, unless told otherwise.
    loopMaxIterations: 2 ** 30,
  };
}

function registered({ source, integers }: Helper): object {
  const type = integers ? 'Integer' : 'Number';
  return {
    source: source.toString(),
    settings: { argumentTypes: new Array<string>(source.length).fill(type), returnType: type },
  };
}
