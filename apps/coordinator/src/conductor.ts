import { randomBytes } from 'node:crypto';
import { microBatchCount } from '@manyhands/core/config';
import { span } from '@manyhands/core/trace';
import { type Piece, pieceCount, type Shape } from '@manyhands/proto';
import { Batches } from './batches.js';
import { checkOf } from './checks.js';
import type { EvaluationBatch } from './evaluation.js';
import type { RunEvent, RunSummary } from './events.js';
import { Helm } from './helm.js';
import { decide, nextCrew } from './machine.js';
import type { RunSample } from './observe/index.js';
import type { EventLine, OpenRun } from './open-run.js';
import { Progress } from './progress.js';
import { Proofs } from './proofs.js';
import type { ServiceListener, WorkerSession } from './service.js';
import {
  type Assignment,
  type Command,
  type Event,
  findAssignment,
  initialState,
  type JobKind,
  type State,
} from './state.js';
import { type Losses, SumWatch } from './sum-watch.js';
import type { WeightsFeed } from './weights-feed.js';
import { waitingFor } from './words.js';

const TICK_MILLISECONDS = 250;
/** Whatever takes longer says what it waits for. */
const PATIENCE_MILLISECONDS = 5000;

/**
 * The shell around the machine: turns what the service and the clock say into events, and carries the commands out.
 * `done` resolves when the run is over and its last checkpoint is on disk; it rejects where the run cannot go on.
 */
export class Conductor implements ServiceListener {
  readonly done: Promise<RunSummary>;
  private settle: { resolve(summary: RunSummary): void; reject(error: Error): void } = {
    resolve() {},
    reject() {},
  };
  private state: State;
  private readonly sessions = new Map<string, WorkerSession>();
  private readonly evaluation: readonly EvaluationBatch[];
  private readonly batches: Batches;
  private readonly helm: Helm;
  /** null: the run does not watch its learning, or evaluates nothing. */
  private readonly progress: Progress | null;
  /** Events wait here while another is carried out. */
  private readonly queue: { event: Event; losses: Losses | null }[] = [];
  private busy = false;
  /** Sums and counts of the job under way, one a micro-batch. */
  private losses: Float64Array = new Float64Array(0);
  private targets: Float64Array = new Float64Array(0);
  /** By assignment: the index of its sum's next piece, counted down. */
  private readonly uploads = new Map<number, number>();
  private readonly watch = new SumWatch();
  private readonly proofs: Proofs;
  /** Identities that may not come back, and why. */
  private readonly quarantined: Map<string, string>;
  private readonly ticker: NodeJS.Timeout;
  private readonly began = performance.now();
  private jobBegan = 0;
  private lastProgress = performance.now();
  /** Doubles each time that a wait was told. */
  private patience = PATIENCE_MILLISECONDS;
  /** Since the process began, and at the last step. */
  private readonly bytes = { received: 0, sent: 0 };
  private bytesBefore = { received: 0, sent: 0 };
  private pace = 0;

