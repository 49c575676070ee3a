// A reporter of node:test inside a test file's own process: each result as a line of JSON.
import { inspect } from 'node:util';

export default async function* lines(source) {
  for await (const { type, data } of source) {
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    if (data.details?.type === 'suite' && type === 'test:pass') continue;
    const { name, nesting, skip, todo } = data;
    const { duration_ms: milliseconds = 0, error } = data.details ?? {};
    const cause = error?.cause ?? error;
    const reason = type === 'test:fail' ? (cause?.stack ?? inspect(cause)) : undefined;
    yield `${JSON.stringify({ name, nesting, milliseconds, skip: skip ?? todo, reason })}\n`;
  }
}
