import type { UpdateRatio } from '@manyhands/core/optim';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { RunEvent } from '../events.js';

/** What a run looks like at the moment; read whenever somebody asks for the metrics. */
export interface RunSample {
  /** Bytes of weights, tokens and gradients since the process started. */
  readonly bytesReceived: number;
  readonly bytesSent: number;
  /** The workers that are members now. */
  readonly workers: readonly WorkerSample[];
}

export interface WorkerSample {
  readonly worker: string;
  readonly threads: number;
  /** As measured by its answers; null until the first one. */
  readonly microBatchesPerSecond: number | null;
  /** Ranges that it has been given and has not answered. */
  readonly ranges: number;
}

/** Events of events.jsonl that are counted from the start, so that a rate over the first of them is right. */
const COUNTED_FROM_ZERO = [
  'joined',
  'left',
  'lost',
  'reassigned',
  'overtaken',
  'failed',
  'refused',
  'skipped',
  'diverging',
  'rollback',
  'suspicious',
  'overfitting',
  'unverified',
  'disputed',
  'quarantined',
];
/** From a step of a small model on one machine to one over a slow line. */
const STEP_SECONDS = [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000];

/**
 * The metrics of one run, in Prometheus's words. docs/operations.md says what each of them means.
 * `now` is a clock in seconds that only goes forward.
 */
