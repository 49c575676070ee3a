import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Model, ModelConfig } from './types.js';

const extent = z
  .int()
  .min(1)
  .max(2 ** 24);

const schema = z.strictObject({
  arch: z.enum(['gpt2', 'llama']),
  // Each takes a dozen rows of a table, before anything is known to be there for them.
  layers: z.int().min(1).max(1024),
  heads: extent,
  kvHeads: extent,
  channels: extent,
  hidden: extent,
  context: extent,
  vocab: extent,
  dropout: z.number().min(0).lt(1),
  tieEmbeddings: z.boolean(),
  activation: z.enum(['gelu_new', 'gelu', 'silu']),
  epsilon: z.number().positive(),
  ropeTheta: z.number().positive(),
}) satisfies z.ZodType<ModelConfig>;

/**
 * Reads a model's config that another machine sent as JSON.
 * @throws Error with one sentence where it is not one
 */
export function parseModelConfig(text: string): ModelConfig {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new Error('the model’s config is not JSON');
  }
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new Error(`the model’s config has a bad ${issue.path.join('.') || 'form'}: ${issue.message}`);
}

/** sha256 over all that decides what a model computes: equal hashes, equal functions of weights and tokens. */
export function modelHash({ config, parameters }: Model): string {
  const rows = parameters.map(({ name, shape, offset }) => [name, shape, offset]);
  const entries = Object.entries(config).sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash('sha256')
    .update(JSON.stringify([entries, rows]))
    .digest('hex');
}
