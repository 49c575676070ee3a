import { createHash } from 'node:crypto';
import { randomStream } from '@manyhands/core/numeric';
import type { Range } from '@manyhands/core/reduce';
import type { Proof } from './checks.js';
import type { Losses } from './sum-watch.js';

/** The digest of every sum that is not finite: their bits may differ, and the step is skipped all the same. */
const NOT_FINITE = 'not finite';

/** What is kept of the sums over ranges that are checked, made piece by piece as they arrive. */
export class Proofs {
  /** By assignment. */
  private readonly sent = new Map<number, Maker>();
  /** By range: of what went into the step's sum, whoever sent it. */
  private readonly added = new Map<string, Maker>();
  private signs = new Float32Array(0);

  /** @param seed the coordinator's secret */
  constructor(private readonly seed: number) {}

  /** The next piece of an assignment's sum. @param added whether it went into the step's sum */
  piece(assignment: number, range: Range, values: Float32Array, added: boolean): void {
    const signs = this.signsFor(values.length);
    makerOf(this.sent, assignment).piece(values, signs);
    if (added) makerOf(this.added, keyOf(range)).piece(values, signs);
  }

  /** The sum is whole. `added` is the digest of what went into the step's sum for the range. */
  whole(assignment: number, range: Range, losses: Losses): { readonly sent: Proof; readonly added: string } {
    const sent = makerOf(this.sent, assignment).proof(losses);
    this.sent.delete(assignment);
    return { sent, added: makerOf(this.added, keyOf(range)).proof(losses).digest };
  }

  /** Begins the next step. */
  clear(): void {
    this.sent.clear();
    this.added.clear();
  }

  private signsFor(length: number): Float32Array {
    if (this.signs.length < length) {
      const random = randomStream(this.seed, 0, length);
      this.signs = new Float32Array(length);
      for (let i = 0, bits = 0; i < length; i++, bits >>>= 1) {
        if (i % 32 === 0) bits = random.nextUint32();
        this.signs[i] = bits & 1 ? 1 : -1;
      }
    }
    return this.signs;
  }
}

class Maker {
  private readonly hash = createHash('sha256');
  private squares = 0;
  private readonly sketch: number[] = [];

  piece(values: Float32Array, signs: Float32Array): void {
    this.hash.update(values);
    let [squares, sketch] = [0, 0];
    for (let i = 0; i < values.length; i++) {
      squares += values[i] * values[i];
      sketch += values[i] * signs[i];
    }
    this.squares += squares;
    this.sketch.push(sketch);
  }

  proof(losses: Losses): Proof {
    const { sketch } = this;
    const norm = Math.sqrt(this.squares);
    const finite = Number.isFinite(norm);
    return { digest: finite ? `sha256 ${this.hash.copy().digest('hex')}` : NOT_FINITE, norm, sketch, losses };
  }
}

function makerOf<K>(makers: Map<K, Maker>, key: K): Maker {
  const maker = makers.get(key) ?? new Maker();
  makers.set(key, maker);
  return maker;
}

function keyOf({ first, count }: Range): string {
  return `${first}+${count}`;
}
