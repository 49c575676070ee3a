import type { Judge } from './judge.js';
import type { Scenario } from './scenario.js';
import type { Dice, Timeline } from './timeline.js';

/** What all parts of a simulation share. */
export interface World {
  readonly scenario: Scenario;
  readonly timeline: Timeline;
  readonly dice: Dice;
  readonly judge: Judge;
  /** Takes a line for the trace; null where nobody reads it. */
  readonly say: ((line: string) => void) | null;
  /** Whether such a mishap happens now; none does once faults are over. */
  chance(of: keyof Scenario['chances']): boolean;
}
