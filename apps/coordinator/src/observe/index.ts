export { addHealth, type Health } from './health.js';
export type { RunSample, WorkerSample } from './metrics.js';
export { type Observer, type ObserverOptions, startObserver } from './observer.js';
