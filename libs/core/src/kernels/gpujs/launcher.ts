import { KernelError } from '../kernels.js';
import { asKernelError, type Gpu, type GpuJs, type GpuKernel, type GpuMode, type Handle } from './foreign.js';
import type { Helper, Program } from './program.js';

/** A kernel that ran: in which mode it really ran, and how often. */
export interface LaunchRecord {
  readonly kernel: string;
  readonly mode: string;
  readonly fallbackReason: string | null;
  launches: number;
}

/** Runs programs by gpu.js, each compiled once for its constants and then run at any size. */
export class Launcher {
  readonly launched: LaunchRecord[] = [];
  private readonly compiled = new Map<object, Map<string, Compiled>>();
  private readonly gpu: Gpu;

  /** @throws KernelError where this machine lacks the mode. */
  constructor(
    gpuJs: GpuJs,
    private readonly mode: GpuMode,
  ) {
    try {
      this.gpu = new gpuJs.GPU({ mode });
    } catch (error) {
      throw asKernelError(`mode ${mode} is not available on this machine`, error);
    }
  }

  /** `size`: columns, rows and, for a cube, planes. Rejects where gpu.js fails or falls back on another mode. */
  async run<Constants extends object>(
    program: Program<Constants>,
    constants: Constants,
    size: readonly number[],
    operands: readonly (Handle | object | number)[],
  ): Promise<Handle> {
    const compiled = this.compile(program, constants);
    compiled.kernel.setOutput(size);
    const handle = await compiled.kernel(...operands);
    const { constructor: ran, fallbackReason } = compiled.kernel.kernel;
    // gpu.js computes in plain JavaScript what a mode cannot do, and only warns.
    if (ran.mode !== this.mode || fallbackReason !== null) {
      const why = fallbackReason ?? 'no reason given';
      throw new KernelError(
        `kernel ${program.source.name} ran in mode ${ran.mode} instead of ${this.mode} (${why})`,
      );
    }
    if (compiled.record === null) {
      compiled.record = { kernel: program.source.name, mode: ran.mode, fallbackReason, launches: 0 };
      this.launched.push(compiled.record);
    }
    compiled.record.launches += 1;
    return handle;
  }

  async close(): Promise<void> {
    await this.gpu.destroy();
    this.compiled.clear();
  }

  private compile<Constants extends object>(program: Program<Constants>, constants: Constants): Compiled {
    let variants = this.compiled.get(program);
    if (variants === undefined) {
      variants = new Map();
      this.compiled.set(program, variants);
    }
    const key = JSON.stringify(constants);
    let compiled = variants.get(key);
    if (compiled === undefined) {
      const kernel = this.gpu.createKernel(program.source, {
        constants,
        functions: program.helpers.map(registered),
        output: [1, 1],
        dynamicOutput: true,
        dynamicArguments: true,
        pipeline: true,
        immutable: true,
        // gpu.js cuts a loop whose end is not a constant after 1,000 rounds, unless told otherwise.
        loopMaxIterations: 2 ** 30,
      });
      compiled = { kernel, record: null };
      variants.set(key, compiled);
    }
    return compiled;
  }
}

interface Compiled {
  readonly kernel: GpuKernel;
  record: LaunchRecord | null;
}

function registered({ source, integers }: Helper): object {
  const type = integers ? 'Integer' : 'Number';
  return {
    source: source.toString(),
    settings: { argumentTypes: new Array<string>(source.length).fill(type), returnType: type },
  };
}
