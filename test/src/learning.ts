import { join } from 'node:path';
import { readJournal } from '@manyhands/core/checkpoint';

/** Keys of metrics.jsonl that tell of time, traffic and workers. */
const MEASURED = [
  'tokensPerSecond',
  'secondsPerStep',
  'workers',
  'crew',
  'bytesReceived',
  'bytesSent',
] as const;

/** What a run learned: losses and norms of its steps, and every figure of its evaluations. */
export function learning(out: string): Record<string, unknown>[] {
  const measured: readonly string[] = MEASURED;
  return readJournal(join(out, 'metrics.jsonl')).map((line) =>
    Object.fromEntries(Object.entries(line).filter(([key]) => !measured.includes(key))),
  );
}
