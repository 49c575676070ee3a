import { readJournal } from '@manyhands/core/checkpoint';
import {
  type Baselines,
  type Convergence,
  describeOverfitting,
  type Gap,
  gapOf,
  judgeConvergence,
  overfitting,
  type Point,
  type Trend,
} from '@manyhands/core/learning';
import { decayedAt } from '@manyhands/core/optim';
import type { Evaluation, EvaluationBatch } from './evaluation.js';
import type { EventLine, OpenRun } from './open-run.js';

/** What an evaluation tells beside its losses. */
export interface Finding {
  /** More keys of its line in metrics.jsonl. */
  readonly metrics: { readonly baselines: Baselines | null; readonly trend: Trend | null };
  /** The gap between training and validation has opened; null: it has not, or was told of before. */
  readonly overfitting: EventLine | null;
  /** The run is to end here; null: it goes on. */
  readonly converged: EventLine | null;
}

/**
 * Whether the run still learns, from its own numbers: those of metrics.jsonl, so that a resumed run goes on judging
 * where it was.
 */
export class Progress {
  /** null: nothing was kept for validation. */
  readonly baselines: Baselines | null;
  private readonly training: Point[] = [];
  private readonly validation: Point[] = [];
  private readonly gaps: Gap[] = [];

  constructor(
    private readonly run: OpenRun,
    plan: readonly EvaluationBatch[],
  ) {
    const { material, directory } = run;
    this.baselines = material.baselines(plan);
    for (const line of readJournal(directory.metrics.path)) {
      const { kind, step, loss, validationLoss } = line;
      if (typeof step !== 'number') continue;
      if (kind === 'train' && typeof loss === 'number') this.stepped({ step, loss });
      if (kind !== 'eval') continue;
      if (typeof validationLoss === 'number') this.validation.push({ step, loss: validationLoss });
      const gap = gapOf(line);
      if (gap !== null) this.gaps.push(gap);
    }
    this.forget();
  }

  stepped(point: Point): void {
    if (Number.isFinite(point.loss)) this.training.push(point);
  }

  evaluated(step: number, { trainLoss, validationLoss, gap }: Evaluation): Finding {
    const { config } = this.run;
    const { stopWhenConverged } = config.run;
    const { baselines, training, validation } = this;
    const before = overfitting(this.gaps);
    if (validationLoss !== null && Number.isFinite(validationLoss - trainLoss)) {
      this.validation.push({ step, loss: validationLoss });
      if (gap !== null) this.gaps.push({ step, trainLoss, validationLoss, error: gap.error });
    }
    const open = overfitting(this.gaps);
    const lowFrom = decayedAt(config.schedule, config.run.steps);
    const found = judgeConvergence(stopWhenConverged || MEASURED, {
      training,
      validation,
      baselines,
      decayedAt: step >= lowFrom ? lowFrom : null,
    });
    this.forget();
    const converged = stopWhenConverged !== false && found.converged ? this.line(step, found) : null;
    return {
      metrics: { baselines, trend: found.trend },
      overfitting:
        open !== null && before?.from.step !== open.from.step
          ? { event: 'overfitting', step, reason: describeOverfitting(open), numbers: { ...open } }
          : null,
      converged,
    };
  }

  /** Since when the run overfits, in a sentence; null: as far as it knows, it does not. */
  get overfitting(): string | null {
    const open = overfitting(this.gaps);
    return open === null ? null : describeOverfitting(open);
  }

  private line(step: number, { trend, best, waited }: Convergence): EventLine {
    const { baselines } = this;
    const [slope, low, high] = [trend?.slope, trend?.low, trend?.high].map((value) =>
      ((value ?? 0) * 1000).toFixed(4),
    );
    const compared =
      baselines === null
        ? ''
        : `, where unigrams have ${baselines.unigram.toFixed(4)} and bigrams ${baselines.bigram.toFixed(4)}`;
    const reason =
      `converged: the training loss no longer falls (slope ${slope} in 1000 steps, 95 % interval ${low} … ${high}), the validation loss is good ` +
      `(${best?.loss.toFixed(4)}${compared}), ` +
      `and it was no better in ${waited} evaluations since step ${best?.step}`;
    const numbers = { trend, baselines, best: best?.loss, bestStep: best?.step, waited };
    return { event: 'converged', step, reason, numbers };
  }

  /** Steps from before the window that the next evaluation looks at. */
  private forget(): void {
    const { patience } = this.run.config.run.stopWhenConverged || MEASURED;
    const since = this.validation.at(-1 - patience)?.step;
    if (since === undefined) return;
    const kept = this.training.findIndex(({ step }) => step > since);
    this.training.splice(0, kept < 0 ? this.training.length : kept);
  }
}

/** What a run that does not stop by itself is measured with. */
const MEASURED = { patience: 5, minImprovement: 0, beforeDecay: true };
