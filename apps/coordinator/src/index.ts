export { type CoordinatorOptions, startCoordinator } from './coordinator.js';
export type { RunEvent, RunSummary } from './events.js';
