import { existsSync } from 'node:fs';
import path from 'node:path';
import { UserError } from '@manyhands/core/config';
import {
  evaluationWindows,
  likeliestNext,
  openTokenData,
  type SplitName,
  type TokenData,
} from '@manyhands/core/data';
import { longestRecital, type Recital, recite, reciteBy } from '@manyhands/core/inference';
import type { Kernels } from '@manyhands/core/kernels';
import { type OpenModel, tokenizerOf } from './model.js';

/** What a model says word for word of a split, and what a bigram model of the training data says of it. */
export interface SplitMemory {
  readonly model: Recital;
  readonly bigram: Recital;
}

export interface Memorization {
  /** Tokens that a window begins with, and as many that are continued. */
  readonly continued: number;
  readonly train: SplitMemory;
  /** null where nothing was kept for validation. */
  readonly validation: SplitMemory | null;
}

/** Windows of each split, spread evenly over it: a share of 256 is known to ±6 %. */
const WINDOWS = 256;

/**
 * Where a model's training data lie: the folder that was named, or `data/` of the run that the model belongs to.
 * @throws UserError where there is none, or it was made with another tokenizer
 */
export async function openTrainingData(
  model: OpenModel,
  named: string,
  given: readonly string[] | undefined,
  option: '--memorization' | '--shift',
): Promise<TokenData> {
  if (given !== undefined && given.length > 1) {
    throw new UserError(
      `${option} takes one folder of prepared data, but --data names ${given.length}: give the one that the model was trained on.`,
    );
  }
  const places = given ?? [path.join(named, 'data'), path.join(model.directory, '..', '..', 'data')];
  const folder = places.find((place) => existsSync(path.join(place, 'manifest.json')));
  if (folder === undefined) {
    throw new UserError(
      `${given?.[0] ?? named} has no prepared data with it: give the folder that the model was trained on (a run's data/) with --data.`,
    );
  }
  const data = await openTokenData(folder);
  if (data.vocabHash === tokenizerOf(model).hash) return data;
  data.close();
  throw new UserError(
    `${folder} was prepared with another tokenizer than the model's: give the model's own data.`,
  );
}

/**
 * Tells remembering from learning: the share of a model's training text that it continues word for word, beside the
 * same of text that it never saw and of a bigram model, which only knows which token follows which.
 */
export async function memorization(
  kernels: Kernels,
  model: OpenModel,
  data: TokenData,
): Promise<Memorization> {
  const continued = longestRecital(model.model.config.context);
  const next = likeliestNext(data);
  const memory = async (split: SplitName): Promise<SplitMemory | null> => {
    const windows = windowsOf(data, split, 2 * continued);
    if (windows.length === 0) return null;
    return {
      model: await recite(kernels, model.model, model.weights, windows),
      bigram: await reciteBy(next, windows),
    };
  };
  const train = await memory('train');
  if (train === null) {
    throw new UserError(
      `${data.dir} has no stretch of ${2 * continued} training tokens: there is nothing to continue.`,
    );
  }
  return { continued, train, validation: await memory('validation') };
}

/** Whole windows of `length` tokens. */
function windowsOf(data: TokenData, split: SplitName, length: number): Int32Array[] {
  return evaluationWindows(data, split, { context: length - 1, maximum: WINDOWS })
    .map((window) => data.tokens(window, length - 1))
    .filter((window) => window[length - 1] >= 0);
}

export function share({ verbatim, windows }: Recital): number {
  return verbatim / windows;
}

/** What the figures mean, in one sentence. */
export function verdict({ train, validation }: Memorization): string {
  const seen = share(train.model);
  const plain = share(train.bigram);
  if (validation === null) {
    return 'without validation data nothing tells what is remembered from what follows from the language';
  }
  const unseen = share(validation.model);
  // Two standard errors of the difference of two shares.
  const error = (part: SplitMemory) => (share(part.model) * (1 - share(part.model))) / part.model.windows;
  const margin = 2 * Math.sqrt(error(train) + error(validation));
  if (seen - unseen > margin && seen > plain) {
    return `the model remembers its training text: ${percent(seen - unseen)} more of it comes out word for word than of text that it never saw`;
  }
  return 'nothing shows that the model remembers: text that it never saw comes out word for word as often';
}

export function percent(part: number): string {
  return `${(100 * part).toFixed(1)} %`;
}
