/**
 * The safetensors format (huggingface/safetensors): a header length in 8 bytes, a JSON header that names each
 * tensor's dtype, shape and byte range, then the bytes. Its length is bounded before memory is taken for it.
 */
import { closeSync, fstatSync, openSync, readSync, writeSync } from 'node:fs';
import { show, UserError } from '../config/index.js';
import {
  type Dtype,
  damaged,
  dtypeBytes,
  parseHeader,
  product,
  type TensorInfo,
} from './safetensors-header.js';

export interface NamedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** An open file: the header is checked, values are read on demand. */
export interface SafetensorsFile {
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** Reads F32, F16, BF16 or F64 values as float32, into `into` where it is given. */
  read(name: string, into?: Float32Array): Float32Array;
  close(): void;
}

export interface Safetensors {
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: ReadonlyMap<string, { readonly shape: readonly number[]; readonly data: Float32Array }>;
}

/** The limit of the format's own reader. */
const maximumHeader = 100_000_000;

/**
 * Reads every tensor of a small file, or of bytes in memory, as float32.
 *
 * @throws UserError for a file that is missing, damaged or hostile, and for a tensor that is not of floats
 */
export function readSafetensors(source: string | Uint8Array): Safetensors {
  const file = openSafetensors(source);
  try {
    const tensors = new Map<string, { shape: readonly number[]; data: Float32Array }>();
    for (const [name, { shape }] of file.tensors) tensors.set(name, { shape, data: file.read(name) });
    return { metadata: file.metadata, tensors };
  } finally {
    file.close();
  }
}

/**
 * Opens a file, or bytes in memory, and checks its header.
 *
 * @throws UserError with one sentence that names the file and what is wrong with it
 */
export function openSafetensors(source: string | Uint8Array): SafetensorsFile {
  const name = typeof source === 'string' ? source : 'The safetensors data';
  const bytes = typeof source === 'string' ? openFile(source) : inMemory(source);
  try {
    const lengthBytes = new Uint8Array(8);
    if (bytes.length < 8) throw damaged(name, `it has ${bytes.length} bytes, too few for a header`);
    bytes.readAt(0, lengthBytes);
    const headerLength = Number(new DataView(lengthBytes.buffer).getBigUint64(0, true));
    if (headerLength > Math.min(maximumHeader, bytes.length - 8)) {
      throw damaged(name, `its header claims ${headerLength} bytes of a file of ${bytes.length}`);
    }
    const header = new Uint8Array(headerLength);
    bytes.readAt(8, header);
    const { metadata, tensors } = parseHeader(header, bytes.length - 8 - headerLength, name);
    return {
      metadata,
      tensors,
      read: (tensor, into) => {
        const info = tensors.get(tensor);
        if (!info) throw new UserError(`${name} has no tensor ${show(tensor)}.`);
        const values = into ?? new Float32Array(info.size);
        if (values.length !== info.size) {
          throw new UserError(
            `${name}: ${tensor} has ${info.size} values, but ${values.length} are expected.`,
          );
        }
        readValues(bytes, 8 + headerLength + info.begin, info, values, `${name}: ${tensor}`);
        return values;
      },
      close: () => bytes.close(),
    };
  } catch (error) {
    bytes.close();
    throw error;
  }
}

/** Writes float32 tensors to a file at once; what must be whole or absent goes through `saveCheckpoint`. */
export function writeSafetensors(
  path: string,
  tensors: readonly NamedTensor[],
  metadata: Readonly<Record<string, string>> = {},
): void {
  const file = openSync(path, 'w');
  try {
    for (const part of safetensorsParts(tensors, metadata)) {
      for (let done = 0; done < part.length; ) done += writeSync(file, part, done);
    }
  } finally {
    closeSync(file);
  }
}

/** The file's bytes in order, the header first; the tensors' parts are views, not copies. */
export function safetensorsParts(
  tensors: readonly NamedTensor[],
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array[] {
  const header = new Map<string, unknown>();
  if (Object.keys(metadata).length > 0) header.set('__metadata__', metadata);
  let offset = 0;
  for (const { name, shape, data } of tensors) {
    if (header.has(name) || name === '__metadata__')
      throw new RangeError(`two tensors are named ${show(name)}`);
    if (product(shape) !== data.length)
      throw new RangeError(`${name}: [${shape}] is not ${data.length} values`);
    header.set(name, { dtype: 'F32', shape, data_offsets: [offset, offset + data.byteLength] });
    offset += data.byteLength;
  }
  const text = new TextEncoder().encode(JSON.stringify(Object.fromEntries(header)));
  const start = new Uint8Array(8 + Math.ceil(text.length / 8) * 8).fill(0x20); // tensors begin 8-aligned
  start.set(text, 8);
  new DataView(start.buffer).setBigUint64(0, BigInt(start.length - 8), true);
  return [start, ...tensors.map(({ data }) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength))];
}

interface Bytes {
  readonly length: number;
  /** Fills `into` with the bytes from `position` on. */
  readAt(position: number, into: Uint8Array): void;
  close(): void;
}

function openFile(path: string): Bytes {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    throw new UserError(`${path} cannot be read (${code === 'ENOENT' ? 'no such file' : code}).`);
  }
  const stat = fstatSync(file);
  if (!stat.isFile()) {
    closeSync(file);
    throw new UserError(`${path} is not a file, but must be a .safetensors file.`);
  }
  return {
    length: stat.size,
    readAt: (position, into) => {
      for (let done = 0; done < into.length; ) {
        const count = readSync(file, into, done, Math.min(into.length - done, 1 << 30), position + done);
        if (count === 0) throw damaged(path, 'it became shorter while it was read');
        done += count;
      }
    },
    close: () => closeSync(file),
  };
}

function inMemory(source: Uint8Array): Bytes {
  return {
    length: source.length,
    readAt: (position, into) => into.set(source.subarray(position, position + into.length)),
    close: () => {},
  };
}

function readValues(
  bytes: Bytes,
  position: number,
  info: TensorInfo,
  into: Float32Array,
  where: string,
): void {
  if (info.dtype === 'F32') {
    bytes.readAt(position, new Uint8Array(into.buffer, into.byteOffset, into.byteLength));
    return;
  }
  const convert = converters[info.dtype];
  if (!convert) throw new UserError(`${where} is ${info.dtype}, but must be F32, F16, BF16 or F64.`);
  const width = dtypeBytes[info.dtype];
  const step = 1 << 18;
  for (let first = 0; first < info.size; first += step) {
    const chunk = new Uint8Array(Math.min(step, info.size - first) * width);
    bytes.readAt(position + first * width, chunk);
    convert(chunk.buffer, into.subarray(first, first + step));
  }
}

const converters: Partial<Record<Dtype, (from: ArrayBuffer, into: Float32Array) => void>> = {
  F64: (from, into) => into.set(new Float64Array(from)),
  BF16: (from, into) => {
    const bits = new Uint32Array(into.buffer, into.byteOffset, into.length);
    new Uint16Array(from).forEach((half, i) => {
      bits[i] = half << 16;
    });
  },
  F16: (from, into) => {
    const bits = new Uint32Array(into.buffer, into.byteOffset, into.length);
    new Uint16Array(from).forEach((half, i) => {
      const sign = (half & 0x8000) << 16;
      const exponent = (half >> 10) & 0x1f;
      const fraction = half & 0x3ff;
      if (exponent === 0) {
        into[i] = fraction / 16777216; // subnormal, exact in float32
        bits[i] |= sign;
      } else {
        bits[i] = sign | ((exponent === 0x1f ? 0xff : exponent + 112) << 23) | (fraction << 13);
      }
    });
  },
};
