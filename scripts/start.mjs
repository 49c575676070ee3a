// `npm start`: from a fresh clone to a model that was trained on Moby-Dick, by two worker processes, on this machine.
import '../apps/cli/bin/require-node.mjs';

const { build, install } = await import('./workspace.mjs');
await install();
await build();
const { firstRun } = await import('./first-run.mjs');
process.exit(await firstRun());
