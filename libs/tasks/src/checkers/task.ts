import { createHash } from 'node:crypto';
import { ENCODED, type Evaluate, encode, featureNames, features, GREATEST } from '@manyhands/checkers';
import type { RunConfig } from '@manyhands/core/config';
import { createValueModel, type ValueModel, valueConfig, valueFunction } from '@manyhands/core/model';
import { z } from 'zod';

/** How games are played and learned from; see `task` of a run's config. */
export type PlayOptions = Pick<
  RunConfig['task'],
  'depth' | 'openingMoves' | 'exploration' | 'lambda' | 'maxMoves'
>;

/** Checkers, learned by play against oneself. */
export interface CheckersTask {
  readonly name: 'checkers';
  readonly model: ValueModel;
  readonly play: PlayOptions;
}

const NAME = 'checkers';

/** Bounds of what another machine may ask for, as in a run's config. */
const taskJson = z.strictObject({
  task: z.literal(NAME),
  model: valueConfig,
  play: z.strictObject({
    depth: z.int().min(1).max(20),
    openingMoves: z.int().min(0).max(40),
    exploration: z.number().min(0).lt(1),
    lambda: z.number().min(0).max(1),
    maxMoves: z.int().min(10).max(1000),
  }),
});

export function checkersTask({ task }: Pick<RunConfig, 'task'>): CheckersTask {
  const { evaluation, hidden, depth, openingMoves, exploration, lambda, maxMoves } = task;
  const model = createValueModel(
    evaluation === 'samuel'
      ? { arch: 'linear', inputs: featureNames.length, hidden: 0 }
      : { arch: 'network', inputs: ENCODED, hidden },
  );
  return { name: NAME, model, play: { depth, openingMoves, exploration, lambda, maxMoves } };
}

/** What describes a position to a model: Samuel's features to a linear one, the squares to a network. */
export function describe({ config }: ValueModel): typeof features {
  return config.arch === 'linear' ? features : encode;
}

/** A model as what a search asks. */
export function evaluationOf(model: ValueModel, weights: Float32Array): Evaluate {
  const value = valueFunction(model, weights);
  const describing = describe(model);
  const inputs = new Float32Array(model.config.inputs);
  return (position) => Math.max(-GREATEST, Math.min(GREATEST, value(describing(position, inputs))));
}

export function checkersToJson({ model, play }: CheckersTask): string {
  return JSON.stringify({ task: NAME, model: model.config, play });
}

/**
 * null where the text speaks of another task.
 * @throws Error with one sentence where it is this one, and not right
 */
export function checkersFromJson(text: string): CheckersTask | null {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof json !== 'object' || json === null || Reflect.get(json, 'task') !== NAME) return null;
  const parsed = taskJson.safeParse(json);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new Error(`the task checkers has a bad ${issue.path.join('.') || 'form'}: ${issue.message}`);
  }
  const { model, play } = parsed.data;
  const inputs = model.arch === 'linear' ? featureNames.length : ENCODED;
  if (model.inputs !== inputs) {
    throw new Error(
      `the task checkers has ${model.inputs} numbers for a position, but here it has ${inputs}`,
    );
  }
  return { name: NAME, model: createValueModel(model), play };
}

/** Another list of features would give the weights another meaning. */
export function checkersHash(task: CheckersTask): string {
  const inputs = task.model.config.arch === 'linear' ? featureNames : [];
  return createHash('sha256')
    .update(JSON.stringify([checkersToJson(task), inputs]))
    .digest('hex');
}