  constructor(
    private readonly run: OpenRun,
    private readonly feed: WeightsFeed,
    private readonly report: (event: RunEvent) => void,
    /** Told the name of each line of events.jsonl. */
    private readonly noted: (event: string) => void = () => {},
  ) {
    const { config, material } = run;
    this.done = new Promise((resolve, reject) => {
      this.settle = { resolve, reject };
    });
    this.evaluation = config.run.evalEvery > 0 ? material.evaluation() : [];
    this.batches = new Batches(run, this.evaluation, (bytes) => this.sent(bytes));
    const watched = config.run.measure && this.evaluation.length > 0;
    this.progress = watched ? new Progress(run, this.evaluation) : null;
    const baselines = this.progress?.baselines ?? null;
    if (baselines !== null) {
      const { uniform, unigram, bigram } = baselines;
      const text = `to compare with: blind guessing has a validation loss of ${uniform.toFixed(3)}, counting tokens ${unigram.toFixed(3)}, counting pairs ${bigram.toFixed(3)}`;
      report({ kind: 'status', text });
    }
    this.helm = new Helm(run, (line) => {
      this.record(line);
      this.report({ kind: 'warning', text: line.reason, event: line.event });
    });
    const seed = randomBytes(6).readUIntBE(0, 6);
    this.proofs = new Proofs(seed);
    this.quarantined = new Map(run.quarantined);
    this.state = initialState(
      {
        steps: config.run.steps,
        microBatches: microBatchCount(config),
        evaluationBatches: this.evaluation.length,
        evalEvery: config.run.evalEvery,
        checkpointEvery: config.run.checkpointEvery,
        minWorkers: config.cluster.minWorkers,
        maxWorkers: config.cluster.maxWorkers,
        lostAfter: config.cluster.lostAfterSeconds * 1000,
        maxTime: config.run.maxTime === null ? null : config.run.maxTime * 1000,
        verify: config.cluster.verify,
        seed,
      },
      { step: run.trainer.step, evaluatedAt: run.evaluatedAt },
      performance.now(),
    );
    feed.publish(run.trainer.step);
    void run.directory.lost.then((error) => this.fail(error));
    // Where this process stood still itself, what workers said meanwhile is read before their silence is judged.
    this.ticker = setInterval(() => setImmediate(() => this.tick()), TICK_MILLISECONDS);
  }

  /** Every shape that workers will be given. */
  get shapes(): Shape[] {
    return this.batches.shapes();
  }

  /** What the run looks like at the moment. */
  sample(): RunSample {
    const { phase, members } = this.state;
    const assigned = phase.name === 'computing' ? phase.job.assigned : [];
    return {
      bytesReceived: this.bytes.received,
      bytesSent: this.bytes.sent,
      workers: members.map(({ id, threads, speeds }) => ({
        worker: id,
        threads,
        microBatchesPerSecond: speeds.size === 0 ? null : 1000 * ([...speeds.values()].at(-1) ?? 0),
        ranges: assigned.filter(({ worker }) => worker === id).length,
      })),
    };
  }

  /** Ends the run after the step under way, saved; without a reason, because somebody asked for it. */
  stop(reason?: string): void {
    this.post({ kind: 'stop', reason: reason ?? 'interrupted', interrupted: reason === undefined });
  }

  // What the service says.

  unwelcome(identity: string): string | null {
    const evidence = this.quarantined.get(identity);
    return evidence === undefined ? null : `it is quarantined: ${evidence}`;
  }

  ready(session: WorkerSession): void {
    const { id, threads, identity } = session;
    // It may have been on its way in, as another session, when it was quarantined.
    const reason = identity === null ? null : this.unwelcome(identity);
    if (reason !== null) {
      session.refuse(reason);
      return;
    }
    this.sessions.set(id, session);
    const machine = this.run.config.run.reproducible ? 'any' : session.kind;
    this.post({ kind: 'joined', worker: id, threads, identity, machine });
  }

  heard(worker: string): void {
    this.post({ kind: 'heard', worker });
  }

  summing(worker: string, assignment: number, piece: Piece, values: Float32Array, version: number): void {
    const found = findAssignment(this.state, { worker, assignment });
    if (found === null) return; // of a step that is over, or given to another
    if (version !== found.job.step) {
      this.failed(
        worker,
        assignment,
        `its sum is of version ${version} of the weights, not ${found.job.step}`,
      );
      return;
    }
    const { size } = this.run.material.task.model;
    const next = this.uploads.get(assignment) ?? pieceCount(size) - 1;
    if (found.job.kind !== 'train' || piece.index !== next) {
      this.failed(worker, assignment, `piece ${piece.index} of the sum came where ${next} was expected`);
      return;
    }
    this.uploads.set(assignment, next - 1);
    this.watch.piece(assignment, values);
    const { range } = found.assignment;
    try {
      const added = this.run.trainer.add(range, piece, values);
      if (checkOf(found.job.checks, range) !== null) this.proofs.piece(assignment, range, values, added);
    } catch (error) {
      this.fail(error);
    }
  }

