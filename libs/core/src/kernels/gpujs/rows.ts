import type { Shape } from '../kernels.js';
import type { Device } from './device.js';
import { type Matrix, program, type Thread } from './program.js';
import type { DeviceTensor } from './tape.js';

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

const copyBlock = program(function copyBlock(
  this: Thread<object>,
  x: Matrix,
  firstRow: number,
  firstColumn: number,
): number {
  return x[this.thread.y + firstRow][this.thread.x + firstColumn];
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
    const part = block(device, x, 0, first, [x.rows, count]);
    first += count;
    return part;
  });
}

export function rows(device: Device, x: DeviceTensor, first: number, count: number): DeviceTensor {
  return block(device, x, first, 0, [count, x.columns]);
}

/** A part of a matrix that begins at a row and a column. */
export function block(
  device: Device,
  x: DeviceTensor,
  firstRow: number,
  firstColumn: number,
  shape: Shape,
): DeviceTensor {
  return device.launch(copyBlock, {}, shape, [x, firstRow, firstColumn]);
}
