import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { UserError } from '@manyhands/core/config';
import type { BackendChoice } from '@manyhands/core/kernels';
import { startTrace, writeTrace } from '@manyhands/core/trace';
import { KNOCK_SECONDS, parseJoinUrl, type SharedMemory } from '@manyhands/proto';
import { Membership } from './membership.js';
import { openSession, type SessionEnd } from './session.js';
import { LocalShards } from './shards.js';

export interface WorkerOptions {
  /** `manyhands://HOST:PORT?token=…&ca=…` */
  readonly join: string;
  readonly threads: number;
  readonly backend: BackendChoice;
  readonly name: string;
  /** Of this software, for people who read the coordinator's log. */
  readonly version?: string;
  /** Folders of token shards, separated as in PATH. */
  readonly shards?: string;
  /** Memory that the coordinator shares with this worker, which has the place of this number there, counted from 1. */
  readonly shared?: { readonly memory: SharedMemory; readonly place: number } | undefined;
  /** A file for what was done when, in Chrome's trace format. */
  readonly trace?: string;
  report(event: { kind: 'status' | 'warning'; text: string }): void;
}

/**
 * Seconds between two tries, and how long to go on trying: before it ever joined, after, and where the coordinator said
 * that it would be back.
 */
/** The part of a wait by which chance makes it shorter or longer. */
const JITTER = 0.5;
const FIRST_DELAY = 0.2;
const LONGEST_DELAY = KNOCK_SECONDS / (1 + JITTER);
const PATIENCE_BEFORE = 20;
const PATIENCE_AFTER = 120;
const PATIENCE_STOPPED = 3600;

/**
 * Joins a run and works until it is over. `done` resolves when the coordinator says that the run is done or after
 * `leave`; it rejects with one sentence where joining is hopeless.
 * @throws UserError where the join URL cannot be read
 */
export function startWorker(options: WorkerOptions): { done: Promise<void>; leave(): void } {
  const join = readJoin(options.join);
  const address = `${join.host}:${join.port}`;
  const warn = (text: string) => options.report({ kind: 'warning', text });
  const status = (text: string) => options.report({ kind: 'status', text });
  const shards = new LocalShards(options.shards ?? '', warn);
  const { trace } = options;
  if (trace !== undefined) startTrace(`worker ${options.name}`);
  const leaving = new AbortController();
  let leave = () => {};

  const { threads, backend, name, shared, version = 'unknown' } = options;
  const self = randomBytes(16);
  const membership = new Membership(join, { name, software: version });

  const session = async (): Promise<SessionEnd> => {
    const shown = await membership.show();
    if (!('credentials' in shown)) return shown;
    if (leaving.signal.aborted) return { kind: 'left' };
    const { credentials } = shown;
    const opened = openSession({
      join,
      credentials,
      threads,
      backend,
      name,
      process: self,
      version,
      shards,
      shared,
      status,
    });
    leave = opened.leave;
    return opened.done;
  };

  const work = async (): Promise<void> => {
    let patience = PATIENCE_BEFORE;
    let told = '';
    let lastContact = performance.now();
    let wait = FIRST_DELAY;
    status(`connecting to ${address}`);
    while (!leaving.signal.aborted) {
      const end = await session();
      switch (end.kind) {
        case 'finished':
          return status(`the run is over: ${end.reason}`);
        case 'left':
          return status('left the run');
        case 'unknown':
          if (membership.renew()) {
            warn(`coordinator at ${address}: ${end.reason}; enrolling again`);
            break;
          }
          throw refused(address, end.reason);
        case 'refused':
          throw refused(address, end.reason);
        case 'lost': {
          if (end.joined) {
            patience = PATIENCE_AFTER;
            wait = FIRST_DELAY;
          }
          if (end.resumes) patience = PATIENCE_STOPPED;
          if (end.joined || end.resumes) lastContact = performance.now();
          const silent = (performance.now() - lastContact) / 1000;
          if (silent > patience) {
            throw new Error(
              `The coordinator at ${address} is ${end.reason}; gave up after ${silent.toFixed(0)} s.`,
            );
          }
          const text = `coordinator at ${address}: ${end.reason}; trying again in ${wait.toFixed(1)} s`;
          // The longest wait comes again and again, and is told once.
          if (text !== told) warn(text);
          told = text;
          // Jitter keeps a cluster of workers from knocking at one moment.
          await delay(wait * (1 + JITTER * (2 * Math.random() - 1)) * 1000, undefined, {
            signal: leaving.signal,
          }).catch(() => {});
          wait = Math.min(LONGEST_DELAY, wait * 2);
          break;
        }
        default:
          end satisfies never;
      }
    }
  };

  return {
    done: trace === undefined ? work() : work().finally(() => writeTrace(trace)),
    leave() {
      leaving.abort();
      leave();
    },
  };
}

function refused(address: string, reason: string): UserError {
  return new UserError(`This worker cannot join the run at ${address}: ${reason}.`);
}

function readJoin(text: string) {
  try {
    return parseJoinUrl(text);
  } catch (error) {
    throw new UserError(error instanceof Error ? error.message : String(error));
  }
}
