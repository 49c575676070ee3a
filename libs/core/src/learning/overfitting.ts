import { Z95 } from './interval.js';

/** An evaluation's losses in nats a token; the gap between them with its standard error. */
export interface Gap {
  readonly step: number;
  readonly trainLoss: number;
  readonly validationLoss: number;
  readonly error: number;
}

/** Overfitting: since `from`, which had the lowest validation loss, the gap has opened. */
export interface Overfitting {
  readonly from: Gap;
  readonly now: Gap;
  /** By how much the gap is wider, with the standard error of that. */
  readonly widened: number;
  readonly error: number;
}

/**
 * The gap that an evaluation's line of metrics.jsonl tells of; null: it tells of none that is finite, or says itself that
 * there is none, since its two losses are not of one kind.
 */
export function gapOf({
  step,
  trainLoss,
  validationLoss,
  gap,
}: Readonly<Record<string, unknown>>): Gap | null {
  if (typeof step !== 'number' || typeof trainLoss !== 'number' || typeof validationLoss !== 'number') {
    return null;
  }
  if (gap === null) return null;
  const error: unknown = Object(gap).error;
  return { step, trainLoss, validationLoss, error: typeof error === 'number' ? error : 0 };
}

/** Evaluations one after the other that have to show it: one alone may be chance. */
const IN_A_ROW = 2;

/**
 * The gap between training and validation has opened where it is wider than at the lowest validation loss, beyond what
 * the choice of the evaluated passages explains, in the last evaluations one after the other. A gap that opens while the
 * validation loss still falls is none: the model learns, only less of what it has not seen. null: it has not.
 */
export function overfitting(evaluations: readonly Gap[]): Overfitting | null {
  if (evaluations.length <= IN_A_ROW) return null;
  const from = evaluations.reduce((a, b) => (b.validationLoss < a.validationLoss ? b : a));
  const last = evaluations.slice(-IN_A_ROW).map((now) => ({ from, now, ...comparison(from, now) }));
  const open = last.every(({ now, widened, error }) => now.step > from.step && widened > Z95 * error);
  return open ? last[IN_A_ROW - 1] : null;
}

function comparison(from: Gap, now: Gap): Pick<Overfitting, 'widened' | 'error'> {
  const width = ({ trainLoss, validationLoss }: Gap) => validationLoss - trainLoss;
  return { widened: width(now) - width(from), error: Math.sqrt(from.error ** 2 + now.error ** 2) };
}

/** Since when, by which numbers, and what may help: one sentence, without its full stop. */
export function describeOverfitting({ from, now, widened, error }: Overfitting): string {
  return (
    `the model overfits since step ${from.step}: there the validation loss was lowest, ${from.validationLoss.toFixed(4)}, and is ` +
    `${now.validationLoss.toFixed(4)} now, while the training loss went from ${from.trainLoss.toFixed(4)} to ${now.trainLoss.toFixed(4)} ` +
    `(the gap is wider by ${widened.toFixed(4)} ± ${(Z95 * error).toFixed(4)}): more data, model.dropout, optimizer.weightDecay ` +
    'or stopping there (best/) may help'
  );
}
