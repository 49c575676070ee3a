import { randomStream } from '@manyhands/core/numeric';
import type { Range } from '@manyhands/core/reduce';
import { isEqual } from './shares.js';
import type { Losses } from './sum-watch.js';

/** Whether workers who computed one range came to the same: pure functions over what is known of their sums. */

/** What is kept of a sum over a range. */
export interface Proof {
  /** Of the gradient's bits; the same for all that are not finite, which no step is taken with. */
  readonly digest: string;
  readonly norm: number;
  /** For each piece, the sum of its values with signs that no worker knows. */
  readonly sketch: readonly number[];
  readonly losses: Losses;
}

export interface Party {
  readonly id: string;
  /** The name in its certificate; null where it showed none. */
  readonly identity: string | null;
  /** Workers of one kind compute the same bits. */
  readonly kind: string;
}

export interface Answer extends Party {
  readonly proof: Proof;
}

/** A range of a step that counts only when two have computed the same. */
export interface Check {
  readonly range: Range;
  readonly answers: readonly Answer[];
}

export interface Verdict {
  readonly agreeing: readonly Answer[];
  readonly differing: readonly Answer[];
}

/** Of the norm; kernels differ by a hundredth of it, and what changes a step by less is no attack. */
const TOLERANCE = 1e-3;

/** Whether the range of an assignment is to be checked. @param seed is the coordinator's secret */
export function isChosen({ verify, seed }: { verify: number; seed: number }, assignment: number): boolean {
  return verify > 0 && randomStream(seed, assignment).nextFloat() < verify;
}

/** Two workers that are one person's, as far as can be told. */
export function isSame(one: Party, other: Party): boolean {
  return one.id === other.id || (one.identity !== null && one.identity === other.identity);
}

/** What two independent answers, the newest among them, agree on; null where there are none yet. */
export function verdict(answers: readonly Answer[]): Verdict | null {
  const newest = answers.at(-1);
  if (newest === undefined) return null;
  const agreeing = answers.filter((answer) => agree(answer, newest));
  if (agreeing.every((answer) => isSame(answer, newest))) return null;
  return { agreeing, differing: answers.filter((answer) => !agreeing.includes(answer)) };
}

/**
 * Who may compute a range once more, the best first: those who have not, of the kind that has, then of another; and where
 * all have and differ, each a second time, for a machine that errs by chance then contradicts itself.
 */
export function checkers<P extends Party>({ answers }: Check, crew: readonly P[]): readonly P[] {
  const times = (party: P) => answers.filter((answer) => isSame(answer, party)).length;
  const fresh = crew.filter((party) => times(party) === 0);
  const alike = fresh.filter(({ kind }) => answers.some((answer) => answer.kind === kind));
  if (alike.length > 0) return alike;
  if (fresh.length > 0 || answers.length < 2) return fresh;
  return crew.filter((party) => times(party) === 1);
}

/** The check of exactly that range; null where it is not checked. */
export function checkOf(checks: readonly Check[], range: Range): Check | null {
  return checks.find((check) => isEqual(check.range, range)) ?? null;
}

/** Bit for bit where both are of one kind; otherwise by what rounding may change. */
function agree(one: Answer, other: Answer): boolean {
  const [a, b] = [one.proof, other.proof];
  if (a.losses.targets.some((count, i) => count !== b.losses.targets[i])) return false;
  if (one.kind === other.kind || a.digest === b.digest) {
    return a.digest === b.digest && a.losses.sums.every((sum, i) => Object.is(sum, b.losses.sums[i]));
  }
  const near = (x: number, y: number) => Math.abs(x - y) <= TOLERANCE * Math.max(Math.abs(x), Math.abs(y));
  if (!a.losses.sums.every((sum, i) => near(sum, b.losses.sums[i]))) return false;
  return distance(a.sketch, b.sketch) <= TOLERANCE * Math.max(a.norm, b.norm);
}

/**
 * About the norm of the difference of two arrays: the square of a sum with random signs has the sum of squares as its
 * mean (Alon, Matias & Szegedy 1996).
 */
function distance(one: readonly number[], other: readonly number[]): number {
  return Math.sqrt(one.reduce((sum, value, i) => sum + (value - other[i]) ** 2, 0));
}
