import { math } from '../../numeric/index.js';
import type { RopeOptions } from '../kernels.js';

/** Cosines and sines of position · theta^(−2i/headDim), [positions, headDim/2] each. */
export interface RopeTable {
  readonly cosines: Float32Array;
  readonly sines: Float32Array;
}

/** The tables of one thread, computed once for each theta and size, and extended as positions grow. */
export class RopeTables {
  readonly #tables = new Map<string, RopeTable>();

  /** The rows of the positions `least` … `greatest`. */
  rows({ headDim, theta }: RopeOptions, least: number, greatest: number): RopeTable {
    const half = headDim / 2;
    const key = `${headDim} ${theta}`;
    let table = this.#tables.get(key);
    if (table === undefined || table.cosines.length < (greatest + 1) * half) {
      table = compute(2 * (greatest + 1), half, theta);
      this.#tables.set(key, table);
    }
    const range = [least * half, (greatest + 1) * half] as const;
    return { cosines: table.cosines.subarray(...range), sines: table.sines.subarray(...range) };
  }
}

function compute(positions: number, half: number, theta: number): RopeTable {
  const cosines = new Float32Array(positions * half);
  const sines = new Float32Array(positions * half);
  for (let i = 0; i < half; i++) {
    const frequency = math.pow(theta, -i / half);
    for (let position = 0; position < positions; position++) {
      cosines[position * half + i] = math.cos(position * frequency);
      sines[position * half + i] = math.sin(position * frequency);
    }
  }
  return { cosines, sines };
}
