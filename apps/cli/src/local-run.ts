import path from 'node:path';
import type { RunEvent, RunSummary } from '@manyhands/coordinator';
import { type RunConfig, RunError } from '@manyhands/core/config';
import { SharedMemory } from '@manyhands/proto';
import { LocalTrace } from './local-trace.js';
import { LocalWorkers } from './local-workers.js';
import type { Teller } from './log.js';
import type { LocalMachine } from './memory.js';
import { ownRun } from './own-run.js';

export interface LocalRun {
  readonly config: RunConfig;
  readonly out: string;
  readonly resume: boolean;
  readonly machine: LocalMachine;
  readonly display: Teller;
  /** A file for the trace of all processes. */
  readonly trace?: string | undefined;
  /** Told every event, beside the display. */
  readonly watch?: (event: RunEvent) => void;
}

/**
 * A whole run: a coordinator in this process and its worker processes. Ctrl-C finishes the step and saves.
 * @throws RunError where no worker is left; what ownRun throws
 */
export async function runLocally({
  config,
  out,
  resume,
  machine,
  display,
  trace: traceFile,
  watch,
}: LocalRun): Promise<RunSummary> {
  const trace = traceFile === undefined ? null : new LocalTrace(traceFile);
  let workers: LocalWorkers | null = null;
  let failure: string | null = null;
  const memory = SharedMemory.create();
  const options = {
    config,
    out,
    resume,
    listen: '127.0.0.1:0',
    ...(memory && { shared: { memory, workers: machine.workers } }),
    ...(trace && { trace: trace.part('coordinator') }),
    report: (event: RunEvent) => {
      display.report(event);
      watch?.(event);
    },
  };
  const running = await ownRun('train', options, display, () => workers?.kill());
  try {
    workers = new LocalWorkers({
      join: running.joinUrl,
      count: machine.workers,
      threads: machine.threads,
      backend: machine.backend,
      shards: path.join(out, 'data'),
      memory,
      trace,
      status: (text) => display.status(text),
      warn: (text) => display.warn(text),
      hopeless: (reason) => {
        failure = reason;
        running.stop();
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
    memory?.close();
    running.interrupt.dispose();
    // A run that is done and saved stays so.
    await trace?.merge().catch((error) => display.warn(`the trace could not be written: ${error.message}`));
  }
}
