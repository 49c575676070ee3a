import { readFileSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { type RunConfig, UserError } from '@manyhands/core/config';
import { modelHash } from '@manyhands/core/model';
import { startTrace, writeTrace } from '@manyhands/core/trace';
import { formatJoinUrl, listen, type Server, type SharedMemory } from '@manyhands/proto';
import { isLoopback, parseAddress, reachable, tryAddress } from './address.js';
import { Choices } from './choices.js';
import { Conductor } from './conductor.js';
import type { RunEvent, RunSummary } from './events.js';
import { openRun } from './open-run.js';
import { createService } from './service.js';
import { joinToken } from './token.js';
import { WeightsFeed } from './weights-feed.js';

export interface CoordinatorOptions {
  readonly config: RunConfig;
  /** The run directory. */
  readonly out: string;
  readonly resume: boolean;
  /** HOST:PORT; port 0 takes any free one. */
  readonly listen: string;
  /** Allows plain-text gRPC beyond the loopback interface. */
  readonly insecure?: boolean;
  readonly minWorkers?: number;
  /** A file for what was done when, in Chrome's trace format. */
  readonly trace?: string;
  /** Shared with so many workers of this machine; the caller closes it. */
  readonly shared?: { readonly memory: SharedMemory; readonly workers: number } | undefined;
  report(event: RunEvent): void;
  /** Ends the opening of the run; later, `stop` does. */
  readonly signal?: AbortSignal;
}

const { version }: { version: string } = JSON.parse(
  readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
);

/**
 * Opens a run and serves it until it is done. `stop` ends it after the step under way, saved.
 * @throws UserError for bad input, the signal's reason where it came before the run was open
 */
export async function startCoordinator(
  options: CoordinatorOptions,
): Promise<{ joinUrl: string; done: Promise<RunSummary>; stop(): void }> {
  const { out, resume, report } = options;
  const address = parseAddress(options.listen);
  const { host } = address;
  if (!isLoopback(host) && options.insecure !== true) {
    throw new UserError(
      `--listen ${options.listen} is reachable from other machines, but the connection is not encrypted: use 127.0.0.1, or --insecure on a network that you trust.`,
    );
  }
  await tryAddress(address);
  const { minWorkers, signal } = options;
  const config: RunConfig =
    minWorkers === undefined
      ? options.config
      : { ...options.config, cluster: { ...options.config.cluster, minWorkers } };
  const { trace } = options;
  if (trace !== undefined) startTrace('coordinator');
  const run = await openRun({ config, out, resume, software: version, report, signal });
  try {
    const token = joinToken(out, resume);
    const choices = new Choices(out, resume, !config.run.reproducible);
    const shared = openShared(options, run.model.size);
    const feed = new WeightsFeed(
      run.trainer.weights,
      (bytes) => conductor.sent(bytes),
      shared?.weights ?? null,
    );
    const conductor: Conductor = new Conductor(run, feed, report);
    const service = createService(
      token,
      {
        run: basename(resolve(out)),
        model: JSON.stringify(run.model.config),
        modelHash: modelHash(run.model),
        seed: config.run.seed,
        reproducible: config.run.reproducible,
        heartbeatSeconds: config.cluster.heartbeatSeconds,
        dataHash: run.data.dataHash,
        shapes: conductor.shapes,
        recompute: config.batch.recompute,
        size: run.model.size,
      },
      feed,
      shared?.sums ?? [],
      choices,
      conductor,
    );
    const bound = await listen(service.server, host, address.port).catch((error) => {
      conductor.abandon();
      throw error;
    });
    const close = async (reason: string) => {
      service.finish(reason);
      await shutDown(service.server);
      await run.close();
      if (trace !== undefined) await writeTrace(trace);
    };
    const done = conductor.done.then(
      async (summary) => {
        await close(summary.reason);
        return summary;
      },
      async (error) => {
        await close(error.message);
        throw error;
      },
    );
    const joinUrl = formatJoinUrl({ host: reachable(host), port: bound, token });
    report({ kind: 'status', text: `listening on ${host}:${bound}` });
    return { joinUrl, done, stop: () => conductor.stop() };
  } catch (error) {
    await run.close();
    throw error;
  }
}

/** The arrays in shared memory: two versions of the weights, and a sum for each worker; null where there is no room. */
function openShared({ shared, report }: CoordinatorOptions, size: number) {
  if (shared === undefined) return null;
  const { memory, workers } = shared;
  if (!memory.reserve(size, 2 + workers)) {
    report({
      kind: 'status',
      text: 'shared memory has no room for this model: its weights and gradients go through gRPC',
    });
    return null;
  }
  return {
    weights: [memory.tensor(0, size), memory.tensor(1, size)] as const,
    sums: Array.from({ length: workers }, (_, worker) => memory.tensor(2 + worker, size)),
  };
}

/** How long workers get to read the last words. */
const FAREWELL_MILLISECONDS = 1000;

function shutDown(server: Server): Promise<void> {
  return new Promise((closed) => {
    const force = setTimeout(() => server.forceShutdown(), FAREWELL_MILLISECONDS);
    server.tryShutdown(() => {
      clearTimeout(force);
      closed();
    });
  });
}
