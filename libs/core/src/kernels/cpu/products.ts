import { KernelError } from '../kernels.js';
import { type Arena, align, CpuTensor } from './arena.js';
import type { WasmKernels } from './module.js';
import type { GemmKind } from './native/gemm-model.js';
import type { loadedLibrary, NativeSession } from './native/library.js';
import type { Instruction, Pointer } from './recording.js';

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

type Shape = Omit<Product, 'a' | 'b' | 'out' | 'from'>;

/** `transposed`: native, with the left factor turned upright first. */
export type Engine = 'wasm' | 'native' | 'transposed';

const engines: readonly Engine[] = ['wasm', 'native', 'transposed'];

/** Fewer rows are a matter of reading the matrix once; native code cannot do that faster. */
const FEWEST_ROWS = 4;
/** A trial's runs: so many, or as many as fit into the time. */
const TRIALS = 5;
const TRIAL_MILLISECONDS = 40;
const LINE = /^(\d{1,10})x(\d{1,10})x(\d{1,10}) ([NT][NT]) (nothing|row|matrix) (wasm|native|transposed)$/;

/** Which code computes which product: measured once per shape, or as another process measured it. */
export class Products {
  readonly native: boolean;
  readonly #table = new Map<string, Engine>();
  readonly #sessions = new Map<string, NativeSession>();
  #measuring: boolean;

  /** @throws KernelError where `choices` cannot be read */
  constructor(
    private readonly arena: Arena,
    private readonly wasm: WasmKernels,
    private readonly options: {
      readonly library: ReturnType<typeof loadedLibrary>;
      readonly choices: string | null;
    },
  ) {
    const { library, choices } = options;
    this.native = library !== null;
    this.#measuring = choices === null;
    for (const line of (choices ?? '').split('\n').filter((text) => text !== '')) {
      if (!LINE.test(line)) throw new KernelError(`'${line.slice(0, 80)}' is not a choice of a product`);
      const at = line.lastIndexOf(' ');
      this.#table.set(line.slice(0, at), line.slice(at + 1) as Engine);
    }
  }

  /** A line for each shape; from now on an unknown one is computed in WebAssembly. */
  choices(): string {
    this.#measuring = false;
    return [...this.#table].map(([shape, engine]) => `${shape} ${engine}`).join('\n');
  }

  engine(product: Shape): Engine {
    const { n, m, k } = product;
    if (!this.native || n < FEWEST_ROWS || m * k === 0) return 'wasm';
    const key = keyOf(product);
    const known = this.#table.get(key);
    if (known !== undefined) return known;
    if (!this.#measuring) return 'wasm';
    const engine = this.#measure(product);
    this.#table.set(key, engine);
    return engine;
  }

  /** A native product; its factors must lie where they do at each run. */
  instruction(product: Product): Instruction {
    const { n, m, k, a, b, out, from, transA, transB, added } = product;
    return {
      args: [a, b, out, ...(from === null ? [] : [from])],
      link: ([aAt, bAt, outAt, fromAt]) => {
        const session = this.#session(product);
        const feeds = {
          a: this.#view(aAt, transA ? [k, n] : [n, k]),
          b: this.#view(bAt, transB ? [m, k] : [k, m]),
          ...(added !== 'nothing' && { c: this.#view(fromAt, added === 'row' ? [m] : [n, m]) }),
        };
        const fetches = { y: this.#view(outAt, [n, m]) };
        return () => {
          session.run(feeds, fetches, {});
        };
      },
    };
  }

  #view(at: number, dims: readonly number[]) {
    const { library } = this.options;
    if (library === null) throw new KernelError('there is no native library');
    const size = dims.reduce((product, extent) => product * extent, 1);
    return library.tensor(new Float32Array(this.arena.memory.buffer, at, size), dims);
  }

  #session(kind: GemmKind): NativeSession {
    const { library } = this.options;
    if (library === null) throw new KernelError('there is no native library');
    const key = `${kind.transA} ${kind.transB} ${kind.added}`;
    const session = this.#sessions.get(key) ?? library.session(kind);
    this.#sessions.set(key, session);
    return session;
  }

  /** The fastest engine of some runs each, on memory above all tensors. */
  #measure(shape: Shape): Engine {
    const { n, m, k, transA, transB, added } = shape;
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
      return link(args.map((argument) => (argument instanceof CpuTensor ? argument.offset : 0)));
    };
    const left = transA ? [1, n] : [k, 1];
    const right = transB ? [1, k] : [m, 1];
    const start = [from?.offset ?? 0, added === 'matrix' ? m : 0];
    const direct = native({ a, transA });
    const turned = native({ a: upright, transA: false });
    const runs: Record<Engine, (() => void) | null> = {
      native: direct,
      transposed: transA
        ? () => {
            wasm.transpose(a.offset, upright.offset, k, n);
            turned();
          }
        : null,
      wasm: () => wasm.matmul(n, m, k, a.offset, ...left, b.offset, ...right, out.offset, m, ...start),
    };
    const times = engines.map((engine) => timeOf(runs[engine]));
    return engines[times.indexOf(Math.min(...times))];
  }
}

function keyOf({ n, m, k, transA, transB, added }: Shape): string {
  return `${n}x${m}x${k} ${transA ? 'T' : 'N'}${transB ? 'T' : 'N'} ${added}`;
}

/** The best of some runs, after one that warms up; infinite for what cannot run. */
function timeOf(run: (() => void) | null): number {
  if (run === null) return Number.POSITIVE_INFINITY;
  run();
  const began = performance.now();
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < TRIALS && (i === 0 || performance.now() - began < TRIAL_MILLISECONDS); i++) {
    const started = performance.now();
    run();
    best = Math.min(best, performance.now() - started);
  }
  return best;
}
