import { startWorker } from '@manyhands/worker';

/** A worker in a process of its own, for tests that kill it: `node worker-process.js THREADS`, join URL in the environment. */
await startWorker({
  ...(process.env.MANYHANDS_TRACE ? { trace: process.env.MANYHANDS_TRACE } : {}),
  join: process.env.MANYHANDS_JOIN ?? '',
  threads: Number(process.argv[2]),
  backend: 'cpu',
  name: 'outside',
  report: () => {},
}).done;
