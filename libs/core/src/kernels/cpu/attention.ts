import type { AttentionSizes } from '../shapes.js';
import type { CpuTensor } from './arena.js';
import type { Device } from './device.js';
import { type Product, plain } from './products.js';

/** The sizes of attention over whole sequences. */
type Sizes = Pick<AttentionSizes, 'batch' | 'time' | 'heads' | 'kvHeads' | 'headDim'>;

/** Queries whose scores are computed at once by native products: few enough that memory is linear in T. */
const QUERIES = 64;

/**
 * Causal attention, forward: as one kernel of WebAssembly, or head by head through native products where these were
 * measured to be faster for the shape. Arguments as in `Kernels.attention`.
 */
export function attention(
  device: Device,
  qkv: CpuTensor,
  out: CpuTensor,
  logSumExp: CpuTensor,
  sizes: Sizes & { readonly first: number },
): void {
  const { batch, time, first, heads, kvHeads, headDim } = sizes;
  if (first === 0 && isNative(device, sizes)) {
    nativeForward(device, qkv, out, logSumExp, sizes);
    return;
  }
  device.temporarily(() => {
    const scratch = scratchFor(device, sizes);
    const numbers = [batch, time, first, heads, kvHeads, headDim];
    device.do(device.wasm.attention, qkv, out, logSumExp, scratch, ...numbers);
  });
}

/** The gradient of qkv into `result`, which is written whole. */
export function attentionBackward(
  device: Device,
  gradient: CpuTensor,
  qkv: CpuTensor,
  out: CpuTensor,
  logSumExp: CpuTensor,
  result: CpuTensor,
  sizes: Sizes,
): void {
  if (isNative(device, sizes)) nativeBackward(device, gradient, qkv, out, logSumExp, result, sizes);
  else wasmBackward(device, gradient, qkv, out, logSumExp, result, sizes);
}

function scratchFor(device: Device, { time, headDim }: Sizes): CpuTensor {
  return device.make([device.wasm.attentionScratch(time, headDim) / 4]);
}

function wasmBackward(
  device: Device,
  gradient: CpuTensor,
  qkv: CpuTensor,
  out: CpuTensor,
  logSumExp: CpuTensor,
  result: CpuTensor,
  sizes: Sizes,
): void {
  const { batch, time, heads, kvHeads, headDim } = sizes;
  device.temporarily(() => {
    const scratch = scratchFor(device, sizes);
    const tensors = [gradient, qkv, out, logSumExp, result, scratch];
    device.do(device.wasm.attentionBackward, ...tensors, batch, time, heads, kvHeads, headDim);
  });
}

/** Both directions are chosen together, by the time of the longer one. */
function isNative(device: Device, sizes: Sizes): boolean {
  const { batch, time, heads, kvHeads, headDim } = sizes;
  // Rows of scores must begin on whole vectors.
  if (!device.native || time % 4 !== 0) return false;
  const shape = `attention ${batch}x${time}x${heads}x${kvHeads}x${headDim}`;
  const programs: { release(): void }[] = [];
  const engine = device.choices.pick(shape, () => {
    const trial = (backward: typeof wasmBackward) => {
      const program = device.apart(() => {
        const rows = batch * time;
        const qkv = device.make([rows, (heads + 2 * kvHeads) * headDim]);
        const [gradient, out] = [0, 0].map(() => device.make([rows, heads * headDim]));
        const sums = device.make([batch, heads, time]);
        const inputs = [qkv, gradient, out, sums];
        device.host(inputs, () => {
          for (const { offset, bytes } of inputs)
            device.arena.floats.fill(0.25, offset / 4, (offset + bytes) / 4);
        });
        backward(device, gradient, qkv, out, sums, device.make(qkv.shape), sizes);
      });
      programs.push(program);
      return () => program.run();
    };
    return { native: trial(nativeBackward), wasm: trial(wasmBackward) };
  });
  for (const program of programs) program.release();
  return engine === 'native';
}

function nativeForward(
  device: Device,
  qkv: CpuTensor,
  out: CpuTensor,
  logSumExp: CpuTensor,
  sizes: Sizes,
): void {
  const { time, headDim } = sizes;
  const { softmaxRows } = device.wasm;
  device.temporarily(() => {
    const [q, k, v, o] = [0, 1, 2, 3].map(() => device.make([time, headDim]));
    const scores = device.make([QUERIES, time]);
    forEachHead(device, sizes, qkv, out, ({ head, number, newGroup }) => {
      head('query', 'in', q);
      if (newGroup) {
        head('key', 'in', k);
        head('value', 'in', v);
      }
      for (const { first, rows, keys } of blocksOf(time)) {
        const at = { tensor: q, plus: 4 * first * headDim };
        const base = { transA: false, ...plain };
        device.nativeProduct({
          ...base,
          n: rows,
          m: keys,
          k: headDim,
          a: at,
          b: k,
          transB: true,
          out: scores,
        });
        const sums = { tensor: logSumExp, plus: 4 * (number * time + first) };
        device.do(softmaxRows, scores, rows, keys, first, scaleOf(headDim), sums);
        const to = { tensor: o, plus: 4 * first * headDim };
        device.nativeProduct({
          ...base,
          n: rows,
          m: headDim,
          k: keys,
          a: scores,
          b: v,
          transB: false,
          out: to,
        });
      }
      head('output', 'out', o);
    });
  });
}

