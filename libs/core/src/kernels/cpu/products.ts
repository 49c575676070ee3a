import { KernelError } from '../kernels.js';
import { type Arena, align, CpuTensor } from './arena.js';
import type { Choices, Engine } from './choices.js';
import type { WasmKernels } from './module.js';
import type { GemmKind } from './native/gemm-model.js';
import type { LoadedLibrary, NativeGemm } from './native/onnxruntime.js';
import { type Argument, type Call, type Instruction, type Pointer, resolve } from './recording.js';

/** out [n,m] = a [n,k] · b [k,m] (+ from), each factor dense, and perhaps transposed in memory. */
export interface Product extends GemmKind {
  readonly n: number;
  readonly m: number;
  readonly k: number;
  readonly a: CpuTensor | Pointer;
  readonly b: CpuTensor | Pointer;
  readonly out: CpuTensor | Pointer;
  /** [m] where a row is added, [n,m] where a matrix is; it may be `out`. */
  readonly from: CpuTensor | Pointer | null;
}

/** A product that is added to nothing. */
export const plain = { added: 'nothing', from: null } as const;

/** What WebAssembly's matmul is given for it. */
export function matmulArguments(product: Product): Argument[] {
  const { n, m, k, a, transA, b, transB, added, from, out } = product;
  const left = transA ? [1, n] : [k, 1];
  const right = transB ? [1, k] : [m, 1];
  return [n, m, k, a, ...left, b, ...right, out, m, from ?? 0, added === 'matrix' ? m : 0];
}

type Shape = Omit<Product, 'a' | 'b' | 'out' | 'from'>;

/**
 * Fewer rows are a matter of reading the matrix once, at the speed of memory: WebAssembly does, and a trial on a matrix
 * that lies in the cache would not show it.
 */
const FEWEST_ROWS = 4;

/** Which code computes which product, and the native ones. */
export class Products {
  readonly #gemms = new Map<string, NativeGemm>();

  constructor(
    private readonly arena: Arena,
    private readonly wasm: WasmKernels,
    private readonly library: LoadedLibrary | null,
    private readonly choices: Choices,
  ) {}

  engine(product: Shape): Engine {
    const { n, m, k, transA, transB, added } = product;
    if (this.library === null || n < FEWEST_ROWS || m * k === 0) return 'wasm';
    const shape = `product ${n}x${m}x${k} ${transA ? 'T' : 'N'}${transB ? 'T' : 'N'} ${added}`;
    const bound: Call[] = [];
    const engine = this.choices.pick(shape, () => this.#trial(product, bound));
    for (const call of bound) call.release?.();
    return engine;
  }

  /** A native product; its factors must lie where they do at each run. */
  instruction(product: Product): Instruction {
    const { n, m, k, a, b, out, from, transA, transB, added } = product;
    return {
      args: [a, b, out, ...(from === null ? [] : [from])],
      link: ([aAt, bAt, outAt, fromAt]) =>
        this.#gemm(product).bind({
          a: this.#matrix(aAt, transA ? [k, n] : [n, k]),
          b: this.#matrix(bAt, transB ? [m, k] : [k, m]),
          ...(added !== 'nothing' && { c: this.#matrix(fromAt, added === 'row' ? [m] : [n, m]) }),
          y: this.#matrix(outAt, [n, m]),
        }),
    };
  }

  #matrix(at: number, dims: readonly number[]) {
    const size = dims.reduce((product, extent) => product * extent, 1);
    return { data: new Float32Array(this.arena.memory.buffer, at, size), dims };
  }

  #gemm(kind: GemmKind): NativeGemm {
    if (this.library === null) throw new KernelError('there is no native library');
    const key = `${kind.transA} ${kind.transB} ${kind.added}`;
    const gemm = this.#gemms.get(key) ?? this.library.gemm(kind);
    this.#gemms.set(key, gemm);
    return gemm;
  }

  /** What each engine would run, on memory above all tensors. */
  #trial(shape: Shape, bound: Call[]): Partial<Record<Engine, () => void>> {
    const { n, m, k, transA, added } = shape;
    const { arena, wasm } = this;
    const sizes = [n * k, k * m, n * m, added === 'row' ? m : 0, n * k];
    const starts = sizes.map((_, i) => sizes.slice(0, i).reduce((sum, size) => sum + align(4 * size), 0));
    const base = arena.scratch(starts[4] + align(4 * sizes[4]));
    arena.floats.fill(0.5, base / 4, (base + starts[4]) / 4);
    const [a, b, out, row, upright] = starts.map(
      (start, i) => new CpuTensor('float', [sizes[i]], 0, base + start),
    );
    const from = added === 'nothing' ? null : added === 'row' ? row : out;
    const native = (kind: Pick<Product, 'a' | 'transA'>) => {
      const { args, link } = this.instruction({ ...shape, ...kind, b, out, from });
      const call = link(args.map(resolve));
      bound.push(call);
      return call;
    };
    const numbers = matmulArguments({ ...shape, a, b, out, from }).map(resolve);
    const engines = {
      native: native({ a, transA }).run,
      wasm: () => wasm.matmul(...numbers),
    };
    if (!transA) return engines;
    const turned = native({ a: upright, transA: false });
    const transposed = () => {
      wasm.transpose(a.offset, upright.offset, k, n);
      turned.run();
    };
    return { ...engines, transposed };
  }
}
