// `npm test [-- PATH…]`: installs, builds and runs every compiled test, or those whose path contains a PATH.
import '../apps/cli/bin/require-node.mjs';

const { build, install } = await import('./workspace.mjs');
await install();
await build();
const { runTests } = await import('./run-tests.mjs');
process.exit(await runTests(process.argv.slice(2)));
