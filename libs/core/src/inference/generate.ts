import { show, UserError } from '../config/index.js';
import type { Kernels } from '../kernels/index.js';
import type { Model } from '../model/index.js';
import { randomStream } from '../numeric/index.js';
import { Decoder } from './decoder.js';
import { checkSampling, type PickedToken, pickToken, type SamplingOptions } from './sampling.js';
import { type ReadonlyWeights, uploadReadonly } from './weights.js';

export type FinishReason = 'stop' | 'length' | 'endOfText';

export interface GenerateOptions extends SamplingOptions {
  readonly maxTokens: number;
  /** The token at position p of the sequence depends on (seed, p) and the logits alone. Default 0. */
  readonly seed?: number;
  /** The token after which nothing follows. */
  readonly endOfText?: number | null;
  /** Asked after each token, with all new ones so far. */
  readonly stop?: (ids: readonly number[]) => boolean;
  /** Shown the logits [V] of each token before it is picked; they are good during the call. */
  readonly watch?: (logits: ArrayLike<number>) => void;
}

export interface GeneratedToken extends PickedToken {
  /** Place in the whole sequence, the prompt's first token being 0. */
  readonly position: number;
  /** Why nothing follows; null where something does. */
  readonly finishReason: FinishReason | null;
}

/**
 * Generates token by token (see Decoder). Until the generator ends (or is left by `break`), nothing else may use the kernels' marks.
 *
 * @throws UserError for an empty prompt, ids outside of the vocabulary, options out of bounds
 */
export async function* generate(
  kernels: Kernels,
  model: Model,
  weights: ReadonlyWeights,
  promptIds: ArrayLike<number>,
  options: GenerateOptions,
): AsyncGenerator<GeneratedToken, FinishReason, void> {
  const { vocab } = model.config;
  const { maxTokens, seed = 0, endOfText = null, stop, watch } = options;
  const ids = Array.from(promptIds);
  checkSampling(options);
  checkPrompt(ids, vocab);
  if (!Number.isSafeInteger(maxTokens) || maxTokens < 0) {
    throw new UserError(`max-tokens is ${show(maxTokens)}, but must be a whole number from 0 up.`);
  }
  if (maxTokens === 0) return 'length';

  const start = kernels.mark();
  try {
    const decoder = new Decoder(kernels, model, uploadReadonly(kernels, model, weights));
    for (const first = ids.length; ; ) {
      const logits = await decoder.logits(ids);
      watch?.(logits);
      const position = ids.length;
      const picked = pickToken(logits, options, randomStream(seed, position), ids);
      ids.push(picked.id);
      const finishReason =
        picked.id === endOfText
          ? 'endOfText'
          : stop?.(ids.slice(first))
            ? 'stop'
            : ids.length - first >= maxTokens
              ? 'length'
              : null;
      yield { ...picked, position, finishReason };
      if (finishReason) return finishReason;
    }
  } finally {
    kernels.release(start);
  }
}

function checkPrompt(ids: readonly number[], vocab: number): void {
  if (ids.length === 0) throw new UserError('The prompt has no tokens: give at least one character.');
  const wrong = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= vocab);
  if (wrong !== undefined) {
    throw new UserError(
      `The prompt has token ${show(wrong)}, but the model's vocabulary has ${vocab}: use the tokenizer it was trained with.`,
    );
  }
}
