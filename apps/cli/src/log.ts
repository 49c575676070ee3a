import type { RunEvent } from '@manyhands/coordinator';
import type { Option } from 'commander';
import { type Logger, pino, stdTimeFunctions } from 'pino';
import { Display } from './display.js';
import { choice } from './options.js';

/** What `--log-format` takes: lines for people, or one JSON object a line for machines. */
export const logFormats = ['text', 'json'] as const;
export type LogFormat = (typeof logFormats)[number];

/** The option that takes a format. */
export function logFormatOption(): Option {
  return choice('--log-format <format>', 'how standard error tells of the run', logFormats).default('text');
}

/** The log that a command line asks for in JSON, also where the rest of it is wrong; null for lines for people. */
export function jsonLogOf([command = '', ...args]: readonly string[]): JsonLog | null {
  const json = args.some(
    (arg, i) => arg === '--log-format=json' || (arg === 'json' && args[i - 1] === '--log-format'),
  );
  return json ? new JsonLog(command) : null;
}

/** What tells how a run goes, to people or to machines. */
export type Teller = Pick<Display, 'report' | 'status' | 'warn' | 'line' | 'end'>;

/** The teller of a format, on standard error. `command` is in every JSON object. */
export function openTeller(format: LogFormat, command: string): Teller {
  return format === 'json' ? new JsonLog(command) : new Display();
}

type StepEvent = Extract<RunEvent, { kind: 'step' }>;

/** Seconds between two objects of steps; metrics.jsonl has every step. */
const PACE_S = 5;

/** A run as JSON, one object a line: `level`, `time`, `command`, `event`, `msg` and what the event holds. */
export class JsonLog implements Teller {
  readonly #log: Logger;
  readonly #now: () => number;
  #pacedAt = Number.NEGATIVE_INFINITY;
  #unsaid: StepEvent | null = null;

  /** `now` is a clock in seconds. */
  constructor(
    command: string,
    stream: { write(text: string): void } = process.stderr,
    now = () => performance.now() / 1000,
  ) {
    this.#now = now;
    this.#log = pino(
      {
        base: { command },
        timestamp: stdTimeFunctions.isoTime,
        formatters: { level: (level) => ({ level }) },
        hooks: { streamWrite: withoutSecrets },
      },
      stream,
    );
  }

  readonly report = (event: RunEvent): void => {
    switch (event.kind) {
      case 'status':
      case 'waiting':
      case 'worker': {
        const { kind, text, ...fields } = event;
        this.#log.info({ event: kind, ...fields }, text);
        break;
      }
      case 'warning':
        this.warn(event.text);
        break;
      case 'step':
        this.#step(event);
        break;
      case 'eval':
        this.#say(event, `evaluated at step ${event.step}`);
        break;
      case 'checkpoint':
        this.#say(event, `saved step ${event.step}`);
        break;
      default:
        event satisfies never;
    }
  };

  status(text: string): void {
    this.#log.info({ event: 'status' }, text);
  }

  warn(text: string): void {
    this.#log.warn({ event: 'warning' }, text);
  }

  line(text: string): void {
    this.status(text);
  }

  /** Why the command failed, and where in the code. */
  error(text: string, stack?: string): void {
    this.#log.error({ event: 'error', stack }, text);
  }

  end(): void {
    if (this.#unsaid !== null) this.#sayStep(this.#unsaid);
  }

  #step(event: StepEvent): void {
    this.#unsaid = event;
    if (event.step === event.steps || this.#now() - this.#pacedAt >= PACE_S) this.#sayStep(event);
  }

  #sayStep(event: StepEvent): void {
    this.#pacedAt = this.#now();
    this.#unsaid = null;
    this.#say(event, `step ${event.step} of ${event.steps}`);
  }

  #say({ kind, ...fields }: RunEvent, text: string): void {
    this.#log.info({ event: kind, ...fields }, text);
  }
}

/** A join line never gets into a log, whoever hands it in: its token is struck out of the whole line. */
function withoutSecrets(line: string): string {
  return line.replace(/(token=)[^&\s"'\\]+/gi, '$1…');
}
