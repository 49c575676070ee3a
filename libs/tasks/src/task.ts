import type { Kernels } from '@manyhands/core/kernels';
import { createModel, type Model, modelHash, parseModelConfig } from '@manyhands/core/model';
import { Learner, type MicroBatch } from '@manyhands/core/train';
import { type GameBatch, GameLesson } from './checkers/game-lesson.js';
import { type CheckersTask, checkersFromJson, checkersHash, checkersToJson } from './checkers/task.js';

/** What a run learns. The coordinator says it to every worker; everything that differs between tasks follows from it. */
export type Task = LanguageTask | CheckersTask;

export interface LanguageTask {
  readonly name: 'language';
  readonly model: Model;
}

/** A micro-batch of either: tokens, or the numbers of games to play. */
export type TaskBatch = MicroBatch | GameBatch;

export function languageTask(model: Model): LanguageTask {
  return { name: 'language', model };
}

/** As the wire carries it: a language model's config stands for itself. */
export function taskToJson(task: Task): string {
  return task.name === 'language' ? JSON.stringify(task.model.config) : checkersToJson(task);
}

/**
 * Reads what another machine sent.
 * @throws Error with one sentence where it is no task
 */
export function taskFromJson(text: string): Task {
  return checkersFromJson(text) ?? languageTask(createModel(parseModelConfig(text)));
}

/** sha256 over all that decides what is computed: equal hashes, equal functions of weights and micro-batches. */
export function taskHash(task: Task): string {
  return task.name === 'language' ? modelHash(task.model) : checkersHash(task);
}

/** @param options.recompute see Learner.create */
export function learnerOf(
  task: Task,
  kernels: Kernels,
  options: { readonly recompute: boolean },
): Learner<TaskBatch> {
  if (task.name === 'language') return Learner.create(kernels, task.model, options);
  return new Learner<GameBatch>(kernels, task.model, (bench) => new GameLesson(task, bench));
}
