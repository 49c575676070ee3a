import type { RandomStream } from '@manyhands/core/numeric';
import { happens, pick } from './choose.js';
import { mutateJson } from './mutate-json.js';
import { mutateProtobuf } from './mutate-protobuf.js';
import { mutateText } from './mutate-text.js';

/** Makes a hostile neighbour of `input`; `others` are inputs to take parts from. */
export type Mutate = (
  input: Uint8Array,
  random: RandomStream,
  others: readonly Uint8Array[],
) => Uint8Array<ArrayBuffer>;

/** No input grows beyond this: bounds are then judged by what the reader makes of it. */
export const LONGEST_INPUT = 1 << 18;

/** Numbers at which sizes, offsets and counts go wrong. */
const NUMBERS = [
  0, 1, 2, 7, 8, 127, 128, 255, 256, 65535, 65536, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff,
];

type ByteChange = (bytes: Buffer, random: RandomStream, others: readonly Uint8Array[]) => Buffer;

/** One small change of bytes each, by name of what it does. */
const byteChanges: Readonly<Record<string, ByteChange>> = {
  flip: (bytes, random) => {
    if (bytes.length > 0) bytes[random.below(bytes.length)] ^= 1 << random.below(8);
    return bytes;
  },
  set: (bytes, random) => {
    if (bytes.length > 0) bytes[random.below(bytes.length)] = random.below(256);
    return bytes;
  },
  number: (bytes, random) => {
    const width = pick(random, [1, 2, 4, 8]);
    if (bytes.length < width) return bytes;
    const at = random.below(bytes.length - width + 1);
    const value = BigInt.asUintN(8 * width, happens(random, 4) ? -1n : BigInt(pick(random, NUMBERS)));
    for (let i = 0; i < width; i++) bytes[at + i] = Number((value >> BigInt(8 * i)) & 0xffn);
    return bytes;
  },
  cut: (bytes, random) => bytes.subarray(0, random.below(bytes.length + 1)),
  remove: (bytes, random) => {
    const from = random.below(bytes.length + 1);
    const to = Math.min(bytes.length, from + 1 + random.below(16));
    return Buffer.concat([bytes.subarray(0, from), bytes.subarray(to)]);
  },
  insert: (bytes, random) => {
    const at = random.below(bytes.length + 1);
    const more = Buffer.from(Array.from({ length: 1 + random.below(8) }, () => random.below(256)));
    return Buffer.concat([bytes.subarray(0, at), more, bytes.subarray(at)]);
  },
  repeat: (bytes, random) => {
    const from = random.below(bytes.length + 1);
    const part = bytes.subarray(from, from + 1 + random.below(32));
    const parts = Array.from({ length: 1 + random.below(64) }, () => part);
    return Buffer.concat([bytes.subarray(0, from), ...parts, bytes.subarray(from)]);
  },
  splice: (bytes, random, others) => {
    if (others.length === 0) return bytes;
    const other = pick(random, others);
    const head = bytes.subarray(0, random.below(bytes.length + 1));
    return Buffer.concat([head, other.subarray(random.below(other.length + 1))]);
  },
};

export const mutateBytes: Mutate = (input, random, others) => {
  let bytes = Buffer.from(input);
  for (let left = 1 + random.below(4); left > 0; left--) {
    bytes = Buffer.from(pick(random, Object.values(byteChanges))(bytes, random, others));
  }
  return bounded(bytes);
};

function bounded(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(bytes.subarray(0, LONGEST_INPUT));
}

/** By the form of an input: bytes alone, or the structure three times in four. */
export const mutators = {
  bytes: mutateBytes,
  text: (input, random, others) =>
    happens(random, 6)
      ? mutateBytes(input, random, others)
      : bounded(Buffer.from(mutateText(textOf(input), random))),
  json: (input, random, others) => {
    if (happens(random, 6)) return mutateBytes(input, random, others);
    const changed = mutateJson(textOf(input), random);
    return bounded(Buffer.from(changed ?? mutateText(textOf(input), random)));
  },
  protobuf: (input, random, others) =>
    happens(random, 4) ? mutateBytes(input, random, others) : bounded(mutateProtobuf(input, random)),
} as const satisfies Record<string, Mutate>;

export function textOf(input: Uint8Array): string {
  return Buffer.from(input).toString('utf8');
}
