/**
 * The header of a safetensors file, read as if an enemy had written it: names are unique, sizes do not overflow,
 * byte ranges lie inside the file and cover it exactly.
 */
import { show, UserError } from '../config/index.js';

export interface TensorInfo {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** Number of values. */
  readonly size: number;
  /** First byte after the header's end. */
  readonly begin: number;
}

/** Bytes of one value, for every dtype that may stand in a header; only the floats are read. */
export const dtypeBytes = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E5M2: 1,
  F8_E4M3: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  F64: 8,
  I64: 8,
  U64: 8,
} as const;
export type Dtype = keyof typeof dtypeBytes;

/**
 * Parses and checks a header for `dataLength` bytes of data; `file` says in an error where it stands.
 *
 * @throws UserError
 */
export function parseHeader(
  bytes: Uint8Array,
  dataLength: number,
  file: string,
): { metadata: Record<string, string>; tensors: Map<string, TensorInfo> } {
  let header: unknown;
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    header = JSON.parse(text);
  } catch {
    throw damaged(file, 'its header is not JSON');
  }
  if (!isRecord(header)) throw damaged(file, 'its header is not a JSON object');
  const twice = duplicateKey(text);
  if (twice !== null) throw damaged(file, `its header names ${show(twice)} twice`);

  const tensors = new Map<string, TensorInfo>();
  let metadata: Record<string, string> = {};
  const ranges: { name: string; begin: number; end: number }[] = [];
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__') {
      metadata = parseMetadata(entry, file);
      continue;
    }
    const { dtype, shape, begin, end } = parseEntry(entry, `${file}: ${show(name)}`);
    const size = product(shape);
    const wanted = size * dtypeBytes[dtype];
    if (end > dataLength) throw damaged(file, `${show(name)} ends at byte ${end} of ${dataLength}`);
    if (end - begin !== wanted) {
      throw damaged(file, `${show(name)} is ${dtype} [${shape}], ${wanted} bytes, but has ${end - begin}`);
    }
    tensors.set(name, { dtype, shape, size, begin });
    ranges.push({ name, begin, end });
  }
  ranges.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let covered = 0;
  for (const { name, begin, end } of ranges) {
    if (begin < covered) throw damaged(file, `${show(name)} overlaps another tensor`);
    if (begin > covered) throw damaged(file, `bytes ${covered} to ${begin} belong to no tensor`);
    covered = end;
  }
  if (covered !== dataLength) throw damaged(file, `bytes ${covered} to ${dataLength} belong to no tensor`);
  return { metadata, tensors };
}

function parseMetadata(entry: unknown, file: string): Record<string, string> {
  if (!isRecord(entry)) throw damaged(file, 'its __metadata__ is not an object');
  const metadata: [string, string][] = [];
  for (const [key, value] of Object.entries(entry)) {
    if (typeof value !== 'string') throw damaged(file, `its __metadata__ ${show(key)} is not a text`);
    metadata.push([key, value]);
  }
  return Object.fromEntries(metadata);
}

function parseEntry(
  entry: unknown,
  where: string,
): { dtype: Dtype; shape: number[]; begin: number; end: number } {
  if (!isRecord(entry)) throw damaged(where, 'its entry is not an object');
  const { dtype, shape, data_offsets: offsets, ...rest } = entry;
  if (!isDtype(dtype)) {
    throw damaged(where, `dtype is ${show(dtype)}, but must be one of ${Object.keys(dtypeBytes).join(', ')}`);
  }
  if (!isSizes(shape)) throw damaged(where, `shape is ${show(shape)}, but must be whole numbers from 0 up`);
  if (!Number.isSafeInteger(product(shape))) throw damaged(where, `shape ${show(shape)} is too large`);
  if (!isSizes(offsets) || offsets.length !== 2 || offsets[0] > offsets[1]) {
    throw damaged(where, `data_offsets is ${show(offsets)}, but must be [begin, end]`);
  }
  const [extra] = Object.keys(rest);
  if (extra !== undefined) throw damaged(where, `its entry has the unknown key ${show(extra)}`);
  return { dtype, shape, begin: offsets[0], end: offsets[1] };
}

/** A key that an object of valid JSON holds twice, which JSON.parse would hide; null where there is none. */
function duplicateKey(text: string): string | null {
  const open: (Set<string> | null)[] = []; // keys of each object that is open, null for an array
  let expectsKey = false;
  for (let i = 0; i < text.length; i++) {
    const character = text[i];
    if (character === '"') {
      const start = i;
      for (i++; text[i] !== '"'; i++) if (text[i] === '\\') i++;
      if (!expectsKey) continue;
      const key: unknown = JSON.parse(text.slice(start, i + 1));
      const keys = open.at(-1);
      if (typeof key === 'string' && keys) {
        if (keys.has(key)) return key;
        keys.add(key);
      }
      expectsKey = false;
    } else if (character === '{' || character === '[') {
      open.push(character === '{' ? new Set() : null);
      expectsKey = character === '{';
    } else if (character === '}' || character === ']') {
      open.pop();
      expectsKey = false;
    } else if (character === ',') {
      expectsKey = open.at(-1) instanceof Set;
    }
  }
  return null;
}

export function damaged(where: string, what: string): UserError {
  return new UserError(`${where} is not a whole safetensors file: ${what}.`);
}

export function product(shape: readonly number[]): number {
  return shape.reduce((size, side) => size * side, 1);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isDtype(value: unknown): value is Dtype {
  return typeof value === 'string' && Object.hasOwn(dtypeBytes, value);
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((side) => Number.isSafeInteger(side) && side >= 0);
}
