export { type BatchShape, type GradientResult, Learner, type SumResult } from './learner.js';
export { type MicroBatch, microBatchFromTokens } from './micro-batch.js';
