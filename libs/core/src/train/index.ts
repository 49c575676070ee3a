export { type GradientResult, Learner, type Place, type SumResult } from './learner.js';
export type { BatchShape, Bench, Lesson, Outcome } from './lesson.js';
export { type MicroBatch, microBatchFromTokens } from './micro-batch.js';
