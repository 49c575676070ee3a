import { KernelError } from '../kernels.js';
import { type Arena, align, CpuTensor } from './arena.js';
import type { WasmKernels } from './module.js';
import type { GemmKind } from './native/gemm-model.js';
import type { LoadedLibrary, NativeGemm } from './native/onnxruntime.js';
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

/** In the order of preference: a later one is taken where it was clearly faster, not by the noise of a busy machine. */
const engines: readonly Engine[] = ['native', 'transposed', 'wasm'];
const CLEARLY = 0.85;

/** Fewer rows are a matter of reading the matrix once; native code cannot do that faster. */
const FEWEST_ROWS = 4;
/** Runs of each engine in a trial, in turn: until their best took so long in sum, within these numbers of rounds. */
const TRIAL_MILLISECONDS = 30;
const ROUNDS = { least: 2, most: 20 };
const LINE = /^(\d{1,10})x(\d{1,10})x(\d{1,10}) ([NT][NT]) (nothing|row|matrix) (wasm|native|transposed)$/;

/** Which code computes which product: measured once per shape, or as another process measured it. */
export class Products {
  readonly native: boolean;
  readonly #table = new Map<string, Engine>();
  readonly #gemms = new Map<string, NativeGemm>();
  #measuring: boolean;

  /** @throws KernelError where `choices` cannot be read */
  constructor(
    private readonly arena: Arena,
    private readonly wasm: WasmKernels,
    private readonly options: {
      readonly library: LoadedLibrary | null;
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
    const { library } = this.options;
    if (library === null) throw new KernelError('there is no native library');
    const key = `${kind.transA} ${kind.transB} ${kind.added}`;
    const gemm = this.#gemms.get(key) ?? library.gemm(kind);
    this.#gemms.set(key, gemm);
    return gemm;
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
      native: direct.run,
      transposed: transA
        ? () => {
            wasm.transpose(a.offset, upright.offset, k, n);
            turned.run();
          }
        : null,
      wasm: () => wasm.matmul(n, m, k, a.offset, ...left, b.offset, ...right, out.offset, m, ...start),
    };
    const engine = fastest(runs);
    for (const { release } of [direct, turned]) release?.();
    return engine;
  }
}

function keyOf({ n, m, k, transA, transB, added }: Shape): string {
  return `${n}x${m}x${k} ${transA ? 'T' : 'N'}${transB ? 'T' : 'N'} ${added}`;
}

/** By the best of some runs in turn, after one that warms up: whatever else the machine does hits them all. */
function fastest(runs: Record<Engine, (() => void) | null>): Engine {
  const best: Record<Engine, number> = { wasm: Infinity, native: Infinity, transposed: Infinity };
  for (const engine of engines) runs[engine]?.();
  let round = 0;
  // By the best times, not by the clock: a machine busy with other things gets as many chances as an idle one.
  const spent = () => round * engines.reduce((sum, engine) => sum + (runs[engine] ? best[engine] : 0), 0);
  while (round < ROUNDS.least || (round < ROUNDS.most && spent() < TRIAL_MILLISECONDS)) {
    for (const engine of engines) {
      const run = runs[engine];
      if (run === null) continue;
      const started = performance.now();
      run();
      best[engine] = Math.min(best[engine], performance.now() - started);
    }
    round += 1;
  }
  return engines.reduce((winner, engine) => (best[engine] < CLEARLY * best[winner] ? engine : winner));
}
