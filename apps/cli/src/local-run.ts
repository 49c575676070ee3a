import path from 'node:path';
import { type RunEvent, type RunSummary, startCoordinator } from '@manyhands/coordinator';
import { type RunConfig, RunError } from '@manyhands/core/config';
import type { BackendChoice } from '@manyhands/core/kernels';
import type { Display } from './display.js';
import { Interrupt } from './interrupt.js';
import { LocalWorkers } from './local-workers.js';

/** The worker processes of a run on this machine. */
export interface LocalMachine {
  readonly workers: number;
  /** Of each worker. */
  readonly threads: number;
  readonly backend: BackendChoice;
}

export interface LocalRun {
  readonly config: RunConfig;
  readonly out: string;
  readonly resume: boolean;
  readonly machine: LocalMachine;
  readonly display: Display;
  /** Told every event, beside the display. */
  readonly watch?: (event: RunEvent) => void;
}

/**
 * A whole run: a coordinator in this process and its worker processes. Ctrl-C finishes the step and saves.
 * @throws RunError where no worker is left; what startCoordinator throws
 */
export async function runLocally({
  config,
  out,
  resume,
  machine,
  display,
  watch,
}: LocalRun): Promise<RunSummary> {
  let running: Awaited<ReturnType<typeof startCoordinator>> | null = null;
  let workers: LocalWorkers | null = null;
  let failure: string | null = null;
  // Before the run is open there is nothing to save: then the first Ctrl-C leaves at once.
  const interrupt = new Interrupt(
    () => {
      if (running === null) return interrupt.leave();
      display.status('interrupted: finishing this step and saving (Ctrl-C again leaves at once)');
      running.stop();
    },
    () => workers?.kill(),
  );
  try {
    running = await startCoordinator({
      config,
      out,
      resume,
      listen: '127.0.0.1:0',
      report: (event) => {
        display.report(event);
        watch?.(event);
      },
    });
    workers = new LocalWorkers({
      join: running.joinUrl,
      count: machine.workers,
      threads: machine.threads,
      backend: machine.backend,
      shards: path.join(out, 'data'),
      status: (text) => display.status(text),
      warn: (text) => display.warn(text),
      hopeless: (reason) => {
        failure = reason;
        running?.stop();
      },
    });
    const summary = await running.done;
    if (failure !== null) {
      throw new RunError(
        `No worker is left (${failure}); the run is saved in ${out} at step ${summary.step}.`,
      );
    }
    return summary;
  } finally {
    await workers?.end();
    interrupt.dispose();
  }
}
