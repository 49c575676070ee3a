import type { Program, Shape } from '../kernels.js';
import { type Arena, align, CpuTensor } from './arena.js';
import { placeTensors } from './plan.js';

/** A tensor's address, some bytes into it. */
export interface Pointer {
  readonly tensor: CpuTensor;
  readonly plus: number;
}

/** What an instruction is given: a number, a place in memory, or a number that each run asks for. */
export type Argument = number | CpuTensor | Pointer | (() => number);

/** A call of a kernel, a native product or the host. */
export interface Instruction {
  readonly args: readonly Argument[];
  /** The call with its addresses; again whenever they change. `numbers` may hold others at the next run. */
  readonly link: (numbers: readonly number[]) => Call;
}

/** An instruction at its place in memory. */
export interface Call {
  run(): void;
  /** Frees what it holds outside of that memory. */
  release?(): void;
}

export function resolve(argument: Argument): number {
  if (typeof argument === 'number') return argument;
  if (typeof argument === 'function') return argument();
  return argument instanceof CpuTensor ? argument.offset : argument.tensor.offset + argument.plus;
}

/** Collects instructions, and for how long each tensor is needed. */
export class Recording {
  readonly #instructions: Instruction[] = [];
  readonly #lifetimes = new Map<CpuTensor, { from: number; until: number }>();

  /** A tensor that lives from the next instruction on. */
  make(shape: Shape): CpuTensor {
    const tensor = new CpuTensor('float', shape, 0, 0);
    const next = this.#instructions.length;
    this.#lifetimes.set(tensor, { from: next, until: next });
    return tensor;
  }

  add(instruction: Instruction): void {
    for (const argument of instruction.args) {
      if (argument instanceof CpuTensor) this.#use(argument);
      else if (typeof argument === 'object') this.#use(argument.tensor);
    }
    this.#instructions.push(instruction);
  }

  /** Plans the memory of what was recorded; `result`'s tensors live to the end. */
  finish<T>(arena: Arena, result: T): LinkedProgram<T> {
    for (const tensor of tensorsIn(result)) this.#use(tensor);
    const lives = [...this.#lifetimes];
    const { offsets, bytes } = placeTensors(
      lives.map(([tensor, life]) => ({ bytes: align(tensor.bytes), ...life })),
    );
    const places = lives.map(([tensor], i) => ({ tensor, offset: offsets[i] }));
    return new LinkedProgram(arena, this.#instructions, places, bytes, result);
  }

  /** It lives up to the next instruction, or to the end. */
  #use(tensor: CpuTensor): void {
    const life = this.#lifetimes.get(tensor);
    if (life !== undefined) life.until = this.#instructions.length;
  }
}

/** A program at its place in memory, wherever that is when it runs. */
export class LinkedProgram<T> implements Program<T> {
  #calls: Call[] = [];
  /** Where the memory lay when the calls were linked. */
  #base = -1;
  #buffer: ArrayBuffer | null = null;

  constructor(
    private readonly arena: Arena,
    private readonly instructions: readonly Instruction[],
    private readonly places: readonly { readonly tensor: CpuTensor; readonly offset: number }[],
    readonly bytes: number,
    private readonly result: T,
  ) {}

  run(): T {
    const { arena } = this;
    if (this.#base !== arena.top || this.#buffer !== arena.memory.buffer) this.#link();
    for (const call of this.#calls) call.run();
    return this.result;
  }

  /** Frees what it holds outside of the arena, until it runs again. */
  release(): void {
    for (const call of this.#calls) call.release?.();
    this.#calls = [];
    this.#base = -1;
  }

  #link(): void {
    const { arena } = this;
    arena.require(arena.top + this.bytes);
    this.#base = arena.top;
    this.#buffer = arena.memory.buffer;
    for (const { tensor, offset } of this.places) tensor.offset = this.#base + offset;
    this.release();
    this.#calls = this.instructions.map(({ args, link }) => {
      const numbers = args.map(resolve);
      const call = link(numbers);
      const changing = args.flatMap((argument, i) =>
        typeof argument === 'function' ? [{ i, value: argument }] : [],
      );
      if (changing.length === 0) return call;
      const run = () => {
        for (const { i, value } of changing) numbers[i] = value();
        call.run();
      };
      return { ...call, run };
    });
  }
}

/** The tensors of a program's result: itself, or in arrays, maps and plain objects. */
function* tensorsIn(value: unknown): Generator<CpuTensor> {
  if (value instanceof CpuTensor) yield value;
  else if (value instanceof Map || Array.isArray(value))
    for (const part of value.values()) yield* tensorsIn(part);
  else if (typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype) {
    for (const part of Object.values(value)) yield* tensorsIn(part);
  }
}
