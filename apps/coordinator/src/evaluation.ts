import { evaluationWindows, type TokenData, type Window } from '@manyhands/core/data';

/**
 * Sequences that an evaluation reads of each split at most, and of all that is held out. What was kept for validation is
 * what a person looks at; the training data are only there to compare with.
 */
const MAXIMUM_SEQUENCES = { train: 200, validation: 600, heldOut: 150 };

/** Positions from which on a larger batch no longer makes the forward pass faster. */
const ENOUGH_POSITIONS = 768;

/** Neighbouring windows of one source and split; the unit of an evaluation. */
export interface EvaluationBatch {
  readonly split: Window['split'];
  readonly source: number;
  readonly windows: readonly Window[];
}

export interface Evaluation {
  readonly trainLoss: number;
  /** null where nothing was kept for validation. */
  readonly validationLoss: number | null;
  readonly bitsPerByte: number | null;
  /** Validation loss less training loss, with the standard error that comes from the choice of passages; null where
   *  nothing was kept for validation, or the two are not of one kind. */
  readonly gap: { readonly loss: number; readonly error: number } | null;
  /** Validation loss by source, also of those that are held out, which count for no other figure here. */
  readonly sources: Readonly<Record<string, number>>;
  /** Training loss by source. */
  readonly trainSources: Readonly<Record<string, number>>;
  /** Names of the sources that are held out. */
  readonly heldOut: readonly string[];
}

/**
 * The same evenly spaced windows of both splits, and of what is held out, at every evaluation, in batches of one source.
 * What is held out changes nothing of the others.
 */
export function planEvaluation(data: TokenData, context: number): EvaluationBatch[] {
  const batches: EvaluationBatch[] = [];
  const size = Math.ceil(ENOUGH_POSITIONS / context);
  for (const part of ['train', 'validation', 'heldOut'] as const) {
    const heldOut = part === 'heldOut';
    const split = heldOut ? 'validation' : part;
    const windows = evaluationWindows(data, split, { context, maximum: MAXIMUM_SEQUENCES[part], heldOut });
    for (let source = 0; source < data.sources.length; source++) {
      const own = windows.filter((window) => window.source === source);
      for (let first = 0; first < own.length; first += size) {
        batches.push({ split, source, windows: own.slice(first, first + size) });
      }
    }
  }
  return batches;
}

/** Sums of losses and counts of targets, one a batch of the plan and in its order, as one result. */
export function concludeEvaluation(
  plan: readonly EvaluationBatch[],
  sums: ArrayLike<number>,
  targets: ArrayLike<number>,
  data: Pick<TokenData, 'sources'>,
): Evaluation {
  const counts = ({ source }: EvaluationBatch) => data.sources[source]?.heldOut !== true;
  const mean = (chosen: (batch: EvaluationBatch) => boolean): number | null => {
    let loss = 0;
    let count = 0;
    plan.forEach((batch, index) => {
      if (!chosen(batch)) return;
      loss += sums[index];
      count += targets[index];
    });
    return count === 0 ? null : loss / count;
  };
  /** Of the mean over a split, from the spread of its batches' losses, each weighed by its targets. */
  const error = (split: Window['split']): number => {
    const batches = plan.flatMap((batch, index) =>
      batch.split === split && counts(batch) && targets[index] > 0
        ? [{ loss: sums[index], count: targets[index] }]
        : [],
    );
    const total = batches.reduce((sum, { count }) => sum + count, 0);
    const average = batches.reduce((sum, { loss }) => sum + loss, 0) / total;
    const spread = batches.reduce((sum, { loss, count }) => sum + (loss - count * average) ** 2, 0);
    return Math.sqrt((spread * batches.length) / Math.max(1, batches.length - 1)) / total;
  };
  /** By name; a source without a target is left out. */
  const bySource = (split: Window['split']): Record<string, number> =>
    Object.fromEntries(
      data.sources.flatMap(({ name }, source) => {
        const loss = mean((batch) => batch.split === split && batch.source === source);
        return loss === null ? [] : [[name, loss]];
      }),
    );
  const trainLoss = mean((batch) => batch.split === 'train') ?? Number.NaN;
  const validationLoss = mean((batch) => batch.split === 'validation' && counts(batch));
  const heldOut = data.sources.filter((source) => source.heldOut === true);
  const validation = data.sources.reduce(
    (sum, { heldOut, validation: split }) =>
      heldOut === true ? sum : { tokens: sum.tokens + split.tokens, bytes: sum.bytes + split.bytes },
    { tokens: 0, bytes: 0 },
  );
  return {
    trainLoss,
    validationLoss,
    gap:
      validationLoss === null
        ? null
        : { loss: validationLoss - trainLoss, error: Math.hypot(error('train'), error('validation')) },
    bitsPerByte:
      validationLoss === null || validation.bytes === 0
        ? null
        : (validationLoss / Math.LN2) * (validation.tokens / validation.bytes),
    sources: bySource('validation'),
    trainSources: bySource('train'),
    heldOut: heldOut.map(({ name }) => name),
  };
}
