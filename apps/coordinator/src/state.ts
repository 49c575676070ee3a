import type { Range } from '@manyhands/core/reduce';
import type { Check, Party, Proof } from './checks.js';
import type { Trials } from './crew.js';
import type { Share } from './shares.js';
import type { Paced } from './speeds.js';

/** What the machine knows of a run, the events that it is told and the commands that it gives. */

/** What never changes during a run. Times are in milliseconds. */
export interface Plan {
  /** Steps in all. */
  readonly steps: number;
  /** Micro-batches in a step, and in an evaluation. */
  readonly microBatches: number;
  readonly evaluationBatches: number;
  /** Every so many steps; 0 is never. The last step is always saved. */
  readonly evalEvery: number;
  readonly checkpointEvery: number;
  readonly minWorkers: number;
  readonly maxWorkers: number;
  readonly lostAfter: number;
  /** The run ends itself after this time. */
  readonly maxTime: number | null;
  /** The share of a step's ranges that count only when two workers agree; at 1, no worker is believed alone. */
  readonly verify: number;
  /** Decides which; no worker may know it. */
  readonly seed: number;
}

export type JobKind = 'train' | 'evaluate';

export interface Assignment extends Share {
  readonly id: number;
  /** When it was given. */
  readonly since: number;
}

/**
 * The work of one step or one evaluation: every micro-batch is in exactly one of pending, assigned or answered for a
 * check, and done. A range may be assigned to a second worker as well, where the first one is late: the first whole answer
 * counts.
 */
export interface Job {
  readonly kind: JobKind;
  readonly step: number;
  readonly total: number;
  readonly pending: readonly Range[];
  readonly assigned: readonly Assignment[];
  /** Micro-batches whose answers were accepted. */
  readonly done: number;
  readonly failures: number;
  readonly checks: readonly Check[];
  /** Who shares the step; nobody an evaluation. */
  readonly crew: readonly string[];
  /** When the step began; null where its length will not tell what it costs to be so many. */
  readonly begun: number | null;
}

export type Phase =
  /** Deciding what comes next, or waiting until enough workers are there for it. */
  | { readonly name: 'gathering' }
  | { readonly name: 'computing'; readonly job: Job }
  /** The shell steps, or concludes an evaluation; its event moves the run on. */
  | { readonly name: 'stepping' | 'concluding' }
  | { readonly name: 'finished' };

export interface Member extends Paced, Party {
  readonly lastHeard: number;
}

export interface State {
  readonly plan: Plan;
  readonly phase: Phase;
  /** Steps done; the version of the weights. */
  readonly step: number;
  readonly evaluatedAt: number;
  /** The step of the last checkpoint, which may still be under way. */
  readonly savedAt: number;
  /** A checkpoint is being written, beside whatever else is done. */
  readonly saving: boolean;
  /** The last evaluation was the best so far and is not saved yet. */
  readonly improved: boolean;
  readonly members: readonly Member[];
  readonly trials: Trials;
  readonly nextAssignment: number;
  /** Every range of this step is checked: there was something unlikely in it. */
  readonly wary: boolean;
  /** It was told that nobody is there to check. */
  readonly toldAlone: boolean;
  /** It was told that only some take part in a step. */
  readonly toldTurns: boolean;
  readonly startedAt: number;
  readonly stop: { readonly reason: string; readonly interrupted: boolean } | null;
}

export type Event =
  | {
      readonly kind: 'joined';
      readonly worker: string;
      readonly threads: number;
      readonly identity: string | null;
      /** Of machine and backend: one kind computes the same bits. */
      readonly machine: string;
    }
  | { readonly kind: 'left'; readonly worker: string; readonly reason: string }
  | { readonly kind: 'heard'; readonly worker: string }
  /**
   * `count`: micro-batches whose losses came with the answer; `computed`: milliseconds that its threads took, as it says;
   * `suspicion`: what is unlikely about it; `proof`: where its
   * range is checked, of what was sent, and the digest of what went into the step's sum.
   */
  | {
      readonly kind: 'answered';
      readonly worker: string;
      readonly assignment: number;
      readonly count: number;
      readonly computed: number;
      readonly suspicion: string | null;
      readonly proof: { readonly sent: Proof; readonly added: string } | null;
    }
  | { readonly kind: 'failed'; readonly worker: string; readonly assignment: number; readonly reason: string }
  | { readonly kind: 'stepped' }
  /** `converged`: why the run is to end here, in words. */
  | { readonly kind: 'evaluated'; readonly improved: boolean; readonly converged?: string }
  | { readonly kind: 'saved' }
  | { readonly kind: 'tick' }
  | { readonly kind: 'stop'; readonly reason: string; readonly interrupted: boolean };

export type Command =
  | { readonly do: 'assign'; readonly kind: JobKind; readonly step: number; readonly assignment: Assignment }
  /** The answer counts: add it to the sum. An answer without this command is dropped. */
  | { readonly do: 'accept'; readonly assignment: Assignment }
  /** Another one has answered for the range: what its worker still computes of it is for nothing. */
  | { readonly do: 'cancel'; readonly assignment: Assignment }
  /** The step begins anew: what was added to its sum is forgotten. */
  | { readonly do: 'clear' }
  | { readonly do: 'step' | 'conclude' | 'save' }
  | { readonly do: 'refuse' | 'dismiss'; readonly worker: string; readonly reason: string }
  /** It is sent away and may not come back; the reason is the evidence. */
  | {
      readonly do: 'quarantine';
      readonly worker: string;
      readonly identity: string | null;
      readonly reason: string;
    }
  | { readonly do: 'note'; readonly event: string; readonly worker?: string; readonly reason: string }
  | { readonly do: 'finish'; readonly reason: string; readonly interrupted: boolean }
  | { readonly do: 'abort'; readonly reason: string };

export interface Decision {
  readonly state: State;
  readonly commands: readonly Command[];
}

/** A run that has done and saved `step` steps, none or as many as its checkpoint says; −1: never evaluated. */
export function initialState(
  plan: Plan,
  { step, evaluatedAt }: { step: number; evaluatedAt: number },
  now: number,
): State {
  return {
    plan,
    phase: { name: 'gathering' },
    step,
    evaluatedAt,
    savedAt: step,
    saving: false,
    improved: false,
    members: [],
    trials: new Map(),
    nextAssignment: 1,
    wary: false,
    toldAlone: false,
    toldTurns: false,
    startedAt: now,
    stop: null,
  };
}

export interface Found {
  readonly job: Job;
  readonly assignment: Assignment;
}

/** The assignment if its worker still holds it; null where it is over, or was given to another. */
export function findAssignment(
  state: State,
  event: { readonly worker: string; readonly assignment: number },
): Found | null {
  if (state.phase.name !== 'computing') return null;
  const { job } = state.phase;
  const assignment = job.assigned.find(
    (other) => other.id === event.assignment && other.worker === event.worker,
  );
  return assignment === undefined ? null : { job, assignment };
}
