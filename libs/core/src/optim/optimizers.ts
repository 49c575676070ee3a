import { UserError } from '../config/index.js';
import type { Layout } from '../model/index.js';
import { adamw } from './adamw.js';
import { muon } from './muon.js';
import { ratesOf } from './rates.js';
import { sgd } from './sgd.js';
import type { Task } from './tasks.js';
import type { Optimizer, OptimizerConfig, OptimizerState, Plan, Planner, UpdateNorms } from './types.js';
import { Workbench } from './workbench.js';

/** Every optimiser. To add one: a file like its neighbours, a line here, its name in OptimizerConfig. */
export const optimizers: Readonly<Record<OptimizerConfig['name'], Planner>> = { adamw, sgd, muon };

/** An optimiser that computes in the calling thread; `createStepper` has the same bits, on several. */
export function createOptimizer(config: OptimizerConfig, model: Layout): Optimizer {
  const plan = optimizers[config.name](model);
  const state = stateOf(plan, (length) => new Float32Array(length));
  const bench = new Workbench();
  return {
    name: config.name,
    state,
    step: (weights, gradient, learningRate, t) => {
      const rates = ratesOf(config, plan, { factor: 1, learningRate, t });
      const sums = new Float64Array(2 * plan.tasks.length);
      for (const [index, task] of plan.tasks.entries()) {
        bench.run(task, { weights, gradient, state }, rates, sums.subarray(2 * index));
      }
      return normsOf(model, plan.tasks, sums);
    },
  };
}

export function stateOf(plan: Plan, allocate: (length: number) => Float32Array): OptimizerState {
  return Object.fromEntries(Object.entries(plan.state).map(([name, length]) => [name, allocate(length)]));
}

/** What the tasks wrote, two sums each, added over each parameter in the order of the tasks. */
export function normsOf(model: Layout, tasks: readonly Task[], sums: Float64Array): UpdateNorms {
  const count = model.parameters.length;
  const norms = { update: new Float64Array(count), weights: new Float64Array(count) };
  for (const [index, { parameter }] of tasks.entries()) {
    norms.update[parameter] += sums[2 * index];
    norms.weights[parameter] += sums[2 * index + 1];
  }
  return norms;
}

/**
 * Puts the optimiser into the state that a checkpoint holds.
 * @throws UserError where the state is another optimiser's or another model's
 */
export function restoreState(
  { name, state }: Pick<Optimizer, 'name' | 'state'>,
  saved: Readonly<Record<string, Float32Array>>,
): void {
  const wanted = Object.keys(state).sort().join(', ');
  const found = Object.keys(saved).sort().join(', ');
  if (wanted !== found) {
    throw new UserError(`The optimiser state holds ${found || 'nothing'}, but ${name} needs ${wanted}.`);
  }
  for (const [key, values] of Object.entries(state)) {
    if (saved[key].length !== values.length) {
      throw new UserError(
        `The optimiser state ${key} has ${saved[key].length} values, but this model needs ${values.length}.`,
      );
    }
  }
  for (const [key, values] of Object.entries(state)) values.set(saved[key]);
}
