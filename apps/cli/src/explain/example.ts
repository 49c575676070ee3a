import { show, UserError } from '@manyhands/core/config';
import type { ModelConfig } from '@manyhands/core/model';
import type { Tokenizer } from '@manyhands/tokenizer';
import { readJson } from '../input.js';

/** What a training step learns from: sequences of token ids and, at each position, the token that should follow. */
export interface Example {
  readonly batch: number;
  readonly time: number;
  /** [batch·time] */
  readonly inputs: Int32Array;
  /** [batch·time]; −1 where nothing is asked */
  readonly targets: Int32Array;
  /** Positions with a target. */
  readonly asked: number;
  /** Tokens at the prompt's beginning that did not fit. */
  readonly dropped?: number;
}

/** No target at this position. */
const nothing = -1;

/**
 * One sequence of the prompt and its answer, in which only the answer's tokens are asked for. A prompt that does
 * not fit loses its beginning, as in generation.
 * @throws UserError for an empty prompt or answer, or an answer longer than the model's context
 */
export function promptExample(
  tokenizer: Tokenizer,
  { prompt, answer }: { prompt: string; answer: string },
  config: ModelConfig,
): Example & { readonly promptIds: readonly number[]; readonly answerIds: readonly number[] } {
  const answerIds = [...tokenizer.encode(answer)];
  const all = [...tokenizer.encode(prompt)];
  if (all.length === 0) throw new UserError('--prompt is empty: give the text that the answer follows.');
  if (answerIds.length === 0)
    throw new UserError('--answer is empty: give the text that should follow the prompt.');
  const room = config.context + 1 - answerIds.length;
  if (room < 1) {
    throw new UserError(
      `--answer has ${answerIds.length} tokens, but the model sees ${config.context} at once.`,
    );
  }
  const promptIds = all.slice(-room);
  const ids = [...promptIds, ...answerIds];
  const time = ids.length - 1;
  const targets = Int32Array.from({ length: time }, (_, i) =>
    i + 1 < promptIds.length ? nothing : ids[i + 1],
  );
  const inputs = Int32Array.from(ids.slice(0, -1));
  return {
    batch: 1,
    time,
    inputs,
    targets,
    asked: answerIds.length,
    dropped: all.length - promptIds.length,
    promptIds,
    answerIds,
  };
}

/**
 * Reads a batch: `{"input_ids": [[…]], "labels": [[…]]}`, rows of one length; a label below 0 is not asked for
 * (Hugging Face's −100).
 * @throws UserError that names the file and the row
 */
export function readBatch(file: string, config: ModelConfig): Example {
  const json = readJson(file, '--batch');
  const inputs = rows(json, 'input_ids', file);
  const labels = rows(json, 'labels', file);
  const batch = inputs.length;
  const time = inputs[0].length;
  if (time > config.context) {
    throw new UserError(`${file}: a row has ${time} tokens, but the model sees ${config.context} at once.`);
  }
  if (labels.length !== batch) {
    throw new UserError(
      `${file}: input_ids has ${batch} rows and labels has ${labels.length}: both need as many.`,
    );
  }
  for (const [name, table] of [
    ['input_ids', inputs],
    ['labels', labels],
  ] as const) {
    table.forEach((row, index) => {
      if (row.length !== time) {
        throw new UserError(
          `${file}: row ${index} of ${name} has ${row.length} entries, the first row ${time}.`,
        );
      }
      const wrong = row.find((id) => id >= config.vocab || (id < 0 && name === 'input_ids'));
      if (wrong !== undefined) {
        throw new UserError(
          `${file}: row ${index} of ${name} has the token ${wrong}, but the model’s vocabulary has ${config.vocab}.`,
        );
      }
    });
  }
  const targets = Int32Array.from(labels.flat(), (id) => Math.max(id, nothing));
  const asked = targets.reduce((sum, id) => sum + (id === nothing ? 0 : 1), 0);
  if (asked === 0) throw new UserError(`${file}: no label is 0 or more, so there is nothing to learn.`);
  return { batch, time, inputs: Int32Array.from(inputs.flat()), targets, asked };
}

function rows(json: object, key: string, file: string): number[][] {
  const table: unknown = Object.hasOwn(json, key) ? Reflect.get(json, key) : undefined;
  const good = Array.isArray(table) && table.length > 0 && table.every((row) => isIds(row) && row.length > 0);
  if (!good) throw new UserError(`${file}: ${key} is ${show(table)}, but must be rows of token ids.`);
  return table;
}

function isIds(row: unknown): row is number[] {
  return Array.isArray(row) && row.every((id) => Number.isInteger(id));
}
