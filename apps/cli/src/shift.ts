import { UserError } from '@manyhands/core/config';
import {
  documents,
  evaluationWindows,
  mixtureShares,
  type SplitName,
  type TokenData,
} from '@manyhands/core/data';
import {
  intervalOf,
  type MeanLoss,
  mixed,
  NgramModel,
  type Shift,
  Surprise,
  shiftOf,
  type Verdict,
  verdictOf,
} from '@manyhands/core/learning';
import type { Tokenizer } from '@manyhands/tokenizer';
import { refuseMissing } from './refuse-missing.js';

/** What a text costs under the n-grams of each order, in bits a byte. */
export interface TextCost {
  readonly orders: readonly MeanLoss[];
}

export interface TextShift extends TextCost {
  /** At [n−1] for n-grams: how much more than the run's validation text. */
  readonly shifts: readonly Shift[];
  /** By the longest n-grams. */
  readonly verdict: Verdict;
}

export interface MixtureShift {
  /** Bytes of the training mixture that were counted. */
  readonly counted: number;
  readonly validation: TextCost;
  readonly texts: ReadonlyMap<string, TextShift>;
}

/** Bytes, not tokens: every text has them, whatever characters the run's tokenizer knows. */
const BYTES = 256;
/** Five bytes tell words apart, and are counted well in a megabyte of text. */
const ORDER = 5;
/** Bytes of the training mixture that are counted at most: more would hardly change the third digit. */
const COUNTED = 2_000_000;
/** Tokens that are read in one go, and bytes of a part of a document. */
const STRETCH = 4096;
/** Stretches of validation text at most, spread evenly over it: 8 Mi tokens. */
const MOST_VALIDATION = 2048;

/**
 * How far texts lie from what a run was trained on: their cross-entropy under models of byte n-grams that are counted on the
 * training data, each source by its share of the mixture, beside that of the run's validation text.
 * @param steps that were trained: the mixture may have changed with them
 * @throws UserError where nothing was kept for validation, or a text is missing, empty or no text
 */
export async function measureShift(
  data: TokenData,
  steps: number,
  tokenizer: Tokenizer,
  paths: readonly string[],
  progress: (bytes: number) => void,
): Promise<MixtureShift> {
  await refuseMissing(paths);
  const shares = mixtureShares(data, steps);
  const { model, counted } = countMixture(data, shares, tokenizer);
  const validation = validationCost(data, shares, tokenizer, model);
  const texts = new Map<string, TextShift>();
  let done = 0;
  for (const path of paths) {
    const surprise = new Surprise(model);
    let document: string | null = null;
    for await (const block of documents([{ path, weight: 1 }])) {
      if (document !== null && block.path !== document) surprise.endDocument();
      document = block.path;
      const bytes = Buffer.from(block.text);
      addParts(surprise, bytes);
      done += bytes.length;
      progress(done);
    }
    surprise.endDocument();
    const cost = surprise.results;
    if (cost === null) throw new UserError(`${path} has fewer than two bytes: there is nothing to measure.`);
    const orders = cost.map(inBits);
    const shifts = shiftOf(validation, orders);
    texts.set(path, { orders, shifts, verdict: verdictOf(shifts[ORDER - 1]) });
  }
  return { counted, validation: { orders: validation }, texts };
}

/** Byte n-grams of stretches of the training data, spread evenly over each source and as many as its share asks for. */
function countMixture(
  data: TokenData,
  shares: readonly number[],
  tokenizer: Tokenizer,
): { model: NgramModel; counted: number } {
  const model = new NgramModel(BYTES, ORDER);
  let counted = 0;
  for (const [source, { train }] of data.sources.entries()) {
    if (shares[source] === 0) continue;
    const stretch = (STRETCH * train.bytes) / train.tokens; // in bytes
    const maximum = Math.max(1, Math.round((COUNTED * shares[source]) / stretch));
    for (const tokens of stretches(data, 'train', source, maximum)) {
      const bytes = tokenizer.decodeBytes(tokens);
      model.learn(bytes);
      counted += bytes.length;
    }
  }
  return { model, counted };
}

/** Of the validation text of each source, by its share of the mixture. In bits. */
function validationCost(
  data: TokenData,
  shares: readonly number[],
  tokenizer: Tokenizer,
  model: NgramModel,
): readonly MeanLoss[] {
  const parts = shares.flatMap((share, source) => {
    if (share === 0) return [];
    const surprise = new Surprise(model);
    for (const tokens of stretches(data, 'validation', source, MOST_VALIDATION)) {
      for (const [i, document] of split(tokens, data.endOfText).entries()) {
        if (i > 0) surprise.endDocument();
        addParts(surprise, tokenizer.decodeBytes(document));
      }
    }
    surprise.endDocument();
    const means = surprise.results;
    return means === null ? [] : [{ share, means: means.map(inBits) }];
  });
  if (parts.length === 0) {
    throw new UserError(
      `${data.dir} has no validation text to compare with: train with data.validation above 0.`,
    );
  }
  return Array.from({ length: ORDER }, (_, i) =>
    mixed(parts.map(({ share, means }) => ({ share, mean: means[i] }))),
  );
}

/** Tokens of a source's split in its order, without those beyond its end. */
function* stretches(
  data: TokenData,
  split: SplitName,
  source: number,
  maximum: number,
): Generator<Int32Array> {
  const sources = [data.sources[source]];
  for (const window of evaluationWindows({ sources }, split, { context: STRETCH, maximum })) {
    const tokens = data.tokens({ ...window, source }, STRETCH - 1);
    const end = tokens.indexOf(-1);
    yield end < 0 ? tokens : tokens.subarray(0, end);
  }
}

/** The parts between the tokens that end a text. */
function split(tokens: Int32Array, endOfText: number | null): Int32Array[] {
  if (endOfText === null) return [tokens];
  const parts: Int32Array[] = [];
  let start = 0;
  for (let end = tokens.indexOf(endOfText); end >= 0; end = tokens.indexOf(endOfText, start)) {
    parts.push(tokens.subarray(start, end));
    start = end + 1;
  }
  return [...parts, tokens.subarray(start)];
}

function addParts(surprise: Surprise, bytes: Uint8Array): void {
  for (let start = 0; start < bytes.length; start += STRETCH) {
    surprise.add(bytes.subarray(start, start + STRETCH));
  }
}

function inBits(mean: MeanLoss): MeanLoss {
  return { ...mean, mean: mean.mean / Math.LN2, error: mean.error === null ? null : mean.error / Math.LN2 };
}

/** What was found of one text, in one sentence without its full stop. */
export function shiftInWords(name: string, { shifts, verdict }: TextShift): string {
  const shift = shifts[ORDER - 1];
  const [low, high] = intervalOf(shift) ?? [0, 0];
  const more = `${Math.abs(shift.difference).toFixed(3)} bits ${shift.difference < 0 ? 'less' : 'more'} than in validation text`;
  const cost = `under its ${ORDER}-grams of bytes a byte costs ${more} (95 %: ${low.toFixed(3)} … ${high.toFixed(3)})`;
  switch (verdict) {
    case 'other':
      return `${name} is of another distribution than the training mixture: ${cost}`;
    case 'no other':
      return `nothing shows that ${name} is of another distribution than the training mixture: ${cost}, which chance explains`;
    case 'easier':
      return `${name} is no stranger to the training mixture: ${cost}, so it is more regular, or was trained on`;
    case 'unknown':
      return `too little text to tell whether ${name} is of another distribution: it or the validation text is a single stretch`;
    default:
      return verdict satisfies never;
  }
}