export class RunMetrics {
  readonly #registry = new Registry();
  readonly #steps = this.#gauge('steps', 'Steps that the run takes in all.');
  readonly #step = this.#gauge('step', 'Steps that are done.');
  readonly #loss = this.#gauge('loss', 'Training loss of the last step, in nats a token.');
  readonly #validationLoss = this.#gauge('validation_loss', 'Loss of the last evaluation, in nats a token.');
  readonly #sourceLoss = this.#bySource('source_loss', 'Training loss of a source at the last evaluation.');
  readonly #sourceValidationLoss = this.#bySource(
    'source_validation_loss',
    'Validation loss of a source at the last evaluation; one that is held out counts for nothing else.',
  );
  readonly #bitsPerByte = this.#gauge(
    'bits_per_byte',
    'Loss of the last evaluation, in bits a byte of text.',
  );
  readonly #learningRate = this.#gauge('learning_rate', 'Learning rate of the last step.');
  readonly #gradientNorm = this.#gauge('gradient_norm', 'Norm of the last gradient, before clipping.');
  readonly #updateRatio = new Gauge({
    name: 'manyhands_update_ratio',
    help: 'Norm of the last change of the weights over their norm, by group of layers; overall is all of them.',
    labelNames: ['group'],
    registers: [this.#registry],
  });
  readonly #checkpointStep = this.#gauge('checkpoint_step', 'Step of the newest checkpoint.');
  readonly #crew = this.#gauge('crew', 'Workers that the last step was shared among.');
  readonly #stepSeconds = new Histogram({
    name: 'manyhands_step_seconds',
    help: 'Time of a training step, from the first assignment to the new weights.',
    buckets: STEP_SECONDS,
    registers: [this.#registry],
  });
  readonly #tokens = this.#counter('tokens_total', 'Targets that were trained on.');
  readonly #warnings = this.#counter('warnings_total', 'Warnings told to whoever started the run.');
  readonly #events = new Counter({
    name: 'manyhands_events_total',
    help: 'Lines written to events.jsonl, by event.',
    labelNames: ['event'],
    registers: [this.#registry],
  });
  readonly #now: () => number;
  #source: (() => RunSample) | null = null;
  #progressAt: number;
  #savedAt: number;

  constructor(run: string, now = () => performance.now() / 1000) {
    this.#now = now;
    this.#progressAt = now();
    this.#savedAt = now();
    collectDefaultMetrics({ register: this.#registry });
    new Gauge({
      name: 'manyhands_info',
      help: 'Always 1; its label is the name of the run.',
      labelNames: ['run'],
      registers: [this.#registry],
    }).set({ run }, 1);
    for (const event of COUNTED_FROM_ZERO) this.#events.inc({ event }, 0);
    this.#pull('ready', 'Whether workers can join: 1 while the run is open.', () =>
      this.#source === null ? 0 : 1,
    );
    this.#pull('progress_age_seconds', 'Time since the last step, evaluation or checkpoint.', () =>
      Math.max(0, this.#now() - this.#progressAt),
    );
    this.#pull(
      'checkpoint_age_seconds',
      'Time since the last checkpoint, or since the start where there was none yet.',
      () => Math.max(0, this.#now() - this.#savedAt),
    );
    this.#total('received_bytes_total', 'Bytes of gradients from workers.', (run) => run.bytesReceived);
    this.#total('sent_bytes_total', 'Bytes of weights and tokens to workers.', (run) => run.bytesSent);
    this.#pull('workers', 'Workers that are members now.', () => this.#source?.().workers.length ?? 0);
    this.#each('worker_threads', 'Threads of a worker.', ({ threads }) => threads);
    this.#each('worker_ranges', 'Ranges that a worker has and has not answered.', ({ ranges }) => ranges);
    this.#each(
      'worker_micro_batches_per_second',
      'Speed of a worker, as measured by its answers.',
      ({ microBatchesPerSecond }) => microBatchesPerSecond,
    );
  }

  /** Where samples come from while the run is open; null before and after. */
  watch(source: (() => RunSample) | null): void {
    this.#source = source;
    if (source === null) return;
    this.#progressAt = this.#now();
    this.#savedAt = this.#now();
  }

  get open(): boolean {
    return this.#source !== null;
  }

  readonly report = (event: RunEvent): void => {
    switch (event.kind) {
      case 'step':
        this.#progressAt = this.#now();
        this.#step.set(event.step);
        this.#steps.set(event.steps);
        this.#loss.set(event.loss);
        this.#learningRate.set(event.learningRate);
        this.#gradientNorm.set(event.gradNorm);
        this.#sizes(event.updateRatio);
        this.#crew.set(event.crew);
        this.#stepSeconds.observe(event.secondsPerStep);
        this.#tokens.inc(event.tokens);
        break;
      case 'eval':
        this.#progressAt = this.#now();
        if (event.validationLoss !== null) this.#validationLoss.set(event.validationLoss);
        if (event.bitsPerByte !== null) this.#bitsPerByte.set(event.bitsPerByte);
        for (const [source, loss] of Object.entries(event.trainSources)) {
          this.#sourceLoss.set({ source, held_out: 'false' }, loss);
        }
        for (const [source, loss] of Object.entries(event.sources)) {
          const held_out = String(event.heldOut.includes(source));
          this.#sourceValidationLoss.set({ source, held_out }, loss);
        }
        break;
      case 'checkpoint':
        this.#progressAt = this.#now();
        this.#savedAt = this.#now();
        this.#checkpointStep.set(event.step);
        break;
      case 'warning':
        this.#warnings.inc();
        break;
      case 'status':
      case 'waiting':
      case 'worker':
        break;
      default:
        event satisfies never;
    }
  };

  /** A line was written to events.jsonl; `event` is one of the names that the program gives them. */
  note(event: string): void {
    this.#events.inc({ event });
  }

  /** Everything, in Prometheus's text format. */
  async text(): Promise<{ readonly type: string; readonly body: string }> {
    return { type: this.#registry.contentType, body: await this.#registry.metrics() };
  }

  /** Of a step that was skipped only `overall` is known: it is 0. */
  #sizes(ratio: UpdateRatio | null): void {
    this.#updateRatio.reset();
    if (ratio === null) return;
    const sizes = Object.entries({ ...ratio.groups, overall: ratio.overall });
    for (const [group, size] of sizes) this.#updateRatio.set({ group }, size);
  }

  /** Absent, and not 0, until it is known. */
  #gauge(name: string, help: string): Gauge {
    const gauge = new Gauge({ name: `manyhands_${name}`, help, registers: [this.#registry] });
    gauge.remove();
    return gauge;
  }

  #bySource(name: string, help: string): Gauge<'source' | 'held_out'> {
    const labelNames = ['source', 'held_out'] as const;
    return new Gauge({ name: `manyhands_${name}`, help, labelNames, registers: [this.#registry] });
  }

  #counter(name: string, help: string): Counter {
    return new Counter({ name: `manyhands_${name}`, help, registers: [this.#registry] });
  }

  /** A gauge that is computed when it is asked for. */
  #pull(name: string, help: string, value: () => number): void {
    new Gauge({
      name: `manyhands_${name}`,
      help,
      registers: [this.#registry],
      collect() {
        this.set(value());
      },
    });
  }

  /** A counter that the run itself counts; it keeps its last value when the run is over. */
  #total(name: string, help: string, value: (run: RunSample) => number): void {
    const source = () => this.#source?.();
    new Counter({
      name: `manyhands_${name}`,
      help,
      registers: [this.#registry],
      collect() {
        const run = source();
        if (run === undefined) return;
        this.reset();
        this.inc(value(run));
      },
    });
  }

  /** A gauge for each worker that is there; those that are gone are gone here too. */
  #each(name: string, help: string, value: (worker: WorkerSample) => number | null): void {
    const workers = () => this.#source?.().workers ?? [];
    new Gauge({
      name: `manyhands_${name}`,
      help,
      labelNames: ['worker'],
      registers: [this.#registry],
      collect() {
        this.reset();
        for (const sample of workers()) {
          const measured = value(sample);
          if (measured !== null) this.set({ worker: sample.worker }, measured);
        }
      },
    });
  }
}
