#!/usr/bin/env node
import './require-node.mjs';

import('./launch.mjs').catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
