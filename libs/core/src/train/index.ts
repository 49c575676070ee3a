export { type GradientResult, Learner } from './learner.js';
export { type MicroBatch, microBatchFromTokens } from './micro-batch.js';
