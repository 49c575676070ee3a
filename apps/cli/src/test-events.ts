import type { RunEvent } from '@manyhands/coordinator';

/** For tests: a step of a run of 100. */
export function step(number: number, more: Partial<Extract<RunEvent, { kind: 'step' }>> = {}): RunEvent {
  return {
    kind: 'step',
    step: number,
    steps: 100,
    loss: 2.5,
    learningRate: 0.001,
    gradNorm: 1,
    updateRatio: null,
    tokens: 768,
    tokensPerSecond: 12_345,
    unit: 'tokens',
    secondsPerStep: 0.06,
    workers: 2,
    crew: 2,
    secondsLeft: 65,
    ...more,
  };
}
