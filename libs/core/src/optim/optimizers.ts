import { UserError } from '../config/index.js';
import type { Model } from '../model/index.js';
import { adamw } from './adamw.js';
import { muon } from './muon.js';
import { sgd } from './sgd.js';
import type { Optimizer, OptimizerConfig } from './types.js';

/** Every optimiser. To add one: a file like its neighbours, a line here, its name in OptimizerConfig. */
export const optimizers: Readonly<
  Record<OptimizerConfig['name'], (config: OptimizerConfig, model: Model) => Optimizer>
> = { adamw, sgd, muon };

export function createOptimizer(config: OptimizerConfig, model: Model): Optimizer {
  return optimizers[config.name](config, model);
}

/**
 * Puts the optimiser into the state that a checkpoint holds.
 * @throws UserError where the state is another optimiser's or another model's
 */
export function restoreState(optimizer: Optimizer, saved: Readonly<Record<string, Float32Array>>): void {
  const wanted = Object.keys(optimizer.state).sort().join(', ');
  const found = Object.keys(saved).sort().join(', ');
  if (wanted !== found) {
    throw new UserError(
      `The optimiser state holds ${found || 'nothing'}, but ${optimizer.name} needs ${wanted}.`,
    );
  }
  for (const [name, values] of Object.entries(optimizer.state)) {
    if (saved[name].length !== values.length) {
      throw new UserError(
        `The optimiser state ${name} has ${saved[name].length} values, but this model needs ${values.length}.`,
      );
    }
  }
  for (const [name, values] of Object.entries(optimizer.state)) values.set(saved[name]);
}
