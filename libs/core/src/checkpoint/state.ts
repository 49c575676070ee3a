import { createHash } from 'node:crypto';
import { z } from 'zod';
import { firstProblem } from '../config/index.js';
import type { SteeringState } from '../learning/index.js';

/** Everything of a run besides its weights and its optimiser; the data's position follows from seed and step. */
export interface TrainingState {
  /** Steps done. */
  readonly step: number;
  readonly seed: number;
  /** Steps whose gradient was finite, which is what the optimiser counts. */
  readonly appliedSteps: number;
  readonly skippedSteps: number;
  readonly tokensSeen: number;
  /** In nats per token; null before the first evaluation. */
  readonly bestValidationLoss: number | null;
  readonly bestStep: number | null;
  /** What steering remembers; a rollback goes to one of the steps that it names. */
  readonly steering?: SteeringState | undefined;
  /** Length of metrics.jsonl when the checkpoint was made. */
  readonly metricsBytes?: number | undefined;
  /** Of what made it: `manyhands`, `node` … */
  readonly versions: Readonly<Record<string, string>>;
  readonly weightsSha256: string;
  /** sha256 of every other file of the checkpoint, by name. */
  readonly files: Readonly<Record<string, string>>;
}

const count = z.int().min(0);
const sha = z.string().regex(/^[0-9a-f]{64}$/, 'no sha256 of 64 hex digits');
const window = z.array(z.number()).max(10000);
const steering: z.ZodType<SteeringState> = z.strictObject({
  first: z.number().nullable(),
  losses: window,
  gradNorms: window,
  inARow: count,
  rateFactor: z.number().min(0).max(1),
  rollbacks: count,
  good: count,
  candidate: count.nullable(),
});
const trainingState: z.ZodType<TrainingState> = z.strictObject({
  step: count,
  seed: z.int().min(0).max(4294967295),
  appliedSteps: count,
  skippedSteps: count,
  tokensSeen: count,
  bestValidationLoss: z.number().nullable(),
  bestStep: count.nullable(),
  steering: steering.optional(),
  metricsBytes: count.optional(),
  versions: z.record(z.string(), z.string()),
  weightsSha256: sha,
  files: z.record(z.string().regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$/, 'no plain file name'), sha),
});

/** state.json: the state, and the sha256 of its own text up to that line. */
export function stateToJson(state: TrainingState): string {
  const body = JSON.stringify(state, null, 2).replace(/\n}$/, '');
  return `${body},\n  "sha256": "${hashOf(body)}"\n}\n`;
}

/**
 * The state in a state.json, or the reason why it cannot be trusted, with both hashes: a single bit that differs
 * from what was written is found.
 */
export function stateFromJson(text: string): TrainingState | { readonly reason: string } {
  const match = /^([\s\S]*),\n {2}"sha256": "([0-9a-f]{64})"\n}\n$/.exec(text);
  if (!match) return { reason: 'state.json is not as it was written: its own sha256 is not at its end' };
  const [, body, expected] = match;
  const actual = hashOf(body);
  if (actual !== expected)
    return { reason: `state.json has sha256 ${actual}, but was written with ${expected}` };
  let value: unknown;
  try {
    value = JSON.parse(`${body}\n}`);
  } catch {
    return { reason: 'state.json is not JSON' };
  }
  const parsed = trainingState.safeParse(value);
  if (parsed.success) return parsed.data;
  return { reason: `state.json holds no training state of this version: ${firstProblem(parsed.error)}` };
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
