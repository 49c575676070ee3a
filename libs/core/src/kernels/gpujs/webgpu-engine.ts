import { KernelError } from '../kernels.js';
import type { Engine, Linked } from './engine.js';
import type { CommandEncoder, Gpu, GpuBuffer, GpuJs, GpuKernel, WebGpuDevice } from './foreign.js';
import { kernelSettings, Launches } from './launches.js';
import type { AnyProgram } from './program.js';
import {
  assignBuffers,
  type DeviceTensor,
  type Fill,
  type Launch,
  type Place,
  type Step,
  type Tape,
} from './tape.js';

/** GPUBufferUsage and GPUMapMode, by their numbers in the specification. */
const STORAGE = 0x80;
const UNIFORM = 0x40;
const COPY_SOURCE = 0x04;
const COPY_TARGET = 0x08;
const MAP_READ = 0x01;
const MAP_FOR_READING = 1;

/** So many commands are handed to the GPU at a time: it computes them while the next ones are encoded. */
const COMMANDS_AT_ONCE = 256;

type Command = (encoder: CommandEncoder) => void;

/**
 * gpu.js translates the programs and compiles them; buffers, bindings and submissions are made here. Its own calls
 * submit each kernel by itself, and its pipelines on WebGPU upload every argument and read every result back in each
 * call and refuse buffers (web-gpu/pipeline-executor.js), so weights would travel with every micro-batch. Here all
 * steps that were called in one go become one submission; a tape's are bound once, to buffers that stay.
 */
export class WebGpuEngine implements Engine {
  readonly mode = 'webgpu';
  private readonly launches = new Launches(this.mode);
  private readonly compiled = new Map<object, Map<string, Promise<GpuKernel>>>();
  private readonly buffers = new Map<DeviceTensor, GpuBuffer>();
  /** The workspace that tapes share: they run one after another. */
  private readonly workspace: GpuBuffer[] = [];
  private encoder: CommandEncoder | null = null;
  private encoded = 0;
  /** Buffers that encoded commands still use. */
  private readonly garbage: GpuBuffer[] = [];
  /** Uniform buffers of encoded commands that will not come again, and those that are free. */
  private readonly used: GpuBuffer[] = [];
  private readonly spare: GpuBuffer[] = [];
  /** Called once what is encoded was submitted. */
  private readonly waiting: (() => void)[] = [];

  constructor(
    private readonly gpu: Gpu,
    private readonly gpuJs: GpuJs,
    private readonly device: WebGpuDevice,
  ) {}

  get launched() {
    return this.launches.records;
  }

  async execute(step: Step): Promise<void> {
    switch (step.kind) {
      case 'fill':
        return this.upload(step.target, step.values());
      case 'place':
        return this.encode(this.copy(step, this.buffers.get(step.target) ?? this.make(step.target)));
      case 'launch': {
        const { command, params } = await this.bind(step, this.make(step.target));
        this.encode(command);
        this.launches.count(step.program);
        this.used.push(params);
      }
    }
  }

  async link(tape: Tape): Promise<Linked> {
    const { places, sizes } = assignBuffers(
      tape,
      this.workspace.map(({ size }) => size),
    );
    for (const size of sizes.slice(this.workspace.length)) this.workspace.push(this.buffer(size));
    for (const [tensor, place] of places) this.buffers.set(tensor, this.workspace[place]);
    const sources = new Map<Fill, GpuBuffer>();
    for (const step of tape.steps) {
      if (step.kind !== 'fill') continue;
      const source = this.buffer(4 * step.target.length);
      sources.set(step, source);
      if (step.fixed) this.device.queue.writeBuffer(source, 0, step.values());
      if (!places.has(step.target)) this.buffers.set(step.target, source);
    }
    const commands: Command[] = [];
    for (const step of tape.steps) commands.push(await this.command(step, sources));
    // Inner tensors cannot be read after a run: their buffers hold something else by then.
    const outputs = new Set(tape.outputs);
    for (const tensor of places.keys()) if (!outputs.has(tensor)) this.buffers.delete(tensor);
    return {
      run: async (first, end, feeds) => {
        if (first === 0 && feeds.size > 0) {
          this.flush(); // a write overtakes what is encoded and not submitted
          for (const [{ target }, source] of sources) {
            const values = feeds.get(target);
            if (values !== undefined) this.device.queue.writeBuffer(source, 0, values);
          }
        }
        for (const command of commands.slice(first, end)) this.encode(command);
        for (const step of tape.steps.slice(first, end)) {
          if (step.kind === 'launch') this.launches.count(step.program);
        }
      },
    };
  }

