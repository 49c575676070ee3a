// A coordinator in a process of its own, to be attacked: `coordinator-process.js FOLDER`. Tells its join URL and every
// step; when asked, what memory it has.
import { join } from 'node:path';
import { startCoordinator } from '@manyhands/coordinator';
import { tinyConfig } from '../cluster/cluster.js';

export type Told = { readonly joinUrl: string } | { readonly step: number } | { readonly rss: number };

const [folder] = process.argv.slice(2);
const tell = (told: Told) => {
  if (process.connected) process.send?.(told);
};
const config = tinyConfig(folder, {
  run: { steps: 1_000_000, seed: 7, evalEvery: 0, checkpointEvery: 0, reproducible: true },
  cluster: { heartbeatSeconds: 0.2, lostAfterSeconds: 2, maxWorkers: 1000 },
});
const coordinator = await startCoordinator({
  config,
  out: join(folder, 'run'),
  resume: false,
  listen: '127.0.0.1:0',
  report: (event) => {
    if (event.kind === 'step') tell({ step: event.step });
  },
});
process.on('message', () => tell({ rss: process.memoryUsage.rss() }));
process.on('disconnect', () => process.exit(0));
tell({ joinUrl: coordinator.joinUrl });
