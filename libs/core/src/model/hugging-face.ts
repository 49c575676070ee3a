import { z } from 'zod';
import { show, UserError } from '../config/index.js';

/** An extent: bounded, so that a hostile file cannot ask for a table of parameters without end. */
export const positive = (most = 2 ** 24) => {
  const allowed = `must be a whole number from 1 to ${most}`;
  return z.int({ error: allowed }).min(1, allowed).max(most, allowed);
};

/** A key that changes the computation: only one value is what we compute. Absent or null is that value. */
export const required = <const T extends string | boolean>(value: T) =>
  z.literal(value, { error: `only ${JSON.stringify(value)} is supported` }).nullish();

/**
 * Parses a config.json by its architecture's schema.
 * @throws UserError with one sentence: the first key that is wrong, its value, what is allowed
 */
export function parseHuggingFace<T>(schema: z.ZodType<T>, json: unknown): T {
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const value = issue.path.reduce<unknown>(
    (at, key) => (typeof at === 'object' && at !== null ? Reflect.get(at, key) : undefined),
    json,
  );
  const message = issue.message.charAt(0).toLowerCase() + issue.message.slice(1);
  throw new UserError(`config.json: ${issue.path.join('.') || 'the file'} is ${show(value)}: ${message}.`);
}
