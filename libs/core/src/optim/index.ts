export { applyStep, type Step, type StepResult } from './apply-step.js';
export { clipByGlobalNorm, globalNorm } from './clip.js';
export { createOptimizer, optimizers, restoreState } from './optimizers.js';
export { learningRate, type ScheduleConfig, schedules } from './schedules.js';
export type { Optimizer, OptimizerConfig, UpdateNorms } from './types.js';
