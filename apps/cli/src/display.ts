import type { RunEvent } from '@manyhands/coordinator';
import { bar } from './bar.js';
import { count, duration, percent, plural } from './format.js';
import { noteColors as color } from './output.js';
import { sourceLine } from './source-losses.js';

/** What a display needs of a stream. */
export interface Screen {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

type StepEvent = Extract<RunEvent, { kind: 'step' }>;
type EvalEvent = Extract<RunEvent, { kind: 'eval' }>;

/** Seconds between two plain lines of steps. */
const PACE_S = 5;
/** Seconds of silence after which a wait is named; a little more than the coordinator's own, which says more. */
const PATIENCE_S = 6;

/**
 * Shows a run on standard error: on a terminal one live line below the lines that stay, in a pipe plain lines.
 * Whatever takes longer than five seconds is named with the time it has taken.
 */
export class Display {
  readonly #stream: Screen;
  readonly #now: () => number;
  readonly #live: boolean;
  readonly #timer: NodeJS.Timeout;
  #waiting = 'the run to start';
  /** `#waiting` is the coordinator's own sentence, with its own time in it. */
  #told = false;
  #since: number;
  #nextReminder = PATIENCE_S;
  #step: StepEvent | null = null;
  #printedAt = Number.NEGATIVE_INFINITY;
  #printedStep = -1;
  #validationLoss: number | null = null;
  #workers = '';
  #drawn = false;

  /** `now` is a clock in seconds. */
  constructor(stream: Screen = process.stderr, now = () => performance.now() / 1000) {
    this.#stream = stream;
    this.#now = now;
    this.#since = now();
    this.#live = stream.isTTY === true && process.env.TERM !== 'dumb';
    this.#timer = setInterval(() => this.#tick(), 1000);
    this.#timer.unref();
  }

  readonly report = (event: RunEvent): void => {
    switch (event.kind) {
      case 'status':
        this.status(event.text);
        break;
      case 'waiting':
        this.#restart(event.text, true);
        if (this.#live) this.#draw();
        else this.line(color.dim(event.text));
        break;
      case 'warning':
        this.warn(event.text);
        break;
      case 'worker':
        this.#workers = `${plural(event.workers, 'worker')}, ${plural(event.threads, 'thread')}`;
        this.#restart(this.#waiting);
        this.line(color.dim(`${event.text} (${this.#workers})`));
        break;
      case 'step':
        this.#onStep(event);
        break;
      case 'eval':
        this.#onEval(event);
        break;
      case 'checkpoint':
        if (!this.#live && this.#step !== null) this.#printStep(this.#step);
        this.line(color.dim(`step ${count(event.step)}  saved ${event.path}`));
        break;
      default:
        event satisfies never;
    }
  };

  /** What is being done now. */
  status(text: string): void {
    this.#restart(text);
    this.line(color.dim(text));
  }

  warn(text: string): void {
    this.line(`${color.yellow('warning:')} ${text}`);
  }

  /** A line that stays. */
  line(text: string): void {
    this.#erase();
    this.#stream.write(`${text}\n`);
    this.#draw();
  }

  end(): void {
    clearInterval(this.#timer);
    this.#erase();
    if (!this.#live && this.#step !== null) this.#printStep(this.#step);
    this.#step = null;
  }

  #onStep(event: StepEvent): void {
    const first = this.#step === null;
    this.#step = event;
    this.#restart(event.step < event.steps ? `step ${count(event.step + 1)}` : 'finishing the run');
    if (this.#live) this.#draw();
    else if (first || event.step === event.steps || this.#now() - this.#printedAt >= PACE_S)
      this.#printStep(event);
  }

  #onEval(event: EvalEvent): void {
    this.#restart(this.#waiting);
    this.#validationLoss = event.validationLoss;
    this.line(evalLine(event));
    const sources = sourceLine(event);
    if (sources !== null) this.line(color.dim(`step ${count(event.step)}  ${sources}`));
  }

  #printStep(event: StepEvent): void {
    if (event.step === this.#printedStep) return;
    this.#printedAt = this.#now();
    this.#printedStep = event.step;
    this.#stream.write(`${stepLine(event)}\n`);
  }

  #restart(waiting: string, told = false): void {
    this.#waiting = waiting;
    this.#told = told;
    this.#since = this.#now();
    this.#nextReminder = PATIENCE_S;
  }

  #tick(): void {
    const waited = this.#now() - this.#since;
    if (this.#live) this.#draw();
    else if (waited >= this.#nextReminder) {
      this.#nextReminder *= 2;
      this.#stream.write(`… ${this.#waiting} (${duration(waited)} so far)\n`);
    }
  }

  #draw(): void {
    if (!this.#live) return;
    const waited = this.#now() - this.#since;
    const waiting = this.#told
      ? this.#waiting
      : waited < PATIENCE_S
        ? ''
        : `${this.#waiting}: ${duration(waited)} so far`;
    const step = this.#step === null ? '' : liveLine(this.#step, this.#validationLoss, this.#workers);
    const text = [waiting, step].filter((part) => part !== '').join('  ·  ');
    this.#erase();
    if (text === '') return;
    this.#stream.write(fit(text, (this.#stream.columns ?? 80) - 1));
    this.#drawn = true;
  }

  #erase(): void {
    if (this.#drawn) this.#stream.write('\r\x1b[2K');
    this.#drawn = false;
  }
}

function stepLine(event: StepEvent): string {
  return [
    `step ${count(event.step)}/${count(event.steps)}`,
    `loss ${event.loss.toFixed(4)}`,
    `lr ${event.learningRate.toPrecision(3)}`,
    `${count(event.tokensPerSecond)} ${event.unit}/s`,
    workersOf(event),
    `ETA ${duration(event.secondsLeft)}`,
  ].join('  ');
}

function liveLine(event: StepEvent, validationLoss: number | null, workers: string): string {
  const share = event.steps > 0 ? event.step / event.steps : 0;
  return [
    `${bar(share, 16)} ${percent(Math.floor(share * 100) / 100).padStart(4)}`,
    `step ${count(event.step)}/${count(event.steps)}`,
    `loss ${event.loss.toFixed(3)}`,
    ...(validationLoss === null ? [] : [`val ${validationLoss.toFixed(3)}`]),
    `ETA ${duration(event.secondsLeft)}`,
    `${count(event.tokensPerSecond)} ${event.unit === 'tokens' ? 'tok' : 'pos'}/s`,
    `lr ${event.learningRate.toPrecision(2)}`,
    event.crew < event.workers ? workersOf(event) : workers || workersOf(event),
  ].join('  ');
}

function workersOf({ crew, workers }: StepEvent): string {
  const all = plural(workers, 'worker');
  return crew < workers ? `${crew} of ${all}` : all;
}

function evalLine(event: EvalEvent): string {
  const { step, trainLoss, validationLoss, bitsPerByte } = event;
  const bits = bitsPerByte === null ? '' : `  bits per byte ${bitsPerByte.toFixed(3)}`;
  const loss =
    validationLoss === null
      ? 'no validation data'
      : color.bold(`validation loss ${validationLoss.toFixed(4)}`);
  return `step ${count(step)}  ${loss}  train ${trainLoss.toFixed(4)}${bits}`;
}

function fit(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`;
}
