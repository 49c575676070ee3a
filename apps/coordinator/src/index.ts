export { type CoordinatorOptions, startCoordinator } from './coordinator.js';
export { encoderSpec } from './encoder.js';
export type { RunEvent, RunSummary } from './events.js';
