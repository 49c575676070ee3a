import { KernelError } from '../kernels.js';

/** What may compute something: WebAssembly, native code, or native code after the left factor was turned upright. */
export type Engine = 'wasm' | 'native' | 'transposed';

/** In the order of preference: a later one is taken where it was clearly faster, not by the noise of a busy machine. */
const engines: readonly Engine[] = ['native', 'transposed', 'wasm'];
const CLEARLY = 0.85;
/** Runs of each engine in a trial, in turn: until their best took so long in sum, within these numbers of rounds. */
const TRIAL_MILLISECONDS = 30;
const ROUNDS = { least: 2, most: 20 };
const SIZE = '\\d{1,10}';
/** Only a left factor that lies transposed can be turned upright. */
const LINES = [
  `product ${SIZE}x${SIZE}x${SIZE} T[NT] (nothing|row|matrix) (wasm|native|transposed)`,
  `product ${SIZE}x${SIZE}x${SIZE} N[NT] (nothing|row|matrix) (wasm|native)`,
  `attention (${SIZE}x){4}${SIZE} (wasm|native)`,
].map((line) => new RegExp(`^${line}$`));

/** What computes what: measured once per shape, or as another process measured it. */
export class Choices {
  readonly #table = new Map<string, Engine>();
  #measuring: boolean;

  /**
   * @param text of another process' choices: nothing is measured then
   * @throws KernelError where it cannot be read
   */
  constructor(text: string | null) {
    this.#measuring = text === null;
    for (const line of (text ?? '').split('\n').filter((part) => part !== '')) {
      const at = line.lastIndexOf(' ');
      const engine = engines.find((name) => name === line.slice(at + 1));
      if (engine === undefined || !LINES.some((form) => form.test(line))) {
        throw new KernelError(`'${line.slice(0, 80)}' is not a choice of what computes a product`);
      }
      this.#table.set(line.slice(0, at), engine);
    }
  }

  /** A line for each shape; from now on what is not in it is computed in WebAssembly. */
  text(): string {
    this.#measuring = false;
    return [...this.#table].map(([shape, engine]) => `${shape} ${engine}`).join('\n');
  }

  /** @param trial gives what each engine would run, and is asked only where the shape is new and may be measured */
  pick(shape: string, trial: () => Partial<Record<Engine, () => void>>): Engine {
    const known = this.#table.get(shape);
    if (known !== undefined) return known;
    if (!this.#measuring) return 'wasm';
    const engine = fastest(trial());
    this.#table.set(shape, engine);
    return engine;
  }
}

/** By the best of some runs in turn, after one that warms up: whatever else the machine does hits them all. */
function fastest(runs: Partial<Record<Engine, () => void>>): Engine {
  const candidates = engines.flatMap((engine) => {
    const run = runs[engine];
    return run === undefined ? [] : [{ engine, run, best: Number.POSITIVE_INFINITY }];
  });
  for (const { run } of candidates) run();
  let round = 0;
  // By the best times, not by the clock: a machine busy with other things gets as many chances as an idle one.
  const spent = () => round * candidates.reduce((sum, { best }) => sum + best, 0);
  while (round < ROUNDS.least || (round < ROUNDS.most && spent() < TRIAL_MILLISECONDS)) {
    for (const candidate of candidates) {
      const started = performance.now();
      candidate.run();
      candidate.best = Math.min(candidate.best, performance.now() - started);
    }
    round += 1;
  }
  return candidates.reduce((winner, other) => (other.best < CLEARLY * winner.best ? other : winner)).engine;
}
