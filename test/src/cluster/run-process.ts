import { parseConfig } from '@manyhands/core/config';
import { run } from './cluster.js';

/** A whole run in a process of its own, for tests that kill it: `node run-process.js OUT`, the config as JSON in the environment. */
await run(parseConfig(JSON.parse(process.env.MANYHANDS_CONFIG ?? '')), process.argv[2], { threads: [1] });