  async read(tensor: DeviceTensor, into: Float32Array): Promise<void> {
    const bytes = 4 * tensor.length;
    const staging = this.device.createBuffer({ size: bytes, usage: MAP_READ | COPY_TARGET });
    const source = this.bufferOf(tensor);
    this.encode((encoder) => encoder.copyBufferToBuffer(source, 0, staging, 0, bytes));
    await new Promise<void>((resolve) => this.waiting.push(resolve));
    try {
      await staging.mapAsync(MAP_FOR_READING);
      into.set(new Float32Array(staging.getMappedRange()));
    } finally {
      staging.destroy();
    }
  }

  free(tensors: readonly DeviceTensor[]): void {
    for (const tensor of tensors) {
      const buffer = this.buffers.get(tensor);
      if (buffer !== undefined) this.garbage.push(buffer);
      this.buffers.delete(tensor);
    }
  }

  flush(): void {
    if (this.encoder !== null) this.device.queue.submit([this.encoder.finish()]);
    this.encoder = null;
    this.encoded = 0;
    // The GPU keeps what was submitted until it is done with it.
    for (const buffer of this.garbage.splice(0)) buffer.destroy();
    this.spare.push(...this.used.splice(0));
    for (const resolve of this.waiting.splice(0)) resolve();
  }

  async close(): Promise<void> {
    this.flush();
    for (const buffer of [...this.buffers.values(), ...this.workspace]) buffer.destroy();
    this.buffers.clear();
    this.compiled.clear();
    await this.gpu.destroy();
  }

  /** A step of a tape, whose tensors all have their buffers. */
  private async command(step: Step, sources: ReadonlyMap<Fill, GpuBuffer>): Promise<Command> {
    const target = this.bufferOf(step.target);
    switch (step.kind) {
      case 'launch':
        return (await this.bind(step, target)).command;
      case 'place':
        return this.copy(step, target);
      case 'fill': {
        const source = sources.get(step);
        if (source === undefined || source === target) return () => {};
        return (encoder) => encoder.copyBufferToBuffer(source, 0, target, 0, source.size);
      }
    }
  }

  private copy({ source, target, firstRow, firstColumn }: Place, buffer: GpuBuffer): Command {
    const from = this.bufferOf(source);
    const at = 4 * (firstRow * target.columns + firstColumn);
    return (encoder) => encoder.copyBufferToBuffer(from, 0, buffer, at, 4 * source.length);
  }

  /** Binds a launch to its buffers. `params` is destroyed with the command. */
  private async bind(step: Launch, target: GpuBuffer): Promise<{ command: Command; params: GpuBuffer }> {
    const { kernel } = await this.compile(step);
    const { arrayArgs, scalarArgs, byteLength } = kernel.paramsLayout;
    const values = new ArrayBuffer(byteLength);
    const [words, floats] = [new Uint32Array(values), new Float32Array(values)];
    const extents = ({ size: [x, y, z = 1] }: DeviceTensor) => [x, y, z];
    words.set(extents(step.target));
    const bindings: { buffer: GpuBuffer; size: number }[] = [];
    for (const { index, dimsOffset } of arrayArgs) {
      const operand = step.operands[index];
      if (typeof operand === 'number') throw new KernelError(`operand ${index} has to be a tensor`);
      words.set([...extents(operand), operand.length], dimsOffset / 4);
      bindings.push({ buffer: this.bufferOf(operand), size: 4 * operand.length });
    }
    for (const { index, offset } of scalarArgs) {
      const operand = step.operands[index];
      if (typeof operand !== 'number') throw new KernelError(`operand ${index} has to be a number`);
      floats[offset / 4] = operand;
    }
    const spare = this.spare.findLastIndex(({ size }) => size === byteLength);
    const params =
      spare >= 0
        ? this.spare.splice(spare, 1)[0]
        : this.device.createBuffer({ size: byteLength, usage: UNIFORM | COPY_TARGET });
    this.device.queue.writeBuffer(params, 0, values);
    bindings.unshift({ buffer: params, size: byteLength });
    bindings.push({ buffer: target, size: 4 * step.target.length });
    const group = this.device.createBindGroup({
      layout: kernel.bindGroupLayout,
      entries: bindings.map((resource, binding) => ({ binding, resource })),
    });
    const [x, y, z] = this.groups(kernel.workgroupSize, extents(step.target));
    return {
      params,
      command: (encoder) => {
        const pass = encoder.beginComputePass();
        pass.setPipeline(kernel.computePipeline);
        pass.setBindGroup(0, group);
        pass.dispatchWorkgroups(x, y, z);
        pass.end();
      },
    };
  }

