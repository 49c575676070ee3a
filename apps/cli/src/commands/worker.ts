import { availableParallelism, hostname } from 'node:os';
import { UserError } from '@manyhands/core/config';
import type { BackendChoice } from '@manyhands/core/kernels';
import { findRun, formatJoinUrl, parseJoinUrl, readPrivateFile, SharedMemory } from '@manyhands/proto';
import { startWorker } from '@manyhands/worker';
import type { Command } from 'commander';
import { exitStatus } from '../failure.js';
import { Interrupt } from '../interrupt.js';
import { MEMORY_DESCRIPTOR } from '../local-workers.js';
import { JsonLog, type LogFormat, logFormatOption } from '../log.js';
import { nativeNote } from '../machine.js';
import { choice, subcommand, whole } from '../options.js';
import { note, noteColors } from '../output.js';
import { version } from '../version.js';
import { backends, traceOption, wording } from './shared.js';

/** What a token looks like that is given without the rest of a join line. */
const TOKEN = /^[\w-]{22,200}$/;

type Said = Parameters<Parameters<typeof startWorker>[0]['report']>[0];

interface WorkerOptions {
  join?: string;
  joinFile?: string;
  discover?: boolean;
  threads?: number;
  backend: BackendChoice;
  name?: string;
  trace?: string;
  logFormat: LogFormat;
}

export function worker(): Command {
  return subcommand('worker', 'join a run, work for it until it is done, leave cleanly on the first Ctrl-C')
    .option(
      '--join <url>',
      'the join line that the coordinator printed (or the environment variable MANYHANDS_JOIN)',
    )
    .option(
      '--join-file <file>',
      'a file with the join line, such as join-url in the run directory, that only its owner can read',
    )
    .option(
      '--discover',
      'find the run on this network, where its coordinator says --discover too; the token alone is then enough to --join',
    )
    .addOption(whole('--threads <n>', 'threads that compute (default: one a core)', 1, 1024))
    .addOption(choice('--backend <name>', 'what computes', backends).default('auto'))
    .option('--name <name>', 'what the coordinator calls this worker (default: the host name)')
    .addOption(logFormatOption())
    .option('--trace <file>', wording.trace)
    .action(async (options: WorkerOptions) => {
      process.exitCode = await work(options);
    });
}

async function work(options: WorkerOptions): Promise<number> {
  const given = joinLine(options);
  // Not by the channel: its parent may be gone already, and the channel with it.
  const ofTrain = process.env.MANYHANDS_OF_TRAIN !== undefined;
  if (ofTrain && !process.connected) return exitStatus.done;
  // Whether the run is reproducible, it hears only later; its coordinator says so.
  const native = ofTrain || options.backend === 'gpujs' ? null : nativeNote(false);
  const log = options.logFormat === 'json' ? new JsonLog('worker') : null;
  const say = (event: Said) => {
    if (log !== null) log.report(event);
    else note(event.kind === 'warning' ? `${noteColors.yellow('warning:')} ${event.text}` : event.text);
  };
  if (native !== null) say({ kind: 'status', text: native });
  if (options.discover) say({ kind: 'status', text: 'looking for the run on this network' });
  const join = options.discover ? await discover(given) : given;
  const working = startWorker({
    join,
    threads: options.threads ?? availableParallelism(),
    backend: options.backend,
    name: options.name ?? hostname(),
    version,
    ...traceOption(options.trace),
    shards: process.env.MANYHANDS_SHARDS ?? '',
    shared: ofTrain ? sharedMemory() : undefined,
    report: (event) => {
      if (!ofTrain) say(event);
      // A parent that has just gone does not want to know any more.
      else if (process.connected) process.send?.(event, undefined, undefined, () => {});
    },
  });
  // A worker of `train` gets the terminal's Ctrl-C too, but it ends when its parent says so, or is gone.
  const interrupt = new Interrupt(() => {
    if (!ofTrain) working.leave();
  });
  if (ofTrain) {
    process.once('disconnect', () => working.leave());
    process.channel?.unref();
  }
  await working.done;
  interrupt.dispose();
  return interrupt.happened && !ofTrain ? exitStatus.interrupted : exitStatus.done;
}

/** The secret is not left where every user of the machine sees it: in the list of processes. */
function joinLine({ join, joinFile }: WorkerOptions): string {
  if (join !== undefined) process.title = 'manyhands worker';
  if (join !== undefined && joinFile !== undefined) {
    throw new UserError('--join and --join-file are both given: one of them is enough.');
  }
  const line = join ?? (joinFile === undefined ? process.env.MANYHANDS_JOIN : readJoinFile(joinFile));
  if (line) return line;
  throw new UserError(
    '--join is missing: paste the join line that the coordinator printed, or give --join-file or MANYHANDS_JOIN.',
  );
}

/**
 * The join line of the run that answers on this network.
 * @param given a join line, or its token
 * @throws UserError where none answers, or more than one
 */
async function discover(given: string): Promise<string> {
  try {
    const known = TOKEN.test(given) ? { token: given } : parseJoinUrl(given);
    return formatJoinUrl(await findRun(known));
  } catch (error) {
    throw new UserError(`--discover: ${error instanceof Error ? error.message : error}.`);
  }
}

/** @throws UserError where it is not there, empty, or other users may have read it */
function readJoinFile(file: string): string {
  let text: string | null;
  try {
    text = readPrivateFile(file);
  } catch (error) {
    throw new UserError(`--join-file: ${error instanceof Error ? error.message : error}.`);
  }
  if (text?.trim()) return text.trim();
  throw new UserError(`--join-file ${file} ${text === null ? 'does not exist' : 'is empty'}.`);
}

/** What `train` shares with its workers, and this one's place in it. */
function sharedMemory() {
  const place = Number(process.env.MANYHANDS_PLACE ?? 0);
  return place > 0 ? { memory: SharedMemory.inherited(MEMORY_DESCRIPTOR), place } : undefined;
}