  summed(worker: string, assignment: number, losses: Losses, seconds: number): void {
    if (this.uploads.get(assignment) === -1) this.answered(worker, assignment, losses, 1000 * seconds);
    else this.failed(worker, assignment, 'the sum did not come whole');
  }

  evaluated(worker: string, assignment: number, losses: Losses): void {
    this.answered(worker, assignment, losses);
  }

  failed(worker: string, assignment: number, reason: string): void {
    this.post({ kind: 'failed', worker, assignment, reason });
  }

  gone(worker: string, reason: string): void {
    this.post({ kind: 'left', worker, reason });
    this.sessions.delete(worker);
  }

  received(bytes: number): void {
    this.bytes.received += bytes;
  }

  sent(bytes: number): void {
    this.bytes.sent += bytes;
  }

  /** Ends a run that never began. */
  abandon(): void {
    this.end();
  }

  // The machine's events and commands.

  private answered(worker: string, assignment: number, losses: Losses, computed = 0): void {
    const found = findAssignment(this.state, { worker, assignment });
    if (found === null) {
      this.heard(worker); // of a job that is over, or given to another
      return;
    }
    const { kind, checks } = found.job;
    const { range } = found.assignment;
    const { sums, targets } = losses;
    const count = sums.length === targets.length ? sums.length : -1;
    const most = this.batches.mostTargets(kind);
    if (targets.some((value) => value > most)) {
      this.failed(worker, assignment, `counted more than ${most} targets in a micro-batch`);
      return;
    }
    const suspicion = kind === 'train' ? this.watch.whole(assignment, range, losses) : null;
    const proof = checkOf(checks, range) === null ? null : this.proofs.whole(assignment, range, losses);
    this.post({ kind: 'answered', worker, assignment, count, computed, suspicion, proof }, losses);
  }

  /** Events are decided one after another. */
  private post(event: Event, losses: Losses | null = null): void {
    this.queue.push({ event, losses });
    if (this.busy) return;
    this.busy = true;
    try {
      for (let next = this.queue.shift(); next !== undefined; next = this.queue.shift()) {
        const { state, commands } = decide(this.state, next.event, performance.now());
        this.state = state;
        for (const command of commands) this.carryOut(command, next.losses);
      }
    } catch (error) {
      this.fail(error);
    } finally {
      this.busy = false;
    }
  }

  private carryOut(command: Command, losses: Losses | null): void {
    switch (command.do) {
      case 'assign':
        this.assign(command.kind, command.step, command.assignment);
        break;
      case 'accept':
        this.accept(command.assignment, losses);
        break;
      case 'cancel':
        this.uploads.delete(command.assignment.id);
        this.sessions.get(command.assignment.worker)?.cancel(command.assignment.id);
        break;
      case 'clear':
        this.run.trainer.clear();
        this.endJob();
        break;
      case 'step':
        this.step().then(
          () => this.post({ kind: 'stepped' }),
          (error) => this.fail(error),
        );
        break;
      case 'conclude':
        this.conclude();
        break;
      case 'save':
        this.save().then(
          () => this.post({ kind: 'saved' }),
          (error) => this.fail(error),
        );
        break;
      case 'refuse':
        this.sessions.get(command.worker)?.refuse(command.reason);
        this.sessions.delete(command.worker);
        break;
      case 'dismiss':
        this.sessions.get(command.worker)?.drop(command.reason);
        break;
      case 'quarantine':
        this.quarantine(command);
        break;
      case 'note':
        this.note(command);
        break;
      case 'finish':
        this.finish(command.reason, command.interrupted);
        break;
      case 'abort':
        this.fail(new Error(command.reason));
        break;
      default:
        command satisfies never;
    }
  }

