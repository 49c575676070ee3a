import { resolve } from 'node:path';
import { UserError } from '@manyhands/core/config';
import { documents, type TextBlock } from '@manyhands/core/data';
import { evaluate, type ReadonlyWeights } from '@manyhands/core/inference';
import type { Kernels } from '@manyhands/core/kernels';
import { DocumentMean, type MeanLoss } from '@manyhands/core/learning';
import type { Model } from '@manyhands/core/model';
import { type Tokenizer, TokenizerError } from '@manyhands/tokenizer';
import { refuseMissing } from './refuse-missing.js';

/** How well a model predicts a text. */
export interface SourceScore {
  /** Mean over the tokens, in nats. */
  readonly loss: number;
  /** Tokens that were predicted. */
  readonly tokens: number;
  /** Bytes of text that those tokens stand for. */
  readonly bytes: number;
  /** The same mean with its uncertainty over documents. */
  readonly spread: Pick<MeanLoss, 'documents' | 'error' | 'over'>;
}

/** Who wants to know more of an evaluation than its sums. */
export interface TextWatcher {
  /** A document begins; the windows that follow are its own. */
  begins(source: string, document: string): void;
  /** Tokens [T+1], the first being the last of the window before, and the loss of each but the first [T]. */
  window(tokens: Int32Array, losses: Float64Array): void;
  ends(): void;
}

/** Positions that are computed at once. */
const POSITIONS = 1024;

/**
 * The loss of a model over whole texts, in windows of its context that follow each other: each token but the first
 * of a document is predicted once.
 * @throws UserError for data that is missing, is no text, is named twice, has fewer than two tokens, or characters
 *   that the tokenizer does not know
 */
export async function evaluateText(
  kernels: Kernels,
  { model, weights }: { readonly model: Model; readonly weights: ReadonlyWeights },
  tokenizer: Tokenizer,
  paths: readonly string[],
  { progress, watcher }: { progress: (tokens: number) => void; watcher?: TextWatcher },
): Promise<{ whole: SourceScore; sources: Map<string, SourceScore> }> {
  refuseTwins(paths);
  await refuseMissing(paths);
  const { context } = model.config;
  const batch = Math.max(1, Math.floor(POSITIONS / context));
  const sources = new Map<string, SourceScore>();
  const overall = new DocumentMean();
  let done = 0;
  for (const path of paths) {
    const own = new DocumentMean();
    const means = [own, overall];
    const seen: Seen = { bytes: 0, windows: [] };
    let document: string | null = null;
    const ends = () => {
      if (document === null) return;
      for (const mean of means) mean.endDocument();
      watcher?.ends();
    };
    const heard = (window: Int32Array, losses: Float64Array) => {
      const from = seen.windows.shift() ?? '';
      if (from !== document) {
        ends();
        watcher?.begins(path, from);
        document = from;
      }
      const sum = losses.reduce((total, loss) => total + loss, 0);
      for (const mean of means) mean.add(sum, losses.length);
      watcher?.window(window, losses);
    };
    const { loss, tokens } = await evaluate(
      kernels,
      model,
      weights,
      windowsOf(path, tokenizer, context, seen),
      {
        batch,
        progress: (tokens) => progress(done + tokens),
        heard,
      },
    );
    ends();
    done += tokens;
    sources.set(path, { loss, tokens, bytes: seen.bytes, spread: spreadOf(own) });
  }
  const scores = [...sources.values()];
  const total = (pick: (score: SourceScore) => number) => scores.reduce((sum, score) => sum + pick(score), 0);
  const tokens = total((score) => score.tokens);
  const loss = total((score) => score.loss * score.tokens) / tokens;
  const bytes = total((score) => score.bytes);
  return { whole: { loss, tokens, bytes, spread: spreadOf(overall) }, sources };
}

function spreadOf({ result }: DocumentMean): SourceScore['spread'] {
  return result ?? { documents: 0, error: null, over: 'documents' };
}

function refuseTwins(paths: readonly string[]): void {
  const seen = new Set<string>();
  for (const path of paths) {
    const place = resolve(path);
    if (seen.has(place)) throw new UserError(`--data names ${path} twice: name each source once.`);
    seen.add(place);
  }
}

interface Seen {
  /** Of the text of every token but the documents' first, which nothing predicts. */
  bytes: number;
  /** The document of each window that is under way, in order. */
  readonly windows: string[];
}

/** Windows of context+1 tokens of each document, the last token of one being the first of the next. */
async function* windowsOf(
  path: string,
  tokenizer: Tokenizer,
  context: number,
  seen: Seen,
): AsyncGenerator<Int32Array> {
  let document = '';
  let pending: number[] = [];
  const take = (next: number[]): Int32Array => {
    const window = Int32Array.from(pending);
    pending = next;
    seen.windows.push(document);
    return window;
  };
  for await (const block of documents([{ path, weight: 1 }])) {
    const ids = encode(tokenizer, block);
    seen.bytes += Buffer.byteLength(block.text);
    if (block.path !== document) {
      if (pending.length > 1) yield take([]);
      pending = [];
      document = block.path;
      if (ids.length > 0) seen.bytes -= tokenizer.decodeBytes(ids.subarray(0, 1)).length;
    }
    for (const id of ids) {
      pending.push(id);
      if (pending.length > context) yield take([id]);
    }
  }
  if (pending.length > 1) yield take([]);
}

/** @throws UserError that names the file, where the tokenizer does not know a character of it */
function encode(tokenizer: Tokenizer, { path, text }: TextBlock): Uint32Array {
  try {
    return tokenizer.encode(text);
  } catch (error) {
    if (!(error instanceof TokenizerError)) throw error;
    throw new UserError(`${path} is not for this model: ${error.message}`);
  }
}
