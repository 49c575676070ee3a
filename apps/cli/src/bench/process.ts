import { measure } from './measure.js';
import type { BenchCase, BenchEffort, ProcessMessage } from './types.js';

const answer = (message: ProcessMessage) =>
  process.send?.(message, undefined, undefined, () => process.exit());

// Nobody is left to tell.
process.once('disconnect', () => process.exit());
process.once('message', ({ bench, effort }: { bench: BenchCase; effort: BenchEffort }) => {
  measure(bench, effort).then(
    (result) => answer({ kind: 'result', result }),
    (error) => answer({ kind: 'failed', message: error instanceof Error ? error.message : String(error) }),
  );
});