  private assign(kind: JobKind, step: number, assignment: Assignment): void {
    if (this.losses.length === 0) {
      const { microBatches, evaluationBatches } = this.state.plan;
      const total = kind === 'train' ? microBatches : evaluationBatches;
      this.losses = new Float64Array(total);
      this.targets = new Float64Array(total);
      this.jobBegan = performance.now();
    }
    const session = this.sessions.get(assignment.worker);
    this.feed.want(assignment.worker, step);
    session?.assign(this.batches.message(kind, step, assignment, session.hasData));
  }

  private accept({ range }: Assignment, losses: Losses | null): void {
    if (losses === null) throw new Error('an answer was accepted that never came');
    this.losses.set(losses.sums, range.first);
    this.targets.set(losses.targets, range.first);
    this.lastProgress = performance.now();
  }

  private async step(): Promise<void> {
    const { run, feed } = this;
    const { trainer } = run;
    span('receive', this.jobBegan, { step: trainer.step });
    // Only an evaluation needs the weights after the last step.
    const version = trainer.step + 1;
    const needed = version < this.state.plan.steps || this.evaluation.length > 0;
    feed.begin(version, needed ? nextCrew(this.state).map(({ id }) => id) : []);
    const result = await this.helm.step(total(this.losses), total(this.targets), (from, to) =>
      feed.fill(from, to),
    );
    if (result.skipped) feed.fill(0, run.material.task.model.size);
    const { state } = this;
    const seconds = (performance.now() - this.jobBegan) / 1000;
    this.pace = this.pace === 0 ? seconds : 0.9 * this.pace + 0.1 * seconds;
    const workers = state.members.length;
    const crew = state.members.filter(({ turn }) => turn === state.step).length;
    const { step, loss, learningRate, gradNorm, tokens, updateRatio, failure } = result;
    const tokensPerSecond = tokens / seconds;
    const { steps } = state.plan;
    run.directory.metrics.append({
      kind: 'train',
      step,
      loss,
      learningRate,
      gradNorm,
      tokens,
      tokensPerSecond,
      secondsPerStep: seconds,
      workers,
      crew,
      bytesReceived: this.bytes.received - this.bytesBefore.received,
      bytesSent: this.bytes.sent - this.bytesBefore.sent,
      ...(run.config.run.measure && { updateRatio }),
    });
    this.bytesBefore = { ...this.bytes };
    this.endJob();
    this.progress?.stepped({ step, loss });
    if (failure !== null) throw failure;
    const secondsLeft = this.pace * (steps - step);
    this.report({
      kind: 'step',
      step,
      steps,
      loss,
      learningRate,
      gradNorm,
      updateRatio,
      tokens,
      tokensPerSecond,
      unit: run.material.unit,
      secondsPerStep: seconds,
      workers,
      crew,
      secondsLeft,
    });
  }

  private conclude(): void {
    const { run, state } = this;
    span('evaluate', this.jobBegan, { step: state.step });
    const result = run.material.conclude(this.evaluation, this.losses, this.targets);
    this.endJob();
    const found = this.progress?.evaluated(state.step, result);
    const { metrics, converged = null, overfitting = null } = found ?? {};
    run.directory.metrics.append({ kind: 'eval', step: state.step, ...result, ...metrics });
    run.lastEvaluation = result;
    if (this.ending) this.helm.demandFinite(result);
    const { validationLoss } = result;
    const improved =
      validationLoss !== null && validationLoss < (run.best?.validationLoss ?? Number.POSITIVE_INFINITY);
    if (improved) run.best = { step: state.step, validationLoss };
    this.report({ kind: 'eval', step: state.step, ...result });
    if (overfitting !== null) {
      this.record(overfitting);
      this.report({ kind: 'warning', text: overfitting.reason, event: overfitting.event });
    }
    if (converged === null || this.ending) {
      this.post({ kind: 'evaluated', improved });
      return;
    }
    this.record(converged);
    this.report({ kind: 'status', text: `step ${state.step} ${converged.reason}` });
    this.post({ kind: 'evaluated', improved, converged: converged.reason });
  }

