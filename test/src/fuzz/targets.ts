import { planted } from './planted.js';
import type { Target } from './target.js';
import { checkpointTargets } from './targets/checkpoint.js';
import { dataTargets } from './targets/data.js';
import { serviceTargets } from './targets/service.js';
import { textTargets } from './targets/text.js';
import { wireTargets } from './targets/wire.js';

/** Everything that reads what a stranger may have written. */
export const targets: Readonly<Record<string, Target>> = {
  ...wireTargets,
  ...dataTargets,
  ...checkpointTargets,
  ...textTargets,
  ...serviceTargets,
};

/** With those that are broken on purpose. */
export const everyTarget: Readonly<Record<string, Target>> = { ...targets, ...planted };

/** So many inputs in all, by share; what does not divide goes to the first ones. */
export function shareOut(inputs: number): [string, number][] {
  const entries = Object.entries(targets);
  const all = entries.reduce((sum, [, { share }]) => sum + share, 0);
  const counts = entries.map(([name, { share }]): [string, number] => [
    name,
    Math.floor((inputs * share) / all),
  ]);
  const left = inputs - counts.reduce((sum, [, count]) => sum + count, 0);
  return counts.map(([name, count], index) => [name, count + (index < left ? 1 : 0)]);
}
