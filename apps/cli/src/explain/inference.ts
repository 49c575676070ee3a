import { weightsSha256 } from '@manyhands/core/checkpoint';
import { generate } from '@manyhands/core/inference';
import type { Kernels } from '@manyhands/core/kernels';
import type { Model } from '@manyhands/core/model';
import { predictionAt } from './outcome.js';
import type { Guess, Inference, Token, Written } from './page/picture.js';

/** What inference is asked for. */
export interface Question {
  readonly promptIds: readonly number[];
  /** Tokens to write, unless the text ends before. */
  readonly count: number;
  readonly endOfText: number | null;
  readonly text: (id: number) => string;
}

/** Writes on from a prompt, the likeliest token each time, with what the model considered on the way. */
export async function watchInference(
  kernels: Kernels,
  model: Model,
  weights: Float32Array,
  { promptIds, count, endOfText, text }: Question,
): Promise<Inference> {
  const { vocab, context } = model.config;
  const token = (id: number): Token => ({ id, text: text(id) });
  const guess = ({ id, probability }: { id: number; probability: number }): Guess => ({
    ...token(id),
    probability,
  });
  const before = weightsSha256(weights);
  const ids = [...promptIds];
  const tokens: Written[] = [];
  let logits = new Float32Array(vocab);
  const watch = (values: ArrayLike<number>) => {
    logits = Float32Array.from(values);
  };
  const options = { maxTokens: count, temperature: 0, endOfText, watch };
  for await (const { id } of generate(kernels, model, weights, promptIds, options)) {
    // As the decoder does: what it has seen it holds, until the window slides and all of it is read again.
    const held = tokens.length === 0 || ids.length > context ? 0 : ids.length - 1;
    const { answer, guesses } = predictionAt(logits, vocab, 0, id);
    tokens.push({
      fed: ids.slice(Math.max(held, ids.length - context)).map(token),
      held,
      candidates: guesses.map(guess),
      picked: guess(answer),
    });
    ids.push(id);
  }
  return { tokens, weightsSha256: { before, after: weightsSha256(weights) } };
}
