import type { RandomStream } from '@manyhands/core/numeric';
import { happens, pick } from './choose.js';
import { HOSTILE_TEXTS } from './mutate-text.js';

/** A field as it stands on the wire; what it means, only its schema tells. */
export type Field =
  | { readonly number: number; readonly type: 'varint'; readonly value: bigint }
  | { readonly number: number; readonly type: 'fixed64' | 'fixed32' | 'bytes'; readonly value: Uint8Array };

const WIRE_TYPES = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

const HOSTILE_NUMBERS: readonly bigint[] = [
  0n,
  1n,
  2n,
  (1n << 31n) - 1n,
  1n << 31n,
  (1n << 32n) - 1n,
  1n << 32n,
  (1n << 53n) - 1n,
  1n << 53n,
  (1n << 63n) - 1n,
  (1n << 64n) - 1n,
];

/** The fields of a message, or null where the bytes are none. */
export function parseFields(bytes: Uint8Array): Field[] | null {
  const fields: Field[] = [];
  let at = 0;
  const varint = (): bigint | null => {
    let value = 0n;
    for (let shift = 0n; shift < 70n && at < bytes.length; shift += 7n) {
      const byte = bytes[at++];
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asUintN(64, value);
    }
    return null;
  };
  while (at < bytes.length) {
    const tag = varint();
    if (tag === null || tag >> 3n === 0n || tag >> 32n !== 0n) return null;
    const number = Number(tag >> 3n);
    const wire = Number(tag & 7n);
    if (wire === WIRE_TYPES.varint) {
      const value = varint();
      if (value === null) return null;
      fields.push({ number, type: 'varint', value });
      continue;
    }
    const length = wire === 1 ? 8 : wire === 5 ? 4 : wire === 2 ? varint() : null;
    if (length === null || BigInt(at) + BigInt(length) > BigInt(bytes.length)) return null;
    const value = Uint8Array.from(bytes.subarray(at, at + Number(length)));
    at += value.length;
    fields.push({ number, type: wire === 1 ? 'fixed64' : wire === 5 ? 'fixed32' : 'bytes', value });
  }
  return fields;
}

/** @returns the message that `parseFields` reads back */
export function encodeFields(fields: readonly Field[]): Uint8Array {
  return Buffer.concat(
    fields.flatMap((field) => {
      const tag = encodeVarint((BigInt(field.number) << 3n) | BigInt(WIRE_TYPES[field.type]));
      if (field.type === 'varint') return [tag, encodeVarint(field.value)];
      return field.type === 'bytes'
        ? [tag, encodeVarint(BigInt(field.value.length)), field.value]
        : [tag, field.value];
    }),
  );
}

function encodeVarint(value: bigint): Uint8Array {
  const bytes: number[] = [];
  for (let rest = value; ; ) {
    const low = Number(rest & 0x7fn);
    rest >>= 7n;
    bytes.push(rest === 0n ? low : low | 0x80);
    if (rest === 0n) return Uint8Array.from(bytes);
  }
}

/** Changes the fields of a message, or of a message within it, in one to three places. */
export function mutateProtobuf(input: Uint8Array, random: RandomStream): Uint8Array {
  let fields = parseFields(input) ?? [];
  for (let left = 1 + random.below(3); left > 0; left--) fields = change(fields, random, 0);
  return encodeFields(fields);
}

function change(fields: readonly Field[], random: RandomStream, depth: number): Field[] {
  const changed = [...fields];
  const at = random.below(fields.length + 1);
  const field = changed[at];
  if (field === undefined || happens(random, 8)) {
    changed.splice(at, 0, strange(random));
    return changed;
  }
  switch (random.below(8)) {
    case 0:
      changed.splice(at, 1);
      break;
    case 1:
      changed.splice(
        random.below(fields.length),
        0,
        ...Array.from({ length: 1 + random.below(40) }, () => field),
      );
      break;
    case 2:
      changed[at] = { ...field, number: 1 + random.below(16) };
      break;
    default:
      changed[at] = altered(field, random, depth);
  }
  return changed;
}

function altered(field: Field, random: RandomStream, depth: number): Field {
  if (field.type === 'varint') {
    const { value } = field;
    return { ...field, value: happens(random, 3) ? value + 1n : pick(random, HOSTILE_NUMBERS) };
  }
  const { number, type, value } = field;
  if (type !== 'bytes') return { number, type, value: value.map(() => pick(random, [0, 0x7f, 0xf0, 0xff])) };
  const inner = depth < 4 ? parseFields(value) : null;
  if (inner !== null && inner.length > 0 && !happens(random, 4)) {
    return { number, type, value: encodeFields(change(inner, random, depth + 1)) };
  }
  switch (random.below(4)) {
    case 0:
      return { number, type, value: value.subarray(0, random.below(value.length + 1)) };
    case 1:
      return { number, type, value: Buffer.concat([value, value]) };
    default:
      return { number, type, value: Buffer.from(pick(random, HOSTILE_TEXTS)) };
  }
}

/** A field that the schema may not have. */
function strange(random: RandomStream): Field {
  const number = happens(random, 4) ? 1 + random.below(2 ** 29 - 1) : 1 + random.below(16);
  switch (random.below(3)) {
    case 0:
      return { number, type: 'varint', value: pick(random, HOSTILE_NUMBERS) };
    case 1:
      return { number, type: 'fixed64', value: Uint8Array.from({ length: 8 }, () => random.below(256)) };
    default:
      return { number, type: 'bytes', value: Buffer.from(pick(random, HOSTILE_TEXTS)) };
  }
}
