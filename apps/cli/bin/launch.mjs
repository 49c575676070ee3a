import { existsSync } from 'node:fs';

// In a clone the sources may be newer than what was built; an installed package has no sources.
const workspace = new URL('../../../scripts/workspace.mjs', import.meta.url);
if (existsSync(workspace)) {
  const { build } = await import(workspace);
  await build();
}
await import('../dist/main.js');
