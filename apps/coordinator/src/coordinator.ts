import { readFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { type RunConfig, RunError, UserError } from '@manyhands/core/config';
import { startTrace, writeTrace } from '@manyhands/core/trace';
import {
  formatJoinUrl,
  isLoopback,
  KNOCK_SECONDS,
  listen,
  type Server,
  type SharedMemory,
  writePrivateFile,
} from '@manyhands/proto';
import { taskHash, taskToJson } from '@manyhands/tasks';
import { demandAddress, reachable, tryAddress } from './address.js';
import { announce } from './announce.js';
import { Choices } from './choices.js';
import { Conductor } from './conductor.js';
import type { RunEvent, RunSummary } from './events.js';
import { addHealth, type Observer, startObserver } from './observe/index.js';
import { openRun } from './open-run.js';
import { openAuthority } from './security/authority-file.js';
import { Door } from './security/door.js';
import { createService, type Service } from './service.js';
import { JoinToken, type TokenLimits } from './token.js';
import { WeightsFeed } from './weights-feed.js';

export interface CoordinatorOptions {
  readonly config: RunConfig;
  /** The run directory. */
  readonly out: string;
  readonly resume: boolean;
  /** HOST:PORT; port 0 takes any free one. */
  readonly listen: string;
  /** Plain text also beyond the loopback interface, where it is TLS otherwise. */
  readonly insecure?: boolean;
  /** TLS on the loopback interface too, where it is plain text otherwise. */
  readonly tls?: boolean;
  /** How far the join line goes; only with TLS, where a worker needs it once. */
  readonly tokenLimits?: TokenLimits;
  readonly minWorkers?: number;
  /**
   * Workers wait for a run that was interrupted or has failed, until it is resumed, and hear from a run without a step
   * left that it is over; otherwise they end with the coordinator, and such a run is refused.
   */
  readonly workersWait?: boolean;
  /** Workers on the same network find the run by multicast DNS; only with TLS. */
  readonly discover?: boolean;
  /** HOST:PORT of a server for probes and Prometheus; none by default. */
  readonly metrics?: string | undefined;
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

interface Running {
  readonly joinUrl: string;
  readonly done: Promise<RunSummary>;
  stop(): void;
}

/**
 * Opens a run and serves it until it is done. `stop` ends it after the step under way, saved.
 * @throws UserError for bad input, the signal's reason where it came before the run was open
 */
export async function startCoordinator(options: CoordinatorOptions): Promise<Running> {
  if (options.metrics === undefined) return openCoordinator(options, null);
  const { host, port } = demandAddress(options.metrics, '--metrics');
  const observer = await startObserver({ host, port, run: basename(resolve(options.out)) });
  const report = (event: RunEvent) => {
    observer.report(event);
    options.report(event);
  };
  report({ kind: 'status', text: `metrics on http://${host}:${observer.port}/metrics` });
  try {
    const { done, ...running } = await openCoordinator({ ...options, report }, observer);
    return { ...running, done: done.finally(() => observer.close()) };
  } catch (error) {
    await observer.close();
    throw error;
  }
}

async function openCoordinator(options: CoordinatorOptions, observer: Observer | null): Promise<Running> {
  const { out, resume, report } = options;
  const address = demandAddress(options.listen);
  const { host } = address;
  const encrypted = options.tls === true || (!isLoopback(host) && options.insecure !== true);
  const { tokenLimits = {} } = options;
  if (!encrypted && (tokenLimits.ttl !== undefined || tokenLimits.joins !== undefined)) {
    throw new UserError(
      `--token-ttl and --max-joins need TLS, which ${options.listen} has not: listen on an address that other machines reach, without --insecure.`,
    );
  }
  if (options.discover === true && !encrypted) {
    throw new UserError(
      `--discover needs TLS, which ${options.listen} has not: listen on an address that other machines reach, without --insecure.`,
    );
  }
  await tryAddress(address);
  const { minWorkers, workersWait = false, signal } = options;
  const config: RunConfig =
    minWorkers === undefined
      ? options.config
      : { ...options.config, cluster: { ...options.config.cluster, minWorkers } };
  const { trace } = options;
  if (trace !== undefined) startTrace('coordinator');
  const run = await openRun({ config, out, resume, over: workersWait, software: version, report, signal });
  try {
    const authority = encrypted ? await openAuthority(out) : null;
    const token = await JoinToken.open(out, tokenLimits);
    const door = new Door(
      token,
      authority === null ? { kind: 'token', local: isLoopback(host) } : { kind: 'certificate', authority },
      (text) => {
        run.event({ event: 'refused', step: run.trainer.step, reason: text });
        observer?.note('refused');
        report({ kind: 'warning', text });
      },
    );
    const choices = new Choices(out, resume, !config.run.reproducible);
    const shared = openShared(options, run.material.task.model.size);
    const feed = new WeightsFeed(
      run.trainer.weights,
      (bytes) => conductor.sent(bytes),
      shared?.weights ?? null,
    );
    const conductor: Conductor = new Conductor(run, feed, report, (event) => observer?.note(event));
    const service = createService({
      door,
      invitation: {
        run: basename(resolve(out)),
        model: taskToJson(run.material.task),
        modelHash: taskHash(run.material.task),
        seed: config.run.seed,
        reproducible: config.run.reproducible,
        heartbeatSeconds: config.cluster.heartbeatSeconds,
        dataHash: run.material.hash,
        shapes: conductor.shapes,
        recompute: config.batch.recompute,
        size: run.material.task.model.size,
      },
      keepaliveSeconds: config.cluster.keepaliveSeconds,
      feed,
      places: shared?.sums ?? [],
      choices,
      listener: conductor,
    });
    const health = addHealth(service.server, { reflection: true });
    const bound = await listen(service.server, host, address.port, {
      watch: (server) => door.watch(server),
      ...(authority !== null && {
        security: { ...(await authority.forCoordinator()), authority: authority.certificate },
      }),
    }).catch((error) => {
      conductor.abandon();
      throw error;
    });
    health.open();
    observer?.open(() => conductor.sample());
    let announced: Awaited<ReturnType<typeof announce>> | null = null;
    const close = async (reason: string, over: boolean) => {
      health.ended();
      observer?.ended();
      service.finish({ reason, resumes: !over && workersWait });
      door.close();
      await announced?.close();
      await shutDown(service.server);
      await run.close();
      if (trace !== undefined) await writeTrace(trace);
    };
    const done = conductor.done.then(
      async (summary) => {
        await close(summary.reason, !summary.interrupted);
        return summary;
      },
      async (error) => {
        await close(error.message, false);
        throw error;
      },
    );
    const joinUrl = formatJoinUrl({
      host: reachable(host),
      port: bound,
      token: token.secret,
      ...(authority !== null && { ca: authority.fingerprint }),
    });
    try {
      keepJoinUrl(out, joinUrl);
      if (options.discover === true && authority !== null) {
        const { fingerprint: ca } = authority;
        const run = { host, port: bound, name: basename(resolve(out)), ca };
        announced = await announce(run, token.secret, report);
      }
    } catch (error) {
      conductor.abandon();
      service.server.forceShutdown();
      throw error;
    }
    report({
      kind: 'status',
      text: `listening on ${host}:${bound}, ${encrypted ? 'TLS 1.3' : 'plain text'}`,
    });
    if (run.trainer.step >= config.run.steps) bidFarewell(conductor, service, config.run.steps, report);
    return { joinUrl, done, stop: () => conductor.stop() };
  } catch (error) {
    await run.close();
    throw error;
  }
}

/** How long the workers of a run that is over may take to knock, and to be answered. */
const LAST_WORDS_MILLISECONDS = (KNOCK_SECONDS + 2.5) * 1000;

/** A run whose coordinator died after its last checkpoint has workers that wait for it: they are told, then it ends. */
function bidFarewell(
  conductor: Conductor,
  service: Service,
  steps: number,
  report: (event: RunEvent) => void,
): void {
  const reason = `all ${steps} steps are done`;
  service.finish({ reason, resumes: false });
  const seconds = LAST_WORDS_MILLISECONDS / 1000;
  const text = `${reason}: workers that come back hear it for ${seconds} s; give --steps above ${steps} to go on`;
  report({ kind: 'status', text });
  const over = setTimeout(() => conductor.stop(reason), LAST_WORDS_MILLISECONDS);
  const settled = () => clearTimeout(over);
  conductor.done.then(settled, settled);
}

/** For workers that share the file system, and for scripts that want no secret in their logs: `worker --join-file`. */
function keepJoinUrl(out: string, joinUrl: string): void {
  try {
    writePrivateFile(join(out, 'join-url'), `${joinUrl}\n`);
  } catch (error) {
    throw new RunError(`${error instanceof Error ? error.message : error}.`);
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