function nativeBackward(
  device: Device,
  gradient: CpuTensor,
  qkv: CpuTensor,
  out: CpuTensor,
  logSumExp: CpuTensor,
  result: CpuTensor,
  sizes: Sizes,
): void {
  const { time, headDim, heads } = sizes;
  const { softmaxRowsBackward } = device.wasm;
  device.temporarily(() => {
    const [q, k, v, g, dq, dk, dv] = [0, 1, 2, 3, 4, 5, 6].map(() => device.make([time, headDim]));
    const [scores, slopes] = [0, 1].map(() => device.make([QUERIES, time]));
    const into = headCopies(device, sizes, result, gradient);
    forEachHead(device, sizes, qkv, gradient, ({ head, number, b, h, newGroup, lastOfGroup }) => {
      head('query', 'in', q);
      head('output', 'in', g);
      if (newGroup) {
        head('key', 'in', k);
        head('value', 'in', v);
      }
      // From the last block, which reaches all keys, to the first: what is added to is there already.
      for (const { first, rows, keys } of blocksOf(time).reverse()) {
        const at = (tensor: CpuTensor) => ({ tensor, plus: 4 * first * headDim });
        const scored = { n: rows, m: keys, k: headDim, transA: false, transB: true, ...plain };
        device.nativeProduct({ ...scored, a: at(q), b: k, out: scores });
        device.nativeProduct({ ...scored, a: at(g), b: v, out: slopes });
        const sums = { tensor: logSumExp, plus: 4 * (number * time + first) };
        const row = 4 * ((b * time + first) * heads + h) * headDim;
        const places = [
          { tensor: gradient, plus: row },
          { tensor: out, plus: row },
          heads * headDim,
          headDim,
        ];
        device.do(softmaxRowsBackward, scores, slopes, rows, keys, first, scaleOf(headDim), sums, ...places);
        const begins = newGroup && keys === time;
        const sum = (target: CpuTensor): Pick<Product, 'added' | 'from' | 'out'> =>
          begins ? { ...plain, out: target } : { added: 'matrix', from: target, out: target };
        const turned = { n: keys, m: headDim, k: rows, transA: true, transB: false };
        device.nativeProduct({ ...turned, a: scores, b: at(g), ...sum(dv) });
        device.nativeProduct({ ...turned, a: slopes, b: at(q), ...sum(dk) });
        const upright = { n: rows, m: headDim, k: keys, transA: false, transB: false, ...plain };
        device.nativeProduct({ ...upright, a: slopes, b: k, out: at(dq) });
      }
      into(b, h, 'query', 'out', dq);
      if (lastOfGroup) {
        into(b, h, 'key', 'out', dk);
        into(b, h, 'value', 'out', dv);
      }
    });
  });
}

type Part = 'query' | 'key' | 'value' | 'output';

interface Head {
  readonly b: number;
  readonly h: number;
  /** b·heads + h */
  readonly number: number;
  /** Whether its keys and values are others than those of the head before, and than those of the one after. */
  readonly newGroup: boolean;
  readonly lastOfGroup: boolean;
  /** Copies a part of the head between its place among all heads and [time, headDim]. */
  head(part: Part, way: 'in' | 'out', dense: CpuTensor): void;
}

function forEachHead(
  device: Device,
  sizes: Sizes,
  qkv: CpuTensor,
  output: CpuTensor,
  each: (head: Head) => void,
): void {
  const { batch, heads, kvHeads } = sizes;
  const shared = heads / kvHeads;
  const copy = headCopies(device, sizes, qkv, output);
  for (let b = 0; b < batch; b++) {
    for (let h = 0; h < heads; h++) {
      const newGroup = h % shared === 0;
      const lastOfGroup = (h + 1) % shared === 0;
      const head: Head['head'] = (part, way, dense) => copy(b, h, part, way, dense);
      each({ b, h, number: b * heads + h, newGroup, lastOfGroup, head });
    }
  }
}

/** Queries, keys and values lie in `qkv` [batch·time, (heads + 2·kvHeads)·headDim], outputs in [batch·time, heads·headDim]. */
function headCopies(device: Device, sizes: Sizes, qkv: CpuTensor, output: CpuTensor) {
  const { time, heads, kvHeads, headDim } = sizes;
  const bytes = 4 * headDim;
  return (b: number, h: number, part: Part, way: 'in' | 'out', dense: CpuTensor): void => {
    const group = Math.floor((h * kvHeads) / heads);
    const column = { query: h, output: h, key: heads + group, value: heads + kvHeads + group }[part];
    const step = bytes * (part === 'output' ? heads : heads + 2 * kvHeads);
    const place = { tensor: part === 'output' ? output : qkv, plus: b * time * step + column * bytes };
    const { copyRows } = device.wasm;
    if (way === 'in') device.do(copyRows, place, step, dense, bytes, time, bytes);
    else device.do(copyRows, dense, bytes, place, step, time, bytes);
  };
}

function blocksOf(time: number): { first: number; rows: number; keys: number }[] {
  return Array.from({ length: Math.ceil(time / QUERIES) }, (_, i) => {
    const first = i * QUERIES;
    const rows = Math.min(QUERIES, time - first);
    return { first, rows, keys: first + rows };
  });
}

/** 1/√d, as float32. */
function scaleOf(headDim: number): number {
  return Math.fround(1 / Math.sqrt(headDim));
}