  private groups(workgroup: readonly number[], size: readonly number[]): number[] {
    const groups = size.map((extent, axis) => Math.ceil(extent / workgroup[axis]));
    const most = this.device.limits.maxComputeWorkgroupsPerDimension;
    if (groups.some((count) => count > most)) {
      throw new Error(`the GPU takes no more than ${most} groups of threads along an axis`);
    }
    return groups;
  }

  /** gpu.js's code does not depend on sizes: one kernel serves all of a program's launches. */
  private compile({ program, constants, operands, target }: Launch): Promise<GpuKernel> {
    const variants = this.compiled.get(program) ?? new Map<string, Promise<GpuKernel>>();
    this.compiled.set(program, variants);
    const key = `${target.size.length} ${JSON.stringify(constants)}`;
    const known = variants.get(key);
    if (known !== undefined) return known;
    const fresh = this.build(program, constants, operands, target.size.length);
    variants.set(key, fresh);
    return fresh;
  }

  private async build(
    program: AnyProgram,
    constants: object,
    operands: Launch['operands'],
    axes: number,
  ): Promise<GpuKernel> {
    const kernel = this.gpu.createKernel(program.source, {
      ...kernelSettings(program, constants),
      output: new Array<number>(axes).fill(1),
    });
    const samples = operands.map((operand) => {
      if (typeof operand === 'number') return operand;
      const size = operand.size.map(() => 1);
      return new this.gpuJs.Input(new Float32Array(1), size);
    });
    await kernel.kernel.build(...samples);
    this.launches.add(program, kernel.kernel.constructor.mode, kernel.kernel.fallbackReason);
    return kernel;
  }

  private upload(target: DeviceTensor, values: Float32Array): void {
    const present = this.buffers.get(target);
    if (present !== undefined) this.flush(); // a write overtakes what is encoded and not submitted
    this.device.queue.writeBuffer(present ?? this.make(target), 0, values);
  }

  private encode(command: Command): void {
    this.encoder ??= this.device.createCommandEncoder();
    command(this.encoder);
    this.encoded += 1;
    if (this.encoded >= COMMANDS_AT_ONCE) this.flush();
  }

  private bufferOf(tensor: DeviceTensor): GpuBuffer {
    const buffer = this.buffers.get(tensor);
    if (buffer === undefined) throw new KernelError('a tensor was used after its release');
    return buffer;
  }

  private make(tensor: DeviceTensor): GpuBuffer {
    const buffer = this.buffer(4 * tensor.length);
    this.buffers.set(tensor, buffer);
    return buffer;
  }

  /** @throws Error where the GPU takes no buffer so large, which it would answer with zeros */
  private buffer(size: number): GpuBuffer {
    const { maxStorageBufferBindingSize, maxBufferSize } = this.device.limits;
    const most = Math.min(maxStorageBufferBindingSize, maxBufferSize);
    if (size > most) throw new Error(`a tensor of ${size} bytes is more than the ${most} that the GPU takes`);
    return this.device.createBuffer({ size, usage: STORAGE | COPY_SOURCE | COPY_TARGET });
  }
}
