export { applyStep, type Step, type StepResult, skippedStep, type UpdateRatio } from './apply-step.js';
export { clipByGlobalNorm, globalNorm } from './clip.js';
export { createOptimizer, optimizers, restoreState } from './optimizers.js';
export { decayedAt, learningRate, type ScheduleConfig, schedules } from './schedules.js';
export { createStepper, type Stepper, type StepperStep } from './stepper.js';
export { BLOCK } from './tasks.js';
export type { Optimizer, OptimizerConfig, OptimizerState, UpdateNorms } from './types.js';
