import { RunError, UserError } from '@manyhands/core/config';
import { TokenizerError } from '@manyhands/tokenizer';
import { CommanderError } from 'commander';
import type { JsonLog } from './log.js';
import { note, noteColors } from './output.js';

export const exitStatus = { done: 0, failed: 1, usage: 2, interrupted: 130 } as const;

/** The work was given up because somebody asked for it; the message says what became of it. */
export class Interrupted extends Error {}

/**
 * Says what went wrong in one sentence on standard error and returns the exit status (cli.md).
 * @param log where everything else was said; null for lines for people
 */
export function reportFailure(error: unknown, verbose: boolean, log: JsonLog | null): number {
  if (error instanceof CommanderError && error.exitCode === 0) return exitStatus.done; // --help, --version
  if (error instanceof CommanderError && error.code === 'commander.help') return exitStatus.usage; // no command
  if (error instanceof Interrupted) {
    if (log === null) note(error.message);
    else log.status(error.message);
    return exitStatus.interrupted;
  }
  const { text, status } = sentence(error);
  const whole = /[.!?…)]$/.test(text) ? text : `${text}.`;
  const stack = verbose && error instanceof Error ? error.stack : undefined;
  if (log !== null) {
    log.error(whole, stack);
    return status;
  }
  note(`${noteColors.red('manyhands:')} ${whole}`);
  if (stack) note(stack);
  return status;
}

function sentence(error: unknown): { text: string; status: number } {
  if (error instanceof CommanderError) return { text: usageSentence(error), status: exitStatus.usage };
  if (error instanceof UserError || error instanceof TokenizerError) {
    return { text: error.message, status: exitStatus.usage };
  }
  if (error instanceof RunError) return { text: error.message, status: exitStatus.failed };
  if (isSystemError(error)) return { text: systemSentence(error), status: exitStatus.failed };
  const message = error instanceof Error ? error.message : String(error);
  return { text: `${message.split('\n')[0]} (--verbose shows where)`, status: exitStatus.failed };
}

/** Commander's messages start with `error: ` and put a suggestion on a line of its own. */
function usageSentence(error: CommanderError): string {
  const [first, ...rest] = error.message.replace(/^error: /, '').split('\n');
  const hint = rest.join(' ').trim();
  return hint ? `${first} ${hint}` : `${first.replace(/\.$/, '')}; --help lists what there is.`;
}

function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' && 'syscall' in error;
}

function systemSentence({ code, path, message }: NodeJS.ErrnoException): string {
  const where = path ? ` ${path}` : '';
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return `the disk is full: nothing more can be written to${where || ' it'}; make room and try again; a run goes on with --resume.`;
    case 'EACCES':
    case 'EPERM':
      return `no permission for${where || `: ${message}`}; choose another place or change its permissions.`;
    case 'ENOENT':
      return `there is no file${where || `: ${message}`}; check the path.`;
    case 'EROFS':
      return `the file system of${where} is read-only; choose another place.`;
    case 'EMFILE':
      return `too many files are open; raise the limit (ulimit -n) and try again.`;
    default:
      return `${message}.`;
  }
}
