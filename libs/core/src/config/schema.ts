import { z } from 'zod';
import { ADDRESS, parseAddress } from './address.js';
import { weightSchema } from './weight.js';

/*
 * Every key of a run's config, its type and its bounds. The message of each leaf is the phrase that completes
 * "KEY is VALUE, but must be …". The schema is total: a preset has filled in what was left out (see presets.ts).
 */

const largest = 1e9;

const whole = (minimum: number, maximum: number) => {
  const allowed = `a whole number from ${minimum} to ${maximum}`;
  return z.int({ error: allowed }).min(minimum, allowed).max(maximum, allowed);
};

const atLeastZero = (allowed = 'a number from 0 up') => z.number({ error: allowed }).min(0, allowed);
const positive = () => z.number({ error: 'a number above 0' }).positive('a number above 0');
const belowOne = () => {
  const allowed = 'a number from 0 up to, but not including, 1';
  return z.number({ error: allowed }).min(0, allowed).lt(1, allowed);
};
const flag = () => z.boolean({ error: 'true or false' });
const oneOf = <const T extends readonly [string, ...string[]]>(names: T) =>
  z.enum(names, { error: `one of ${names.join(', ')}` });
const orNull = <T extends z.ZodType>(type: T, allowed: string) =>
  z.union([type, z.null()], { error: allowed });

/** Seconds in a number, or a number with its unit: `90s`, `30m`, `1.5h`, `2d`. */
const duration = () => {
  const allowed = 'a number of seconds above 0, or a time such as 90s, 30m, 1.5h or 2d, or null for no limit';
  const unit: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86400 };
  return z.preprocess(
    (value) => {
      const match =
        typeof value === 'string' ? /^(\d{1,9}(?:\.\d{1,9})?)([smhd]?)$/.exec(value.trim()) : null;
      return match ? Number(match[1]) * unit[match[2] || 's'] : value;
    },
    z.union([z.number().positive(allowed).max(largest, allowed), z.null()], { error: allowed }),
  );
};

const sourceName = z
  .string({ error: 'one line of 1 to 100 characters' })
  .regex(/^[^\p{C}\p{Zl}\p{Zp}]{1,100}$/u, 'one line of 1 to 100 characters');

/** A path is a source of weight 1; of one that is held out, nothing is ever drawn. */
const source = z.preprocess(
  (value) => {
    if (typeof value === 'string') return { path: value, weight: 1 };
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
    const { heldOut, ...keys } = { heldOut: false, ...value };
    if (heldOut === false || heldOut === undefined) return { weight: 1, ...keys };
    return { ...keys, heldOut };
  },
  z
    .strictObject(
      {
        path: z
          .string({ error: 'a file, a folder, a glob, or the name of a bundled corpus' })
          .min(1, 'a file, a folder, a glob, or the name of a bundled corpus'),
        /** What it is called in losses and reports; without one, its path's last part. */
        name: sourceName.optional(),
        weight: weightSchema.optional(),
        /** A distribution never seen: all of it is only evaluated, and no decision looks at it. */
        heldOut: z.literal(true, { error: 'true or false' }).optional(),
      },
      { error: 'a path, or {path, name, weight, heldOut}' },
    )
    .refine(({ heldOut, weight }) => heldOut === undefined || weight === undefined, {
      path: ['weight'],
      error: 'left out where heldOut is true: nothing is drawn from it',
    }),
);

const temperature = () => {
  const allowed = `a number from 1 to ${largest}, or null for the weights of data.sources`;
  return orNull(z.number().min(1, allowed).max(largest, allowed), allowed);
};

const betas = () => {
  const allowed = 'two numbers such as [0.9, 0.95], each from 0 up to, but not including, 1';
  const beta = z.number({ error: allowed }).min(0, allowed).lt(1, allowed);
  return z.tuple([beta, beta], { error: allowed });
};

const address = () => z.string({ error: ADDRESS }).refine((text) => parseAddress(text) !== null, ADDRESS);

const stoppingDefaults = { patience: 5, minImprovement: 0.001, beforeDecay: false };

