import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../../', import.meta.url));

export const bin = path.join(root, 'apps/cli/bin/manyhands.mjs');
export const parity = path.join(root, 'test/fixtures/parity');

/** What `bin` runs once it has seen to the build. */
export const main = path.join(root, 'apps/cli/dist/main.js');

export interface Ended {
  readonly status: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  /** Resolves with the text so far when standard error matches; rejects where the command ends first. */
  said(pattern: RegExp): Promise<string>;
}

export interface CommandOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Another Node than the one that runs the tests. */
  readonly node?: string;
  /** What the command is started by, such as `ip netns exec NAME`. */
  readonly within?: readonly string[];
  /** What standard input holds; default nothing. null leaves it open. */
  readonly input?: string | Uint8Array | null;
}

/** Starts the command line as users run it, with neither colours nor settings from outside. */
export function start(args: readonly string[], options: CommandOptions = {}): Running {
  const {
    MANYHANDS_JOIN: _join,
    MANYHANDS_SHARDS: _shards,
    MANYHANDS_OF_TRAIN: _of,
    ...inherited
  } = process.env;
  const [program, ...before] = [...(options.within ?? []), options.node ?? process.execPath];
  const child = spawn(program, [...before, main, ...args], {
    cwd: options.cwd ?? root,
    env: { ...inherited, ...options.env },
    stdio: 'pipe',
  });
  child.stdin.on('error', () => {}); // a command that does not read it
  if (options.input !== null) child.stdin.end(options.input ?? '');
  let [stdout, stderr] = ['', ''];
  const watchers = new Set<() => void>();
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
    for (const look of watchers) look();
  });
  const ended = once(child, 'close').then(([status, signal]): Ended => ({ status, signal, stdout, stderr }));
  return {
    child,
    ended,
    said: (pattern) =>
      new Promise((resolve, reject) => {
        const look = () => {
          if (!pattern.test(stderr)) return;
          watchers.delete(look);
          resolve(stderr);
        };
        watchers.add(look);
        look();
        ended.then(() => reject(new Error(`the command ended without saying ${pattern}:\n${stderr}`)));
      }),
  };
}

export function manyhands(args: readonly string[], options: CommandOptions = {}): Promise<Ended> {
  return start(args, options).ended;
}

/** A folder that is gone after the test. */
export function temporaryFolder(context: TestContext | { after(hook: () => void): void }): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'manyhands-cli-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Options of a model that trains in a moment. */
export const tiny = [
  ...[
    '--set',
    'model.layers=1',
    '--set',
    'model.channels=16',
    '--set',
    'model.heads=2',
    '--set',
    'model.context=16',
  ],
  ...['--set', 'batch.sequences=4', '--threads', '1', '--backend', 'cpu'],
];
