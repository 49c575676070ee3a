import type { Decision, State } from '../state.js';

/** Bugs that can be planted into the simulator (never into the product), so that it is known to see such things. */
export const BUGS = {
  'counted-twice': 'the answer of a worker whose range was given to another counts too',
  'doubled-answer': 'an answer that comes again is added again',
  'arrival-order': 'partial sums are added in the order of their arrival',
  'half-sum': 'a sum counts though a piece of it never came',
  'stale-weights': 'a worker computes with the version of the weights that it has',
  'forgotten-range': 'the ranges of a worker that is gone are given to nobody',
  'deaf-to-death': 'a word of one worker is taken for a sign of life of all',
  'stepped-twice': 'the end of a step is told twice',
  'older-checkpoint': 'a run goes on from the oldest checkpoint',
  'moving-weights': 'a checkpoint is written from weights that go on moving',
  'rename-before-flush': 'a checkpoint gets its name before its files are on the disk',
  'forgotten-flush': 'the files of a checkpoint are not flushed',
  'forgotten-directory-flush': 'the name of a checkpoint is not flushed',
  'unflushed-name': 'a run goes on from a checkpoint whose name may be lost yet',
  'damaged-counts': 'a damaged checkpoint counts among those that are kept',
  'believed-liar': 'a sum that is to be checked counts whatever the others computed',
  'forgiven-liar': 'a worker that was found to lie may go on',
  'kept-lie': 'the sum that a liar had a part in is not forgotten',
  'endless-memory': 'the progress of uploads is remembered for ever',
} as const;

export type Bug = keyof typeof BUGS;

/** The bug 'forgotten-range', in what the machine decided: where a worker went, nobody is given anything. */
export function forgetRanges(before: State, decision: Decision): Decision {
  const { state, commands } = decision;
  const { phase, members } = state;
  if (members.length >= before.members.length || phase.name !== 'computing') return decision;
  const given = new Set(commands.flatMap((one) => (one.do === 'assign' ? one.assignment.id : [])));
  const assigned = phase.job.assigned.filter(({ id }) => !given.has(id));
  return {
    state: { ...state, phase: { ...phase, job: { ...phase.job, assigned, pending: [] } } },
    commands: commands.filter((one) => one.do !== 'assign'),
  };
}
