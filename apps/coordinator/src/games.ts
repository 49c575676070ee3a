import type { RunConfig } from '@manyhands/core/config';
import type { Window } from '@manyhands/core/data';
import { checkersTask } from '@manyhands/tasks';
import { concludeEvaluation, type EvaluationBatch } from './evaluation.js';
import type { Material } from './material.js';

/** Games of an evaluation: against itself, for the loss; and against who counts material, for what was learned. */
const EVALUATED = { train: 32, validation: 100 } as const;
/** What is handed out at once. */
const GAMES = 2;

/**
 * Games that are played to be learned from. A window is a game, its offset the game's number: nothing else has to be sent.
 * Of an evaluation the training loss is that of games against itself, the validation loss the share of points that are
 * lost to who looks as far ahead and only counts material. The two are not of one kind, so there is no gap between them.
 */
export function openGames(config: RunConfig): Material {
  const task = checkersTask(config);
  const { sequences } = config.batch;
  const numbered = (split: Window['split'], first: number, count: number): Window[] =>
    Array.from({ length: count }, (_, i) => ({ split, source: 0, offset: first + i }));
  return {
    task,
    hash: '',
    unit: 'positions',
    time: task.play.maxMoves,
    training: (step) => numbered('train', step * sequences, sequences),
    evaluation: () =>
      (['train', 'validation'] as const).flatMap((split) =>
        Array.from({ length: EVALUATED[split] / GAMES }, (_, i): EvaluationBatch => {
          // Training counts from 0 up, and is never there.
          const first = split === 'train' ? Number.MAX_SAFE_INTEGER - EVALUATED.train : 0;
          return { split, source: 0, windows: numbered(split, first + i * GAMES, GAMES) };
        }),
      ),
    conclude: (plan, sums, targets) => ({
      ...concludeEvaluation(plan, sums, targets, { sources: [] }),
      gap: null,
    }),
    baselines: () => null,
    tokens: () => null,
    close() {},
  };
}
