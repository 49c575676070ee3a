import { totalmem } from 'node:os';
import { microBatchCount, microBatchSize, type RunConfig, UserError } from '@manyhands/core/config';
import type { BackendChoice } from '@manyhands/core/kernels';
import {
  createModel,
  isLanguageModel,
  type MemoryEstimate,
  memoryEstimate,
  resolveModelConfig,
  valueMemoryEstimate,
} from '@manyhands/core/model';
import { checkersTask, type Task } from '@manyhands/tasks';
import { bytes, plural } from './format.js';
import { expectedVocabulary } from './vocabulary.js';

/** The worker processes of a run on this machine. */
export interface LocalMachine {
  readonly workers: number;
  /** Of each worker. */
  readonly threads: number;
  readonly backend: BackendChoice;
}

/** Bytes that a run needs. */
export interface MemoryNeed {
  /** What a thread computes in: its weights, a sum of gradients, the activations of a micro-batch. */
  readonly workspace: number;
  /** A thread in whole, with the sum that it hands over. */
  readonly thread: number;
  /** A worker process without its threads: two versions of the weights in shared memory. */
  readonly worker: number;
  readonly coordinator: number;
}

/** A Node process with its libraries before it holds a weight, and a thread of one, as measured. */
const PROCESS_BYTES = 180e6;
const THREAD_BYTES = 20e6;

/** Where a thread's memory ends: a WebAssembly memory has 2¹⁶ pages of 64 KiB. */
const WORKSPACE_LIMIT = 2 ** 32;

/** Arrays as long as the weights that an optimiser remembers, at most. */
const optimizerArrays: Readonly<Record<RunConfig['optimizer']['name'], number>> = {
  adamw: 2,
  muon: 2,
  sgd: 1,
};

/** What training `model` under `config` needs, each part by itself. */
export function memoryNeed(model: Task['model'], config: RunConfig, machine: LocalMachine): MemoryNeed {
  const size = Math.min(microBatchSize(config), config.batch.sequences);
  const { recompute } = config.batch;
  const estimate = (count: number): MemoryEstimate =>
    isLanguageModel(model)
      ? memoryEstimate(model, size, config.model.context, count, recompute)
      : valueMemoryEstimate(model, size * config.task.maxMoves, count);
  const count = microBatchCount(config);
  const threads = Math.max(1, machine.workers * machine.threads);
  // A thread sums its share of the batch, the coordinator what the workers send: a sum or a few from each.
  const { thread } = estimate(Math.ceil(count / threads));
  const sums = machine.workers === 0 ? count : Math.min(count, machine.workers);
  const { weights, reduction } = estimate(sums);
  const remembered = optimizerArrays[config.optimizer.name];
  return {
    workspace: thread,
    thread: THREAD_BYTES + thread + weights,
    worker: PROCESS_BYTES + 2 * weights,
    // Weights, two versions of them that are being sent, a sum of each worker in the memory that they share, what the
    // optimiser remembers; and while a checkpoint is written beside the steps, a copy of what it holds.
    coordinator: PROCESS_BYTES + (3 + machine.workers + remembered + 1 + remembered) * weights + reduction,
  };
}

/**
 * What a run will need, before it starts: said in a sentence, and refused where this machine has not so much.
 * @throws UserError that names what to lower; what the model or the tokenizer is refused for
 */
export async function checkMemory(config: RunConfig, out: string, machine: LocalMachine): Promise<string> {
  const need = memoryNeed(await expectedModel(config, out), config, machine);
  refuseTooLarge(need, config, machine, machineMemory());
  return tellNeed(need, machine);
}

/** The model that a run will have, to reckon with before its text is read. */
async function expectedModel(config: RunConfig, out: string): Promise<Task['model']> {
  if (config.task.name === 'checkers') return checkersTask(config).model;
  const vocab = await expectedVocabulary(config, out);
  return createModel(resolveModelConfig({ ...config.model, vocab }));
}

/** A run on one machine in whole. */
export function totalNeed(need: MemoryNeed, { workers, threads }: LocalMachine): number {
  return need.coordinator + workers * (need.worker + threads * need.thread);
}

/** One sentence for before the run; a machine without workers is a cluster's coordinator. */
export function tellNeed(need: MemoryNeed, machine: LocalMachine): string {
  const [thread, coordinator, total] = [need.thread, need.coordinator, totalNeed(need, machine)].map(bytes);
  const threads = machine.workers * machine.threads;
  if (threads === 0) return `this needs ${coordinator} here and ${thread} for each thread of a worker`;
  const each = threads === 1 ? 'its thread' : `each of ${plural(threads, 'thread')}`;
  return `this needs ${thread} for ${each} and ${coordinator} for the coordinator, ${total} in all`;
}

/** Memory that this process and its children may have: the machine's, or less where a container sets a limit. */
export function machineMemory(): number {
  const limit = process.constrainedMemory();
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem();
}

/**
 * Holds a run's need against what there is.
 * @param available bytes, see machineMemory
 * @throws UserError that names what to lower
 */
export function refuseTooLarge(
  need: MemoryNeed,
  config: RunConfig,
  machine: LocalMachine,
  available: number,
): void {
  const threads = machine.workers * machine.threads;
  // A GPU's memory is not ours to measure: it says itself when it is full.
  if (threads > 0 && machine.backend !== 'gpujs' && need.workspace > WORKSPACE_LIMIT) {
    throw new UserError(
      `A thread would need ${bytes(need.workspace)}, but its WebAssembly memory ends at ${bytes(WORKSPACE_LIMIT)}: ${whatToLower(config, 1)}.`,
    );
  }
  const total = totalNeed(need, machine);
  if (total <= available) return;
  const fixed = totalNeed(need, { ...machine, threads: 0 });
  const advice =
    fixed > available
      ? `${machine.workers > 1 ? 'lower --workers, or ' : ''}take a smaller model, with ${config.task.name === 'checkers' ? 'a smaller task.hidden' : 'fewer model.layers or model.channels'}`
      : whatToLower(config, threads);
  const parts = [
    ...(threads > 0 ? [`${plural(threads, 'thread')} of ${bytes(need.thread)}`] : []),
    `the coordinator ${bytes(need.coordinator)}`,
  ];
  throw new UserError(
    `This run needs ${bytes(total)} (${parts.join(', ')}), but this machine has ${bytes(available)}: ${advice}.`,
  );
}

/** What of a run's memory a person can save, the cheapest first. */
function whatToLower(config: RunConfig, threads: number): string {
  const size = microBatchSize(config);
  const game = config.task.name === 'checkers';
  const ways = [
    ...(threads > 1 ? ['lower --threads'] : []),
    ...(size > 1 ? [`lower batch.microBatch, ${size}`] : []),
    ...(config.batch.recompute || game ? [] : ['set batch.recompute: true']),
    game ? `lower task.maxMoves, ${config.task.maxMoves}` : `lower model.context, ${config.model.context}`,
  ];
  return ways.length === 1 ? ways[0] : `${ways.slice(0, -1).join(', ')}, or ${ways[ways.length - 1]}`;
}
