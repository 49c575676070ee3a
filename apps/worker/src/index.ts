export { startWorker, type WorkerOptions } from './worker.js';
