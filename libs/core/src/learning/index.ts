export { type Baselines, COUNTED_TOKENS, NgramModel } from './baselines.js';
export { type Convergence, type ConvergenceConfig, type Evidence, judgeConvergence } from './convergence.js';
export { DocumentMean, type MeanLoss } from './document-mean.js';
export { LossProfile, type Profile, type Range } from './loss-profile.js';
export { describeOverfitting, type Gap, gapOf, type Overfitting, overfitting } from './overfitting.js';
export { type Proposal, proposeRate, type RangePoint } from './range-test.js';
export { median, robustly } from './robust.js';
export { intervalOf, mixed, type Shift, Surprise, shiftOf, type Verdict, verdictOf } from './shift.js';
export {
  type Alarm,
  checkpointed,
  DIVERGED_AFTER,
  initialSteering,
  judge,
  MOST_SKIPPED,
  rolledBack,
  type SteeringConfig,
  type SteeringState,
} from './steering.js';
export { type Point, type Trend, trendOf } from './trend.js';
