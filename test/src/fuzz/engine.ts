import { writeSync } from 'node:fs';
import { randomStream } from '@manyhands/core/numeric';
import { happens, pick } from './choose.js';
import { LONGEST_INPUT, mutateBytes, mutators, textOf } from './mutate.js';
import { complaint, type Reader, shapeOf, type Target } from './target.js';

/** Of the target's own objects, in a process that has no more; buffers and threads are beside it. */
export const HEAP_MEGABYTES = 256;

/** What came of a target's inputs. */
export interface Tally {
  readonly inputs: number;
  readonly accepted: number;
  readonly refused: number;
  /** Distinct kinds of refusals. */
  readonly kinds: number;
  readonly seconds: number;
}

export interface Defect {
  /** The input's number; 0 to n−1 are the seeds and the corpus. */
  readonly index: number;
  readonly input: Uint8Array;
  readonly what: string;
}

export type Outcome = { readonly tally: Tally } | { readonly defect: Defect };

/** Memory that one input may take: for each of its bytes, and what garbage of former inputs the heap may hold. */
const BYTES_PER_BYTE = 64;
const BYTES_PER_INPUT = HEAP_MEGABYTES * 2 ** 20;

/** Inputs that found something new are changed further, where they are small; older ones make room. */
const LARGEST_POOL = 500;
const LARGEST_IN_POOL = 1 << 13;

const PROTOTYPES = [
  Object.prototype,
  Array.prototype,
  Function.prototype,
  String.prototype,
  Uint8Array.prototype,
];

/** Where a stranger's key would appear in every object of the program. */
function prototypes(): string {
  return PROTOTYPES.map((prototype) => Reflect.ownKeys(prototype).map(String).join()).join(';');
}

/**
 * Reads `inputs` inputs: the seeds, the corpus, then changed ones. What comes out is a function of the target, the
 * seed and the number of inputs.
 * @param progress a file that holds the number and the input under way, for whoever finds this process dead or hung
 */
export async function fuzz(
  target: Target,
  options: {
    readonly seed: number;
    readonly inputs: number;
    readonly corpus: readonly Uint8Array[];
    readonly progress: number;
  },
): Promise<Outcome> {
  const reader = await target.open();
  try {
    return await attack(target, reader, options);
  } finally {
    await reader.close?.();
  }
}

async function attack(
  target: Target,
  reader: Reader,
  { seed, inputs, corpus, progress }: Parameters<typeof fuzz>[1],
): Promise<Outcome> {
  const began = performance.now();
  const whole = prototypes();
  const known = new Map<string, number>();
  const given = [...reader.seeds, ...corpus];
  const pool = [...given];
  let accepted = 0;
  let peak = peakBytes();
  for (let index = 0; index < inputs; index++) {
    const random = randomStream(seed, index);
    const input = given[index] ?? changed(target, reader, pool, random);
    record(progress, index, input);
    const defect = (what: string): Outcome => ({ defect: { index, input, what } });

    let shape = 'accepted';
    try {
      await reader.read(input);
      accepted += 1;
    } catch (error) {
      if (index < reader.seeds.length) return defect(`a valid input was refused: ${String(error)}`);
      const bad = complaint(error, target.refusals, textOf(input));
      if (bad !== null) return defect(bad);
      shape = shapeOf(error instanceof Error ? error.message : '');
    }
    if (prototypes() !== whole) return defect('a prototype of every object was changed');
    const now = peakBytes();
    const bound = BYTES_PER_INPUT + BYTES_PER_BYTE * input.length;
    if (now - peak > bound && index >= given.length) {
      return defect(`took ${Math.round((now - peak) / 2 ** 20)} MiB of memory for ${input.length} bytes`);
    }
    peak = Math.max(peak, now);

    const seen = known.get(shape) ?? 0;
    known.set(shape, seen + 1);
    if (seen === 0 && index >= given.length && input.length <= LARGEST_IN_POOL) {
      pool.push(input);
      if (pool.length > LARGEST_POOL) pool.splice(given.length, 1);
    }
  }
  const seconds = (performance.now() - began) / 1000;
  const kinds = known.size - (known.has('accepted') ? 1 : 0);
  return { tally: { inputs, accepted, refused: inputs - accepted, kinds, seconds } };
}

function changed(
  target: Target,
  reader: Reader,
  pool: readonly Uint8Array[],
  random: ReturnType<typeof randomStream>,
): Uint8Array {
  const input = mutators[target.form](pick(random, pool), random, pool);
  if (reader.seal === undefined || happens(random, 4)) return input;
  const sealed = reader.seal(input, random).subarray(0, LONGEST_INPUT);
  return happens(random, 16) ? mutateBytes(sealed, random, pool) : sealed;
}

/** The most memory that this process ever had, in bytes. */
function peakBytes(): number {
  return process.resourceUsage().maxRSS * 1024;
}

/** As `readProgress` has it: number, length, bytes. */
function record(file: number, index: number, input: Uint8Array): void {
  const head = Buffer.alloc(16);
  head.writeDoubleLE(index, 0);
  head.writeDoubleLE(input.length, 8);
  writeSync(file, Buffer.concat([head, input]), 0, undefined, 0);
}

export function readProgress(bytes: Buffer): { index: number; input: Uint8Array } | null {
  if (bytes.length < 16) return null;
  const length = bytes.readDoubleLE(8);
  return { index: bytes.readDoubleLE(0), input: Uint8Array.from(bytes.subarray(16, 16 + length)) };
}
