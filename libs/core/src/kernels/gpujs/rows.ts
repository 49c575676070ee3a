import type { Device, DeviceTensor } from './device.js';
import { type Matrix, program, type Thread } from './program.js';

const gather = program(function gather(this: Thread<object>, table: Matrix, ids: Matrix): number {
  return table[ids[0][this.thread.y]][this.thread.x];
});

interface Positions {
  readonly positions: number;
}

const scatterSum = program<Positions>(function scatterSum(
  this: Thread<Positions>,
  gradient: Matrix,
  ids: Matrix,
): number {
  let sum = 0;
  for (let n = 0; n < this.constants.positions; n++) {
    if (ids[0][n] === this.thread.y) {
      sum += gradient[n][this.thread.x];
    }
  }
  return sum;
});

/** Columns of `left`, then those of `right`. */
const besideEachOther = program(function besideEachOther(
  this: Thread<object>,
  left: Matrix,
  right: Matrix,
  leftColumns: number,
): number {
  if (this.thread.x < leftColumns) {
    return left[this.thread.y][this.thread.x];
  }
  return right[this.thread.y][this.thread.x - leftColumns];
});

const block = program(function block(
  this: Thread<object>,
  x: Matrix,
  firstRow: number,
  firstColumn: number,
): number {
  return x[this.thread.y + firstRow][this.thread.x + firstColumn];
});

const replaceRows = program(function replaceRows(
  this: Thread<object>,
  target: Matrix,
  rows: Matrix,
  first: number,
  count: number,
): number {
  const row = this.thread.y - first;
  if (row >= 0 && row < count) {
    return rows[row][this.thread.x];
  }
  return target[this.thread.y][this.thread.x];
});

export function embedding(device: Device, table: DeviceTensor, ids: DeviceTensor): DeviceTensor {
  return device.launch(gather, {}, [ids.columns, table.columns], [table, ids]);
}

export function embeddingBackward(
  device: Device,
  gradient: DeviceTensor,
  ids: DeviceTensor,
  rows: number,
): DeviceTensor {
  return device.launch(scatterSum, { positions: ids.columns }, [rows, gradient.columns], [gradient, ids]);
}

export function concat(device: Device, parts: readonly DeviceTensor[]): DeviceTensor {
  const [first, ...rest] = parts;
  let joined = rows(device, first, 0, first.rows);
  for (const part of rest) {
    const wider = device.launch(
      besideEachOther,
      {},
      [first.rows, joined.columns + part.columns],
      [joined, part, joined.columns],
    );
    device.release([joined]);
    joined = wider;
  }
  return joined;
}

export function split(device: Device, x: DeviceTensor, columns: readonly number[]): DeviceTensor[] {
  let first = 0;
  return columns.map((count) => {
    const part = device.launch(block, {}, [x.rows, count], [x, 0, first]);
    first += count;
    return part;
  });
}

export function rows(device: Device, x: DeviceTensor, first: number, count: number): DeviceTensor {
  return device.launch(block, {}, [count, x.columns], [x, first, 0]);
}

export function writeRows(device: Device, target: DeviceTensor, first: number, x: DeviceTensor): void {
  device.launchInto(target, replaceRows, {}, [target, x, first, x.rows]);
}
