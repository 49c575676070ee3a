import type { Model } from '@manyhands/core/model';
import { type BatchShape, type MicroBatch, microBatchFromTokens } from '@manyhands/core/train';
import type { Assignment__Output, MicroBatch__Output, Welcome__Output } from '@manyhands/proto';
import type { GameBatch, Task, TaskBatch } from '@manyhands/tasks';
import type { LocalShards } from './shards.js';

export type LocalData = NonNullable<Awaited<ReturnType<LocalShards['find']>>>;

/** Kinds of shapes that a run has at most: whole and last micro-batches of training, and batches of evaluation. */
const MAXIMUM_SHAPES = 64;
/** Games in a micro-batch, which all take memory at once. */
const MAXIMUM_GAMES = 1024;

/** @throws Error where a shape is not what the task can take: a damaged or hostile message */
export function readShapes({ shapes }: Welcome__Output, task: Task): BatchShape[] {
  if (shapes.length > MAXIMUM_SHAPES) throw new Error(`${shapes.length} shapes of micro-batches came`);
  return shapes.map(({ sequences: batch, time, train }) => {
    demandFit(batch, time, task);
    return { batch, time, train };
  });
}

function demandFit(batch: number, time: number, task: Task): void {
  if (task.name === 'checkers') {
    const { maxMoves } = task.play;
    if (batch >= 1 && batch <= MAXIMUM_GAMES && time === maxMoves) return;
    throw new Error(`a micro-batch of ${batch} games of ${time} moves does not fit games of ${maxMoves}`);
  }
  const { context } = task.model.config;
  if (batch < 1 || time < 1 || time > context) {
    throw new Error(`a micro-batch of ${batch} × ${time} does not fit a context of ${context}`);
  }
}

/** @throws Error where a micro-batch is not what the task can take: a damaged or hostile message */
export function readAssignment(
  assignment: Assignment__Output,
  task: Task,
  data: LocalData | null,
): TaskBatch[] {
  const range = assignment.range ?? { first: 0, count: 0 };
  if (range.count < 1 || range.count !== assignment.microBatches.length) {
    throw new Error(`a range of ${range.count} micro-batches came with ${assignment.microBatches.length}`);
  }
  return assignment.microBatches.map((part, i) => {
    demandFit(part.batch, part.time, task);
    const index = range.first + i;
    return task.name === 'checkers' ? readGames(part, index) : readTokens(part, index, task.model, data);
  });
}

/** A game is a window whose offset is its number. */
function readGames({ batch, windows }: MicroBatch__Output, index: number): GameBatch {
  if (windows.length !== batch) throw new Error(`${windows.length} numbers came for ${batch} games`);
  return { index, games: windows.map(({ split, offset }) => ({ split: splitOf(split), number: offset })) };
}

function readTokens(
  part: MicroBatch__Output,
  index: number,
  model: Model,
  data: LocalData | null,
): MicroBatch {
  const { batch, time, windows } = part;
  // Before memory is taken for what is announced, that much must have come.
  const bytes = batch * (time + 1) * Int32Array.BYTES_PER_ELEMENT;
  if (windows.length > 0 && windows.length !== batch) {
    throw new Error(`${windows.length} windows came for ${batch} sequences`);
  }
  if (windows.length === 0 && part.tokens.length !== bytes) {
    throw new Error(`${part.tokens.length} bytes of tokens came where ${bytes} were expected`);
  }
  const tokens = new Int32Array(batch * (time + 1));
  if (windows.length > 0) {
    if (data === null) throw new Error('positions came instead of tokens, but no shards are here');
    for (const [row, { split, source, offset }] of windows.entries()) {
      tokens.set(data.tokens({ split: splitOf(split), source, offset }, time), row * (time + 1));
    }
  } else {
    for (let i = 0; i < tokens.length; i++) tokens[i] = part.tokens.readInt32LE(4 * i);
  }
  for (const token of tokens) {
    if (token < -1 || token >= model.config.vocab) {
      throw new Error(`token ${token} is not in a vocabulary of ${model.config.vocab}`);
    }
  }
  return microBatchFromTokens(index, tokens, batch, time);
}

function splitOf(split: 'TRAIN' | 'VALIDATION'): 'train' | 'validation' {
  return split === 'TRAIN' ? 'train' : 'validation';
}
