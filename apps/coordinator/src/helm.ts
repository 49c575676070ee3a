import { RunError } from '@manyhands/core/config';
import { type Alarm, DIVERGED_AFTER, judge, MOST_SKIPPED } from '@manyhands/core/learning';
import type { EventLine, OpenRun } from './open-run.js';
import type { TakenStep } from './trainer.js';

/** How what the helm does is told: a line of events.jsonl, and a warning to whoever started the run. */
type Tell = (line: EventLine) => void;

/**
 * Takes each step as `steering.policy` of the run says: judged by its loss and its gradient's norm before the weights
 * move. What it decides follows from the run's own numbers, whoever computed them.
 */
export class Helm {
  /** The loss and the gradient of the last step were finite. */
  private finite = true;

  constructor(
    private readonly run: OpenRun,
    private readonly tell: Tell,
  ) {}

  /**
   * Moves the weights by the sum of gradients, which is whole, or leaves them, or goes back to the good checkpoint: the
   * step counts as done in any case, so that a version of the weights is never told twice.
   * @param final is told of weights that are final, range by range; of none where the step is skipped
   * @returns with the step, why the run cannot go on; null: it can
   */
  async step(
    lossSum: number,
    targets: number,
    final: (from: number, to: number) => void,
  ): Promise<TakenStep & { readonly failure: RunError | null }> {
    const { run } = this;
    const { trainer, config } = run;
    const number = trainer.step + 1;
    const loss = lossSum / targets;
    const gradNorm = trainer.gradNorm(targets);
    const { action, alarm, state } = judge(config.steering, run.steering, {
      number,
      loss,
      gradNorm,
    });
    const { rateFactor } = run.steering;
    run.steering = state;
    this.finite = Number.isFinite(loss) && Number.isFinite(gradNorm);
    const step = await trainer.takeStep(lossSum, targets, { skip: action !== 'take', rateFactor, final });
    if (alarm === null) return { ...step, failure: null };
    if (action === 'skip') {
      this.say('skipped', number, alarm, `${sentence(alarm, number)}: the step was skipped`);
    } else if (action === 'rollback') {
      await run.rollBack();
      const { good } = state;
      const back = good === 0 ? 'the start of the run' : `the checkpoint of step ${good}`;
      const factor = run.steering.rateFactor;
      const reason = `${sentence(alarm, number)}: back to ${back}, with ${factor.toPrecision(3)} times the learning rate`;
      this.say('rollback', number, alarm, reason, { to: good, rateFactor: factor });
    } else if (action === 'fail') {
      const [what, why] = [sentence(alarm, number), this.hopeless(alarm)];
      this.say('diverged', number, alarm, `${what}: the step was skipped, and the run ended, since ${why}`);
      const text = `${capital(what)}, and ${why}: the run has diverged; lower optimizer.lr and resume from the last checkpoint.`;
      return { ...step, failure: new RunError(text) };
    } else if (alarm.inARow === DIVERGED_AFTER) {
      this.say('diverging', number, alarm, sentence(alarm, number));
    }
    return { ...step, failure: null };
  }

  /**
   * @param evaluation what was found of the weights as they are; null where nobody looked
   * @throws RunError where the run is over and its numbers are not finite: such a run is not done
   */
  demandFinite(
    evaluation: { readonly trainLoss: number; readonly validationLoss: number | null } | null,
  ): void {
    const finite =
      evaluation === null
        ? this.finite
        : Number.isFinite(evaluation.trainLoss) && Number.isFinite(evaluation.validationLoss ?? 0);
    if (finite) return;
    throw new RunError(
      `The ${evaluation === null ? 'last step' : 'evaluation'} at step ${this.run.trainer.step} is not finite and was not saved: the run has diverged; lower optimizer.lr and resume from the last checkpoint.`,
    );
  }

  private say(
    event: string,
    step: number,
    alarm: Alarm,
    reason: string,
    more: Readonly<Record<string, number>> = {},
  ): void {
    const numbers = Object.entries({ ...alarm, ...more }).map(([key, value]) => [
      key,
      typeof value === 'number' && !Number.isFinite(value) ? String(value) : value,
    ]);
    this.tell({ event, step, reason, numbers: Object.fromEntries(numbers) });
  }

  /** Why the policy does not go on. */
  private hopeless({ limit }: Alarm): string {
    const { policy, maxRollbacks } = this.run.config.steering;
    if (policy === 'rollback') return `${maxRollbacks} rollbacks (steering.maxRollbacks) did not help`;
    if (policy === 'stop') return 'steering.policy is stop';
    return limit === null
      ? `the gradient or the loss was not finite in ${MOST_SKIPPED} steps in a row`
      : `${MOST_SKIPPED} steps in a row had to be skipped`;
  }
}

function sentence({ signal, value, limit, median, zScore }: Alarm, step: number): string {
  const what = signal === 'loss' ? `the loss of step ${step}` : `the gradient's norm of step ${step}`;
  if (limit === null) return `${what} is not finite (${value})`;
  const usual =
    median === null || zScore === null
      ? 'the new model was no worse'
      : `the median is ${median.toPrecision(4)}, the z-score ${zScore.toPrecision(3)}`;
  return `${what} is ${value.toPrecision(4)}, above ${limit.toPrecision(4)} (${usual})`;
}

function capital(text: string): string {
  return text[0].toUpperCase() + text.slice(1);
}
