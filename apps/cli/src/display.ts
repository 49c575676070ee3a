import type { RunEvent } from '@manyhands/coordinator';
import { bar } from './bar.js';
import { count, duration, percent, plural } from './format.js';
import { noteColors as color } from './output.js';

type StepEvent = Extract<RunEvent, { kind: 'step' }>;

/** Seconds after which a silent wait is named, and between two plain lines of steps. */
const PATIENCE_S = 5;

/**
 * Shows a run on standard error: on a terminal one live line below the lines that stay, in a pipe plain lines.
 * Whatever takes longer than five seconds is named with the time it has taken.
 */
export class Display {
  readonly #stream: NodeJS.WriteStream;
  readonly #live: boolean;
  readonly #timer: NodeJS.Timeout;
  #waiting = 'the run to start';
  #since = seconds();
  #nextReminder = PATIENCE_S;
  #step: StepEvent | null = null;
  #printedAt = Number.NEGATIVE_INFINITY;
  #printedStep = -1;
  #validationLoss: number | null = null;
  #workers = '';
  #drawn = false;

  constructor(stream: NodeJS.WriteStream = process.stderr) {
    this.#stream = stream;
    this.#live = stream.isTTY === true && process.env.TERM !== 'dumb';
    this.#timer = setInterval(() => this.#tick(), 1000);
    this.#timer.unref();
  }

  readonly report = (event: RunEvent): void => {
    switch (event.kind) {
      case 'status':
        this.status(event.text);
        break;
      case 'warning':
        this.warn(event.text);
        break;
      case 'worker':
        this.#workers = `${plural(event.workers, 'worker')}, ${plural(event.threads, 'thread')}`;
        this.line(color.dim(`${event.text} (${this.#workers})`));
        break;
      case 'step':
        this.#onStep(event);
        break;
      case 'eval':
        this.#validationLoss = event.validationLoss;
        this.line(evalLine(event));
        break;
      case 'checkpoint':
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
    this.#restart(`step ${count(event.step + 1)}`);
    if (this.#live) this.#draw();
    else if (first || seconds() - this.#printedAt >= PATIENCE_S) this.#printStep(event);
  }

  #printStep(event: StepEvent): void {
    if (event.step === this.#printedStep) return;
    this.#printedAt = seconds();
    this.#printedStep = event.step;
    this.#stream.write(`${stepLine(event)}\n`);
  }

  #restart(waiting: string): void {
    this.#waiting = waiting;
    this.#since = seconds();
    this.#nextReminder = PATIENCE_S;
  }

  #tick(): void {
    const waited = seconds() - this.#since;
    if (this.#live) this.#draw();
    else if (waited >= this.#nextReminder) {
      this.#nextReminder *= 2;
      this.#stream.write(`… ${this.#waiting} (${duration(waited)} so far)\n`);
    }
  }

  #draw(): void {
    if (!this.#live) return;
    const waited = seconds() - this.#since;
    const late = waited >= PATIENCE_S ? ` · ${this.#waiting}: ${duration(waited)} so far` : '';
    const text = this.#step
      ? liveLine(this.#step, this.#validationLoss, this.#workers) + late
      : late.slice(3);
    if (text === '') return;
    this.#erase();
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
    `${count(event.tokensPerSecond)} tokens/s`,
    plural(event.workers, 'worker'),
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
    `lr ${event.learningRate.toPrecision(2)}`,
    `${count(event.tokensPerSecond)} tok/s`,
    `ETA ${duration(event.secondsLeft)}`,
    workers || plural(event.workers, 'worker'),
  ].join('  ');
}

function evalLine(event: Extract<RunEvent, { kind: 'eval' }>): string {
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

function seconds(): number {
  return performance.now() / 1000;
}