/** `true` is an object of defaults, and so is each key that an object leaves out. */
const stopping = () => {
  const allowed = 'true, false, or {patience, minImprovement, beforeDecay}';
  return z.preprocess(
    (value) => {
      const plainObject = typeof value === 'object' && value !== null && !Array.isArray(value);
      if (value !== true && !plainObject) return value;
      return { ...stoppingDefaults, ...(plainObject && value) };
    },
    z.union(
      [
        z.literal(false),
        z.strictObject({
          /** Evaluations without an improvement. */
          patience: whole(1, 1000000),
          /** Of the validation loss, in nats a token. */
          minImprovement: atLeastZero(),
          /** Also while the learning rate is still high. */
          beforeDecay: flag(),
        }),
      ],
      { error: allowed },
    ),
  );
};

export const sections = {
  /** What is learned: a language from text, or a game from play. All keys but `name` are the game's. */
  task: z.strictObject({
    name: oneOf(['language', 'checkers']),
    /** How a position is valued: Samuel's weighted sum of features, or a network over the squares. */
    evaluation: oneOf(['samuel', 'network']),
    /** Width of the network's hidden layer. */
    hidden: whole(1, 4096),
    /** Moves that each player looks ahead. */
    depth: whole(1, 20),
    /** The first moves of a game, drawn at random; and how likely a later one is drawn too. */
    openingMoves: whole(0, 40),
    exploration: belowOne(),
    /** λ of the temporal difference: 0 learns from the next search alone, 1 from the game's result alone. */
    lambda: z
      .number({ error: 'a number from 0 to 1' })
      .min(0, 'a number from 0 to 1')
      .max(1, 'a number from 0 to 1'),
    /** A game is broken off after so many. */
    maxMoves: whole(10, 1000),
  }),
  model: z.strictObject({
    arch: oneOf(['gpt2', 'llama']),
    layers: whole(1, 1024),
    heads: whole(1, 1024),
    /** Heads of keys and values; null: as many as `heads`. Fewer are grouped-query attention, llama only. */
    kvHeads: orNull(whole(1, 1024), 'a whole number from 1 to 1024, or null for as many as model.heads'),
    channels: whole(1, 65536),
    /** Positions that the model sees at once. */
    context: whole(1, 1048576),
    /** Tokens in the vocabulary; null: as many as the tokenizer has. */
    vocab: orNull(whole(1, 16777216), 'a whole number from 1 to 16777216, or null for the tokenizer’s own'),
    dropout: belowOne(),
    tieEmbeddings: flag(),
  }),
  data: z.strictObject({
    /** Paths and bundled corpora; one text, or a list of texts and {path, name, weight, heldOut}. */
    sources: z.preprocess(
      (value) => (typeof value === 'string' ? [value] : value),
      z
        .array(source, { error: 'a list of paths, or of {path, name, weight, heldOut}' })
        .min(1, 'a list of at least one path')
        .max(1000, 'a list of at most 1000 paths'),
    ),
    /** Weights that follow from the sources' tokens: in proportion to tokens^(1/temperature); null: as they say. */
    temperature: temperature(),
    /** The part of the data that is kept for validation. */
    validation: z
      .number({ error: 'a number from 0 to 0.5' })
      .min(0, 'a number from 0 to 0.5')
      .max(0.5, 'a number from 0 to 0.5'),
    /** Texts kept for validation that are nearly a training document's: not looked for, told, or left out. */
    nearDuplicates: oneOf(['ignore', 'report', 'drop']),
    tokenizer: z
      .string({ error: 'char, bpe, r50k_base, cl100k_base, o200k_base, or a tokenizer.json' })
      .min(1, 'char, bpe, r50k_base, cl100k_base, o200k_base, or a tokenizer.json'),
  }),
  optimizer: z.strictObject({
    name: oneOf(['adamw', 'sgd', 'muon']),
    /** The highest learning rate of the schedule. */
    lr: positive(),
    betas: betas(),
    eps: positive(),
    /** Decoupled, on tensors of two or more dimensions. */
    weightDecay: atLeastZero(),
    momentum: belowOne(),
    nesterov: flag(),
  }),
  schedule: z.strictObject({
    name: oneOf(['constant', 'cosine', 'wsd', 'sweep']),
    /** Steps of linear warm-up; null: the preset's, at most a tenth of the run. */
    warmup: orNull(whole(0, largest), `a whole number from 0 to ${largest}, or null`),
    /** The learning rate at the end, of a sweep at its start; null: a tenth of `optimizer.lr`. */
    minLr: orNull(atLeastZero(), 'a number from 0 up, or null for a tenth of optimizer.lr'),
  }),
  batch: z.strictObject({
    /** Sequences of `model.context` tokens in a step. */
    sequences: whole(1, 1048576),
    microBatch: z.union([z.literal('auto'), whole(1, 1048576)], {
      error: 'auto, or a whole number from 1 up',
    }),
    /** Each block's activations are computed again in the backward pass: less memory, a third more work. */
    recompute: flag(),
    /** Largest global norm of the gradient; 0 switches clipping off. */
    gradientClip: atLeastZero('a number from 0 up, where 0 switches clipping off'),
  }),
  run: z.strictObject({
    steps: whole(1, largest),
    /** In seconds; the run saves and ends when it is over. */
    maxTime: duration(),
    seed: whole(0, 4294967295),
    reproducible: flag(),
    /** In steps; 0 is off. */
    evalEvery: whole(0, largest),
    /** In steps; 0 is off (the last step is always saved). */
    checkpointEvery: whole(0, largest),
    /** Checkpoints to keep besides the best one. */
    keepLast: whole(1, 1000000),
    stopWhenConverged: stopping(),
    /** Whether the run watches its learning: size of updates, baselines, trend, overfitting. */
    measure: flag(),
  }),
  /** What is done about a loss or gradient that is far from those before it, or not finite. */
  steering: z.strictObject({
    policy: oneOf(['warn', 'skip', 'rollback', 'stop']),
    /** In robust deviations above the median of the last steps. */
    zScore: z
      .number({ error: 'a number from 3 to 1000' })
      .min(3, 'a number from 3 to 1000')
      .max(1000, 'a number from 3 to 1000'),
    /** Steps that a new one is compared with. */
    window: whole(8, 10000),
    /** What the learning rate is multiplied by at each rollback. */
    rateFactor: z
      .number({ error: 'a number above 0 and below 1' })
      .gt(0, 'a number above 0 and below 1')
      .lt(1, 'a number above 0 and below 1'),
    maxRollbacks: whole(0, 1000),
  }),
  cluster: z.strictObject({
    minWorkers: whole(1, 100000),
    maxWorkers: whole(1, 100000),
    heartbeatSeconds: z
      .number({ error: 'a number of seconds from 0.1 to 3600' })
      .min(0.1, 'a number of seconds from 0.1 to 3600')
      .max(3600, 'a number of seconds from 0.1 to 3600'),
    /** A worker that was silent for so long is lost and its work is given to others. */
    lostAfterSeconds: z
      .number({ error: 'a number of seconds from 0.2 to 86400' })
      .min(0.2, 'a number of seconds from 0.2 to 86400')
      .max(86400, 'a number of seconds from 0.2 to 86400'),
    /** Between two HTTP/2 pings of a connection, which closes where one stays unanswered for as long again. */
    keepaliveSeconds: z
      .number({ error: 'a number of seconds from 1 to 3600' })
      .min(1, 'a number of seconds from 1 to 3600')
      .max(3600, 'a number of seconds from 1 to 3600'),
    /** The share of a step's ranges that a second worker computes too; at 1 no worker is believed alone. */
    verify: z
      .number({ error: 'a number from 0 to 1' })
      .min(0, 'a number from 0 to 1')
      .max(1, 'a number from 0 to 1'),
    listen: address(),
  }),
} as const;

export const schema = z.strictObject(sections);

/** All that a person may write, with every key filled in but not yet resolved against the others. */
export type FilledConfig = z.output<typeof schema>;

/** Every key that may be set, in full: `model.layers`, `data.sources` … */
export const knownKeys: readonly string[] = Object.entries(sections).flatMap(([name, section]) =>
  Object.keys(section.shape).map((key) => `${name}.${key}`),
);
