import { resolve } from 'node:path';
import { UserError } from '@manyhands/core/config';
import { documents } from '@manyhands/core/data';
import { evaluate, type ReadonlyWeights } from '@manyhands/core/inference';
import type { Kernels } from '@manyhands/core/kernels';
import type { Model } from '@manyhands/core/model';
import type { Tokenizer } from '@manyhands/tokenizer';

/** How well a model predicts a text. */
export interface SourceScore {
  /** Mean over the tokens, in nats. */
  readonly loss: number;
  /** Tokens that were predicted. */
  readonly tokens: number;
  /** Bytes of text that those tokens stand for. */
  readonly bytes: number;
}

/** Positions that are computed at once. */
const POSITIONS = 1024;

/**
 * The loss of a model over whole texts, in windows of its context that follow each other: each token but the first
 * of a document is predicted once.
 * @throws UserError for data that is missing, is no text, is named twice, or has fewer than two tokens
 */
export async function evaluateText(
  kernels: Kernels,
  { model, weights }: { readonly model: Model; readonly weights: ReadonlyWeights },
  tokenizer: Tokenizer,
  paths: readonly string[],
  progress: (tokens: number) => void,
): Promise<{ whole: SourceScore; sources: Map<string, SourceScore> }> {
  refuseTwins(paths);
  const { context } = model.config;
  const batch = Math.max(1, Math.floor(POSITIONS / context));
  const sources = new Map<string, SourceScore>();
  let done = 0;
  for (const path of paths) {
    const seen = { bytes: 0, name: path };
    const windows = windowsOf(path, tokenizer, context, seen);
    const { loss, tokens } = await evaluate(kernels, model, weights, windows, {
      batch,
      progress: (tokens) => progress(done + tokens),
    });
    done += tokens;
    sources.set(path, { loss, tokens, bytes: seen.bytes });
  }
  const scores = [...sources.values()];
  const total = (pick: (score: SourceScore) => number) => scores.reduce((sum, score) => sum + pick(score), 0);
  const tokens = total((score) => score.tokens);
  const loss = total((score) => score.loss * score.tokens) / tokens;
  return { whole: { loss, tokens, bytes: total((score) => score.bytes) }, sources };
}

function refuseTwins(paths: readonly string[]): void {
  const seen = new Set<string>();
  for (const path of paths) {
    const place = resolve(path);
    if (seen.has(place)) throw new UserError(`--data names ${path} twice: name each source once.`);
    seen.add(place);
  }
}

/**
 * Windows of context+1 tokens of each document, the last token of one being the first of the next. `seen.bytes`
 * counts the text of every token but the documents' first, which nothing predicts.
 */
async function* windowsOf(
  path: string,
  tokenizer: Tokenizer,
  context: number,
  seen: { bytes: number },
): AsyncGenerator<Int32Array> {
  let document = '';
  let pending: number[] = [];
  for await (const block of documents([{ path, weight: 1 }])) {
    const ids = tokenizer.encode(block.text);
    seen.bytes += Buffer.byteLength(block.text);
    if (block.path !== document) {
      if (pending.length > 1) yield Int32Array.from(pending);
      pending = [];
      document = block.path;
      if (ids.length > 0) seen.bytes -= tokenizer.decodeBytes(ids.subarray(0, 1)).length;
    }
    for (const id of ids) {
      pending.push(id);
      if (pending.length <= context) continue;
      yield Int32Array.from(pending);
      pending = [id];
    }
  }
  if (pending.length > 1) yield Int32Array.from(pending);
}
