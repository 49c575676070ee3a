import type { WasmFunction } from '../../numeric/index.js';
import { KernelError, type Program, type Shape } from '../kernels.js';
import { Arena, type CpuTensor } from './arena.js';
import { Choices } from './choices.js';
import { instantiate, relaxedSimd, type WasmKernels } from './module.js';
import { loadedLibrary } from './native/onnxruntime.js';
import { matmulArguments, type Product, Products } from './products.js';
import { type Argument, type Instruction, type LinkedProgram, Recording, resolve } from './recording.js';

export interface CpuOptions {
  /** Bit-identical on every processor: WebAssembly alone, and no fused multiplication and addition. */
  readonly reproducible?: boolean;
  /** Upper limit of the memory for tensors, at most 4 GiB. */
  readonly maximumBytes?: number;
  /** What `choices` of another process said: nothing is measured here. */
  readonly choices?: string;
}

/** What the cpu backend's kernels are written with: memory, WebAssembly, native products, and a program being recorded. */
export class Device {
  readonly arena: Arena;
  readonly wasm: WasmKernels;
  readonly choices: Choices;
  /** Whether products may be computed in native code. */
  readonly native: boolean;
  /** Whether the kernels multiply and add in one rounding. */
  readonly relaxed: boolean;
  readonly #products: Products;
  #recording: Recording | null = null;

  /** @param dry no memory, nothing is computed: for planning */
  constructor({ reproducible = false, maximumBytes, choices }: CpuOptions, dry: boolean) {
    const library = reproducible || dry ? null : loadedLibrary();
    this.native = library !== null;
    this.relaxed = !reproducible && relaxedSimd();
    this.arena = new Arena(maximumBytes, dry);
    this.wasm = instantiate(this.arena.memory, { relaxed: this.relaxed });
    this.arena.reserve(this.wasm.arenaBase());
    this.choices = new Choices(choices ?? null);
    this.#products = new Products(this.arena, this.wasm, library, this.choices);
  }

  get recording(): boolean {
    return this.#recording !== null;
  }

  /** A tensor of this recording, or of the arena. */
  make(shape: Shape): CpuTensor {
    return this.#recording?.make(shape) ?? this.arena.make(shape);
  }

  /** Records a call of a WebAssembly kernel, or makes it. */
  do(kernel: WasmFunction, ...args: Argument[]): void {
    this.#add({ args, link: (numbers) => ({ run: () => kernel(...numbers) }) });
  }

  /** The same for a function of this process that needs these tensors. */
  host(args: readonly CpuTensor[], then: () => void): void {
    this.#add({ args, link: () => ({ run: then }) });
  }

  /** out = a · b (+ from), by whatever is fastest for the shape. */
  product(product: Product): void {
    const engine = this.#products.engine(product);
    if (engine === 'wasm') this.do(this.wasm.matmul, ...matmulArguments(product));
    else if (engine === 'native') this.nativeProduct(product);
    else {
      this.temporarily(() => {
        const upright = this.make([product.n, product.k]);
        this.do(this.wasm.transpose, product.a, upright, product.k, product.n);
        this.nativeProduct({ ...product, a: upright, transA: false });
      });
    }
  }

  nativeProduct(product: Product): void {
    this.#add(this.#products.instruction(product));
  }

  /** Frees what `work` makes beside its results, which must have been made before. */
  temporarily(work: () => void): void {
    if (this.#recording !== null) {
      work(); // the plan sees to it
      return;
    }
    const mark = this.arena.mark();
    work();
    this.arena.release(mark);
  }

  /** @throws KernelError where a program is being recorded */
  compile<T>(build: () => T): Program<T> {
    this.notRecording();
    return this.#record(build);
  }

  /** As `compile`, apart from any recording under way: for trials. */
  apart(build: () => void): LinkedProgram<void> {
    const outer = this.#recording;
    this.#recording = null;
    try {
      return this.#record(build);
    } finally {
      this.#recording = outer;
    }
  }

  notRecording(): void {
    if (this.#recording !== null)
      throw new KernelError('a program is being recorded: nothing is computed yet');
  }

  #record<T>(build: () => T): LinkedProgram<T> {
    const recording = new Recording();
    this.#recording = recording;
    try {
      return recording.finish(this.arena, build());
    } finally {
      this.#recording = null;
    }
  }

  #add(instruction: Instruction): void {
    if (this.#recording !== null) {
      this.#recording.add(instruction);
      return;
    }
    if (this.arena.dry) return;
    const call = instruction.link(instruction.args.map(resolve));
    call.run();
    call.release?.();
  }
}
