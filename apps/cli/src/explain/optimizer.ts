import { show, UserError } from '@manyhands/core/config';
import { type OptimizerConfig, optimizers } from '@manyhands/core/optim';
import { readJson } from '../input.js';

/** How the steps of an explanation are taken: one learning rate throughout, no schedule. */
export interface StepRule {
  readonly optimizer: OptimizerConfig;
  /** Largest global norm of the gradient; 0 switches clipping off. */
  readonly gradientClip: number;
  readonly steps: number;
}

/** What an explanation does where nothing else is asked for: the recipe of the presets. */
const usual: StepRule = {
  optimizer: { name: 'adamw', lr: 1e-3, betas: [0.9, 0.95], eps: 1e-8, weightDecay: 0.1 },
  gradientClip: 1,
  steps: 1,
};

/**
 * Reads an optimiser file: `{"name", "lr", "betas", "eps", "weight_decay", "momentum", "nesterov",
 * "clip_grad_norm", "steps"}`, every key optional; `steps` of the command line goes over the file's.
 * @throws UserError that names the file, the key, its value and what is allowed
 */
export function readStepRule(file: string | undefined, steps: number | undefined): StepRule {
  const json = file === undefined ? {} : readJson(file, '--optimizer');
  const read = <T>(key: string, otherwise: T, allowed: string, good: (value: unknown) => value is T): T => {
    const value: unknown = Object.hasOwn(json, key) ? Reflect.get(json, key) : otherwise;
    if (good(value)) return value;
    throw new UserError(`${file}: ${key} is ${show(value)}, but must be ${allowed}.`);
  };
  for (const key of Object.keys(json)) {
    if (!known.includes(key))
      throw new UserError(`${file}: ${key} is no key of an optimiser: ${known.join(', ')}.`);
  }
  const names = Object.keys(optimizers);
  const { optimizer } = usual;
  const momentum = read('momentum', undefined, 'from 0 up to, but not including, 1', isOptional(isBelowOne));
  const nesterov = read('nesterov', undefined, 'true or false', isOptional(isFlag));
  return {
    optimizer: {
      name: read('name', optimizer.name, `one of ${names.join(', ')}`, isName),
      lr: read('lr', optimizer.lr, 'a number from 0 up', isAtLeastZero),
      betas: read('betas', optimizer.betas, 'two numbers such as [0.9, 0.95]', isBetas),
      eps: read('eps', optimizer.eps, 'a number from 0 up', isAtLeastZero),
      weightDecay: read('weight_decay', optimizer.weightDecay, 'a number from 0 up', isAtLeastZero),
      ...(momentum === undefined ? {} : { momentum }),
      ...(nesterov === undefined ? {} : { nesterov }),
    },
    gradientClip: read('clip_grad_norm', usual.gradientClip, 'a number from 0 up', isAtLeastZero),
    steps: steps ?? read('steps', usual.steps, 'a whole number from 1 up', isCount),
  };
}

/** `decayed` says in words which tensors decay; there is only one rule, so it is not read. */
const known = ['name', 'lr', 'betas', 'eps', 'weight_decay', 'decayed', 'momentum', 'nesterov'].concat(
  'clip_grad_norm',
  'steps',
);

const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value);
const isAtLeastZero = (value: unknown): value is number => isNumber(value) && value >= 0;
const isBelowOne = (value: unknown): value is number => isAtLeastZero(value) && value < 1;
const isCount = (value: unknown): value is number => isNumber(value) && Number.isInteger(value) && value >= 1;
const isFlag = (value: unknown): value is boolean => typeof value === 'boolean';
const isName = (value: unknown): value is OptimizerConfig['name'] =>
  typeof value === 'string' && Object.hasOwn(optimizers, value);
const isBetas = (value: unknown): value is readonly [number, number] =>
  Array.isArray(value) && value.length === 2 && value.every(isBelowOne);

function isOptional<T>(good: (value: unknown) => value is T) {
  return (value: unknown): value is T | undefined => value === undefined || good(value);
}
