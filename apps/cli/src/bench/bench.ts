import { fork } from 'node:child_process';
import { RunError } from '@manyhands/core/config';
import type { BenchCase, BenchEffort, BenchResult, ProcessMessage } from './types.js';

/**
 * Measures one case in a process of its own, whose memory is then that case's alone.
 * @throws RunError where the backend is not available here, or the process dies
 */
export function bench(what: BenchCase, effort: BenchEffort): Promise<BenchResult> {
  const child = fork(new URL('./process.js', import.meta.url), [], {
    // Where results are read from standard output, nothing else may be there.
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  return new Promise((resolve, reject) => {
    child.once('message', (message: ProcessMessage) => {
      if (message.kind === 'result') resolve(message.result);
      else reject(new RunError(message.message));
    });
    child.once('error', reject);
    child.once('exit', (status, signal) =>
      reject(new RunError(`the process that measured ended with ${signal ?? `status ${status}`}`)),
    );
    child.send({ bench: what, effort });
  });
}
