import { robustly } from './robust.js';

export type SteeringPolicy = 'warn' | 'skip' | 'rollback' | 'stop';

export interface SteeringConfig {
  readonly policy: SteeringPolicy;
  /** A loss or gradient norm is suspicious from so many robust deviations above the window's median on. */
  readonly zScore: number;
  /** Steps that a new one is compared with. */
  readonly window: number;
  /** What the learning rate is multiplied by at each rollback. */
  readonly rateFactor: number;
  readonly maxRollbacks: number;
}

/** All that steering remembers, of numbers of the run alone: a checkpoint holds it, so a resumed run steers the same. */
export interface SteeringState {
  /** Loss of the run's first step that was taken. */
  readonly first: number | null;
  /** Of the last steps that were taken, at most a window of them. */
  readonly losses: readonly number[];
  readonly gradNorms: readonly number[];
  /** Suspicious steps one after the other, up to now. */
  readonly inARow: number;
  readonly rateFactor: number;
  readonly rollbacks: number;
  /** Step of the checkpoint that a rollback goes to; 0: the start of the run. */
  readonly good: number;
  /** Step of a checkpoint that becomes the good one if no divergence shows soon. */
  readonly candidate: number | null;
}

export const initialSteering: SteeringState = {
  first: null,
  losses: [],
  gradNorms: [],
  inARow: 0,
  rateFactor: 1,
  rollbacks: 0,
  good: 0,
  candidate: null,
};

/** Why a step is suspicious. */
export interface Alarm {
  readonly signal: 'loss' | 'gradNorm';
  readonly value: number;
  /** What it may be at most; null where the value is not finite. */
  readonly limit: number | null;
  /** Of the window; null where it holds too few steps. */
  readonly median: number | null;
  readonly zScore: number | null;
  /** Suspicious steps one after the other, this one included. */
  readonly inARow: number;
}

/** `take` the step, or leave the weights as they are, or go back, or end the run. */
export type SteeringAction = 'take' | 'skip' | 'rollback' | 'fail';

export interface Judgement {
  readonly action: SteeringAction;
  readonly alarm: Alarm | null;
  readonly state: SteeringState;
}

/** Fewer steps do not tell what is usual. */
const FEWEST = 8;
/** A loss of so many times that of the run's first step comes from no model that learns. */
const WORSE_THAN_NEW = 1.05;
/** One spike is forgiven; so many suspicious steps one after the other are a divergence. */
export const DIVERGED_AFTER = 3;
/** A model of which so many steps had to be skipped one after the other does not come back. */
export const MOST_SKIPPED = 5;
/** A window whose values hardly differ makes no harmless step suspicious: its deviation is at least this part of its median. */
const LEAST_DEVIATION = 0.01;

/** Judges a step by its loss and the norm of its gradient, before the weights move. */
export function judge(
  config: SteeringConfig,
  state: SteeringState,
  step: { readonly number: number; readonly loss: number; readonly gradNorm: number },
): Judgement {
  const found =
    suspect(
      'loss',
      step.loss,
      state.losses,
      config,
      WORSE_THAN_NEW * (state.first ?? Number.POSITIVE_INFINITY),
    ) ?? suspect('gradNorm', step.gradNorm, state.gradNorms, config, Number.POSITIVE_INFINITY);
  const inARow = found === null ? 0 : state.inARow + 1;
  const action = found === null ? 'take' : actionOf(config, state, found.limit === null, inARow);
  const push = (values: readonly number[], value: number) => [...values, value].slice(-config.window);
  const taken = action === 'take' && {
    first: state.first ?? step.loss,
    losses: push(state.losses, step.loss),
    gradNorms: push(state.gradNorms, step.gradNorm),
  };
  const proven = state.candidate !== null && step.number - state.candidate >= config.window / 2;
  return {
    action,
    alarm: found && { ...found, inARow },
    state: {
      ...state,
      ...taken,
      inARow,
      ...(found === null && proven && { good: state.candidate ?? 0, candidate: null }),
    },
  };
}

function actionOf(
  { policy, maxRollbacks }: SteeringConfig,
  { rollbacks }: SteeringState,
  infinite: boolean,
  inARow: number,
): SteeringAction {
  const diverged = infinite || inARow >= DIVERGED_AFTER;
  switch (policy) {
    case 'rollback':
      if (!diverged) return 'take';
      return rollbacks < maxRollbacks ? 'rollback' : 'fail';
    case 'stop':
      return diverged ? 'fail' : 'take';
    case 'skip':
      return inARow >= MOST_SKIPPED ? 'fail' : 'skip';
    case 'warn':
      if (!infinite) return 'take';
      return inARow >= MOST_SKIPPED ? 'fail' : 'skip';
  }
}

function suspect(
  signal: Alarm['signal'],
  value: number,
  window: readonly number[],
  { zScore }: SteeringConfig,
  most: number,
): Omit<Alarm, 'inARow'> | null {
  const known = window.length >= FEWEST ? robustly(window) : null;
  const deviation = known === null ? 0 : Math.max(known.deviation, LEAST_DEVIATION * known.median);
  const numbers = { signal, value, median: known?.median ?? null };
  if (!Number.isFinite(value)) return { ...numbers, limit: null, zScore: null };
  const limit = known === null ? most : Math.min(most, known.median + zScore * deviation);
  if (value <= limit) return null;
  return { ...numbers, limit, zScore: known === null ? null : (value - known.median) / deviation };
}

/** A checkpoint of `step` is about to be written: it is the next to prove itself, where none is at it and all is well. */
export function checkpointed(state: SteeringState, step: number): SteeringState {
  return state.candidate === null && state.inARow === 0 && step > state.good
    ? { ...state, candidate: step }
    : state;
}

/**
 * The run goes back to its good checkpoint, with a lower rate.
 * @param then what steering remembered at that checkpoint; null: nothing
 */
export function rolledBack(
  config: SteeringConfig,
  state: SteeringState,
  then: Pick<SteeringState, 'losses' | 'gradNorms'> | null,
): SteeringState {
  return {
    first: state.first,
    losses: then?.losses ?? [],
    gradNorms: then?.gradNorms ?? [],
    inARow: 0,
    rateFactor: state.rateFactor * config.rateFactor,
    rollbacks: state.rollbacks + 1,
    good: state.good,
    candidate: null,
  };
}