  private async save(): Promise<void> {
    const { step, evaluatedAt, stop } = this.state;
    if (this.ending && evaluatedAt !== step && !stop?.interrupted) this.helm.demandFinite(null);
    const began = performance.now();
    const { path, weightsSha256 } = await this.run.save();
    span('save', began, { step });
    this.record({ event: 'checkpoint', step, reason: path });
    this.report({ kind: 'checkpoint', step, path, weightsSha256 });
    this.lastProgress = performance.now();
  }

  private note(note: Extract<Command, { do: 'note' }>): void {
    const { members, step } = this.state;
    this.record({ event: note.event, step, worker: note.worker, reason: note.reason });
    const device = note.event === 'joined' ? ` with ${this.sessions.get(note.worker ?? '')?.device}` : '';
    const text = `${note.worker ?? 'run'} ${note.event}${device}: ${note.reason}`;
    const threads = members.reduce((sum, member) => sum + member.threads, 0);
    this.report({ kind: 'worker', text, workers: members.length, threads });
  }

  /** No step follows. */
  private get ending(): boolean {
    const { stop, step, plan } = this.state;
    return stop !== null || step >= plan.steps;
  }

  private quarantine({ worker, identity, reason }: Extract<Command, { do: 'quarantine' }>): void {
    this.record({
      event: 'quarantined',
      step: this.state.step,
      worker,
      reason,
      ...(identity !== null && { numbers: { identity } }),
    });
    this.report({ kind: 'warning', text: `${worker} quarantined: ${reason}` });
    if (identity !== null) this.quarantined.set(identity, reason);
    this.sessions.get(worker)?.refuse(`it is quarantined: ${reason}`);
    this.sessions.delete(worker);
  }

  private record(line: EventLine): void {
    this.run.event(line);
    this.noted(line.event);
  }

  private endJob(): void {
    this.losses = new Float64Array(0);
    this.targets = new Float64Array(0);
    this.forgetSums();
    this.lastProgress = performance.now();
  }

  private forgetSums(): void {
    this.uploads.clear();
    this.watch.clear();
    this.proofs.clear();
  }

  private tick(): void {
    this.post({ kind: 'tick' });
    const now = performance.now();
    const quiet = now - this.lastProgress;
    if (quiet < PATIENCE_MILLISECONDS) this.patience = PATIENCE_MILLISECONDS;
    if (quiet < this.patience) return;
    const waiting = waitingFor(this.state);
    if (waiting === null) return;
    this.patience *= 2;
    const seconds = Math.round((now - this.lastProgress) / 1000);
    this.report({ kind: 'waiting', text: `waiting ${seconds} s for ${waiting}` });
  }

  private finish(reason: string, interrupted: boolean): void {
    const { run, state } = this;
    this.end();
    this.settle.resolve({
      step: state.step,
      steps: state.plan.steps,
      interrupted,
      reason,
      trainLoss: run.trainer.lastLoss,
      validationLoss: run.lastEvaluation?.validationLoss ?? null,
      bestValidationLoss: run.best?.validationLoss ?? null,
      overfitting: this.progress?.overfitting ?? null,
      weightsSha256: run.trainer.weightsSha256(),
      out: run.out,
      seconds: (performance.now() - this.began) / 1000,
      tokens: run.trainer.tokensSeen,
    });
  }

  private fail(error: unknown): void {
    this.state = { ...this.state, phase: { name: 'finished' } };
    this.queue.length = 0;
    const reason = error instanceof Error ? error.message : String(error);
    this.end();
    this.settle.reject(error instanceof Error ? error : new Error(reason));
  }

  private end(): void {
    clearInterval(this.ticker);
    this.feed.close();
  }
}

function total(values: Float64Array): number {
  let sum = 0;
  for (const value of values) sum += value;
  return sum;
}
