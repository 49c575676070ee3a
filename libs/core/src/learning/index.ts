export { median, robustly } from './robust.js';
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
