import { math } from '../../numeric/index.js';
import type { RopeOptions } from '../kernels.js';
import type { Device } from './device.js';
import { type Matrix, program, type Thread } from './program.js';
import type { DeviceTensor } from './tape.js';

interface HeadDim {
  readonly headDim: number;
}

/** `direction` is 1, or −1 to rotate backwards. */
const rotate = program<HeadDim>(function rotate(
  this: Thread<HeadDim>,
  x: Matrix,
  positions: Matrix,
  cosines: Matrix,
  sines: Matrix,
  direction: number,
): number {
  const half = this.constants.headDim / 2;
  const channel =
    this.thread.x - Math.floor((this.thread.x + 0.5) / this.constants.headDim) * this.constants.headDim;
  const position = positions[0][this.thread.y];
  if (channel < half) {
    return (
      x[this.thread.y][this.thread.x] * cosines[position][channel] -
      x[this.thread.y][this.thread.x + half] * sines[position][channel] * direction
    );
  }
  return (
    x[this.thread.y][this.thread.x] * cosines[position][channel - half] +
    x[this.thread.y][this.thread.x - half] * sines[position][channel - half] * direction
  );
});

/**
 * The angles of rotary embedding, [positions, headDim / 2], made here in float64: a GPU's sine may be wrong by
 * 2⁻¹¹ (WGSL, accuracy of sin). They grow by doubling and live as long as the device: a program may use an older one.
 */
export class RopeTables {
  private readonly tables = new Map<string, Table>();

  constructor(private readonly device: Device) {}

  rope(x: DeviceTensor, positions: DeviceTensor, options: RopeOptions, inverse: boolean): DeviceTensor {
    const { cosines, sines } = this.upTo(positions.range.greatest, options);
    positions.demand('rope', 0, cosines.rows, this.device.recording);
    const operands = [x, positions, cosines, sines, inverse ? -1 : 1];
    return this.device.launch(rotate, { headDim: options.headDim }, x.shape, operands);
  }

  private upTo(greatest: number, { headDim, theta }: RopeOptions): Table {
    const key = `${headDim} ${theta}`;
    const known = this.tables.get(key);
    if (known !== undefined && known.cosines.rows > greatest) return known;
    const shape = [2 ** Math.ceil(Math.log2(greatest + 1)), headDim / 2];
    const angles = new Float64Array(shape[0] * shape[1]);
    for (let pair = 0; pair < shape[1]; pair++) {
      const frequency = math.pow(theta, (-2 * pair) / headDim);
      for (let position = 0; position < shape[0]; position++)
        angles[position * shape[1] + pair] = position * frequency;
    }
    const fresh = this.device.outside(() => ({
      cosines: this.device.upload(angles.map(math.cos), shape),
      sines: this.device.upload(angles.map(math.sin), shape),
    }));
    this.tables.set(key, fresh);
    return fresh;
  }
}

interface Table {
  readonly cosines: DeviceTensor;
  readonly sines: DeviceTensor;
}
