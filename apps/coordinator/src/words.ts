import type { Range } from '@manyhands/core/reduce';
import type { Party } from './checks.js';
import type { Job, State } from './state.js';

/** The machine's words for people. */

export function countOf(microBatches: number): string {
  return microBatches === 1 ? '1 micro-batch' : `${microBatches} micro-batches`;
}

export function rangeName({ first, count }: Range): string {
  return count === 1 ? `micro-batch ${first}` : `micro-batches ${first} … ${first + count - 1}`;
}

export function jobName({ kind, step }: Job): string {
  return kind === 'train' ? `step ${step + 1}` : `the evaluation at step ${step}`;
}

export function namesOf(parties: readonly Party[]): string {
  return [...new Set(parties.map(({ id }) => id))].join(' and ');
}

/** What the run waits for, in words for people; null where it is computing. */
export function waitingFor(state: State): string | null {
  const { phase, plan, members } = state;
  const needed = Math.max(1, plan.minWorkers);
  if (phase.name === 'gathering' && members.length < needed) {
    return needed === 1 ? 'a worker to join' : `${needed - members.length} more of ${needed} workers to join`;
  }
  if (phase.name === 'computing') {
    const { total, done, assigned } = phase.job;
    const job = jobName(phase.job);
    if (members.length === 0) return `a worker to go on with ${job}`;
    const [open] = phase.job.checks.filter(({ answers }) => answers.length > 0);
    if (assigned.length === 0 && open !== undefined) {
      return `another worker, to check what ${namesOf(open.answers)} computed for ${rangeName(open.range)} of ${job}`;
    }
    const slow = new Set(assigned.map((assignment) => assignment.worker));
    return `${total - done} of ${total} micro-batches of ${job} from ${[...slow].join(', ')}`;
  }
  if (phase.name === 'gathering') return state.saving ? `the checkpoint of step ${state.savedAt}` : null;
  return phase.name === 'finished' ? null : `${phase.name} at step ${state.step}`;
}
