export type { GameBatch, GameNumber } from './checkers/game-lesson.js';
export { type LearnedWeight, learnedWeights } from './checkers/learned.js';
export { type CheckersTask, checkersTask, evaluationOf, type PlayOptions } from './checkers/task.js';
export {
  languageTask,
  learnerOf,
  type Task,
  type TaskBatch,
  taskFromJson,
  taskHash,
  taskToJson,
} from './task.js';
