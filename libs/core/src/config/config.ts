import { isDeepStrictEqual } from 'node:util';
import { closest, distance } from 'fastest-levenshtein';
import { stringify } from 'yaml';
import type { z } from 'zod';
import { show, UserError } from './errors.js';
import { optimizerDefaults, type PresetName, presets, presetWarmup } from './presets.js';
import { type FilledConfig, knownKeys, schema, sections } from './schema.js';
import { barrenStep } from './weight.js';
import { parseYaml } from './yaml.js';

/** A run's whole config: every key present, defaults filled, keys that depend on others worked out. */
export interface RunConfig {
  readonly task: Readonly<FilledConfig['task']>;
  readonly model: Readonly<Omit<FilledConfig['model'], 'kvHeads'> & { kvHeads: number }>;
  readonly data: Readonly<FilledConfig['data']>;
  readonly optimizer: Readonly<FilledConfig['optimizer']>;
  readonly schedule: Readonly<{ name: FilledConfig['schedule']['name']; warmup: number; minLr: number }>;
  readonly batch: Readonly<FilledConfig['batch']>;
  readonly run: Readonly<FilledConfig['run']>;
  readonly steering: Readonly<FilledConfig['steering']>;
  readonly cluster: Readonly<FilledConfig['cluster']>;
}

/**
 * Checks a config as a person wrote it (see cli.md for its keys) and fills in what it leaves out from `preset`.
 * A resolved config parses to itself.
 *
 * @throws UserError with one sentence that names the key, its value and what is allowed
 */
export function parseConfig(input: unknown, preset: PresetName = 'nano'): RunConfig {
  const given = sectionsOf(input ?? {});
  const name = optimizerName(given.optimizer);
  const defaults: FilledConfig = {
    ...presets[preset],
    optimizer: { ...presets[preset].optimizer, ...(name && optimizerDefaults[name]) },
  };
  const filled: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(given)) filled[key] = value;
  for (const key of Object.keys(sections) as (keyof FilledConfig)[]) {
    const section = given[key] ?? {};
    filled[key] = isRecord(section) ? { ...defaults[key], ...defined(section) } : section;
  }
  const result = schema.safeParse(filled);
  if (!result.success) throw new UserError(sentence(firstIssue(result.error.issues), filled));
  refuseForeign(given, result.data);
  return resolve(result.data, presetWarmup[preset]);
}

/**
 * Adds one `key.path=value` of a command line to a config as a person writes it, and returns the new one. The
 * value is read as YAML: `run.steps=100`, `optimizer.betas=[0.9, 0.95]`, `data.sources=[a.txt, b.txt]`.
 *
 * @throws UserError for an unknown key, for a text without `=`, for a value that is no YAML
 */
export function applySet(input: unknown, assignment: string): Record<string, unknown> {
  const at = assignment.indexOf('=');
  if (at < 1) throw new UserError(`--set ${show(assignment)} must be KEY=VALUE, such as run.steps=100.`);
  const key = assignment.slice(0, at).trim();
  if (Object.hasOwn(sections, key)) {
    throw new UserError(`${key} is a section: give one of its keys, ${keysOf(key, true).join(', ')}.`);
  }
  if (!knownKeys.includes(key)) throw new UserError(unknownKey(key));
  const [section, leaf] = key.split('.');
  const config = sectionsOf(input ?? {});
  const before = config[section] ?? {};
  if (!isRecord(before)) throw new UserError(notASection(section, before));
  return {
    ...config,
    [section]: { ...before, [leaf]: parseYaml(assignment.slice(at + 1), `The value of --set ${key}`) },
  };
}

/** The config as YAML that parses back to the same config: what `config.yaml` of a run holds. */
export function configToYaml(config: RunConfig): string {
  return stringify(config, { aliasDuplicateObjects: false, lineWidth: 110 });
}

function resolve(filled: FilledConfig, longestWarmup: number): RunConfig {
  const { model, optimizer, schedule, batch, cluster, run } = filled;
  const kvHeads = model.kvHeads ?? model.heads;
  const minLr = schedule.minLr ?? optimizer.lr / 10;
  const warmup = schedule.warmup ?? Math.min(longestWarmup, Math.floor(run.steps / 10));
  const headDim = model.channels / model.heads;

  demand(
    Number.isInteger(headDim),
    'model.channels',
    model.channels,
    `a multiple of model.heads, ${model.heads}`,
  );
  demand(model.heads % kvHeads === 0, 'model.kvHeads', kvHeads, `a divisor of model.heads, ${model.heads}`);
  if (model.arch === 'gpt2') {
    const allowed = `equal to model.heads, ${model.heads}, with model.arch gpt2 (llama can group its queries)`;
    demand(kvHeads === model.heads, 'model.kvHeads', kvHeads, allowed);
  } else {
    const allowed = `an even multiple of model.heads, ${model.heads}, with model.arch llama, which rotates pairs`;
    demand(headDim % 2 === 0, 'model.channels', model.channels, allowed);
  }
  demand(minLr <= optimizer.lr, 'schedule.minLr', minLr, `at most optimizer.lr, ${optimizer.lr}`);
  if (schedule.name === 'sweep') {
    demand(minLr > 0, 'schedule.minLr', minLr, 'above 0 with schedule.name sweep, which rises from there');
  }
  if (optimizer.nesterov) {
    const allowed = 'above 0 where optimizer.nesterov is true';
    demand(optimizer.momentum > 0, 'optimizer.momentum', optimizer.momentum, allowed);
  }
  if (batch.microBatch !== 'auto') {
    const allowed = `at most batch.sequences, ${batch.sequences}`;
    demand(batch.microBatch <= batch.sequences, 'batch.microBatch', batch.microBatch, allowed);
  }
  if (run.stopWhenConverged !== false) {
    const why =
      'where run.evalEvery or data.validation is 0, or run.measure false: it is judged by the validation loss';
    const evaluated = run.evalEvery > 0 && filled.data.validation > 0 && run.measure;
    demand(evaluated, 'run.stopWhenConverged', run.stopWhenConverged, `false ${why}`);
  }
  demandMixture(filled.data);
  const { minWorkers, maxWorkers, heartbeatSeconds, lostAfterSeconds } = cluster;
  demand(
    maxWorkers >= minWorkers,
    'cluster.maxWorkers',
    maxWorkers,
    `at least cluster.minWorkers, ${minWorkers}`,
  );
  const longer = `longer than cluster.heartbeatSeconds, ${heartbeatSeconds}`;
  demand(lostAfterSeconds > heartbeatSeconds, 'cluster.lostAfterSeconds', lostAfterSeconds, longer);

  // A game is a micro-batch of its own, and the smaller they are, the better they are shared out.
  if (filled.task.name === 'checkers') {
    const { nano } = presets;
    const microBatch = batch.microBatch === 'auto' ? 1 : batch.microBatch;
    return {
      ...filled,
      model: { ...nano.model, kvHeads: nano.model.heads },
      data: nano.data,
      batch: { ...batch, microBatch },
      schedule: { name: schedule.name, warmup, minLr },
    };
  }
  return {
    ...filled,
    model: { ...model, kvHeads },
    schedule: { name: schedule.name, warmup, minLr },
  };
}

/** Sources that can be told apart, and a batch that can be drawn at every step. */
function demandMixture({ sources, temperature }: FilledConfig['data']): void {
  sources.forEach(({ name, weight }, at) => {
    const other = sources.findIndex((source) => source.name === name);
    const allowed = `another than that of data.sources[${other}]`;
    demand(name === undefined || other === at, `data.sources[${at}].name`, name, allowed);
    const own = temperature === null || weight === undefined || weight === 1;
    demand(own, `data.sources[${at}].weight`, weight, 'left out where data.temperature gives the weights');
  });
  const drawn = sources.filter(({ heldOut }) => heldOut !== true);
  const learned = 'a list with a source that is not held out: there is nothing to learn from';
  demand(drawn.length > 0, 'data.sources', sources, learned);
  const barren = barrenStep(drawn.map(({ weight = 1 }) => weight));
  const allowed = `a list with a weight above 0 at every step, and at step ${barren} none is`;
  demand(barren === null, 'data.sources', sources, allowed);
}

/** A key of another task would have no effect. Written out with the value that it has anyway, it says nothing. */
function refuseForeign(given: Record<string, unknown>, filled: FilledConfig): void {
  const { nano } = presets;
  const { name } = filled.task;
  const usual: Record<string, Record<string, unknown>> = name === 'language'
    ? { task: { ...nano.task, name } }
    : { model: { ...nano.model, kvHeads: nano.model.heads }, data: nano.data };
  for (const [section, values] of Object.entries(usual)) {
    const own = filled[section as keyof FilledConfig];
    for (const [key, value] of Object.entries(own)) {
      const said = Object.hasOwn(Object(given[section]), key) && value !== null;
      if (!said || isDeepStrictEqual(value, values[key])) continue;
      throw new UserError(
        `${section}.${key} is ${show(value)}, but must be left out where task.name is ${name}, which has no use for it.`,
      );
    }
  }
}

function demand(holds: boolean, key: string, value: unknown, allowed: string): void {
  if (!holds) throw new UserError(`${key} is ${show(value)}, but must be ${allowed}.`);
}

/** A mistyped key before all else: what it left missing is only its consequence. */
function firstIssue(issues: readonly z.core.$ZodIssue[]): z.core.$ZodIssue {
  return issues.find((issue) => issue.code === 'unrecognized_keys') ?? issues[0];
}

/** One thing that zod found, in our words. */
function sentence(issue: z.core.$ZodIssue, input: unknown): string {
  const key = issue.path.reduce<string>(
    (text, part) =>
      typeof part === 'number' ? `${text}[${part}]` : text ? `${text}.${String(part)}` : String(part),
    '',
  );
  if (issue.code === 'unrecognized_keys') return unknownKey(key ? `${key}.${issue.keys[0]}` : issue.keys[0]);
  const value = issue.path.reduce<unknown>(
    (inner, part) => (typeof inner === 'object' && inner !== null ? Reflect.get(inner, part) : undefined),
    input,
  );
  if (key in sections) return notASection(key, value);
  return `${key} is ${show(value)}, but must be ${issue.message}.`;
}

function notASection(key: string, value: unknown): string {
  return `${key} is ${show(value)}, but must be a section with the keys ${keysOf(key).join(', ')}.`;
}

/** The keys of a section, with its name before them (`model.layers`) or without. */
function keysOf(section: string, inFull = false): string[] {
  const keys = knownKeys.filter((known) => known.startsWith(`${section}.`));
  return inFull ? keys : keys.map((known) => known.slice(section.length + 1));
}

function unknownKey(key: string): string {
  const nearest = nearestKey(key);
  const hint = nearest
    ? `the nearest known one is ${nearest}`
    : `the sections are ${Object.keys(sections).join(', ')}`;
  return `Unknown key ${show(key)}: ${hint}.`;
}

/** What other trainers call some keys, where the distance between the letters would not lead to ours. */
const otherNames: Readonly<Record<string, string>> = {
  learningrate: 'optimizer.lr',
  batchsize: 'batch.sequences',
  blocksize: 'model.context',
  hiddensize: 'model.channels',
  nembd: 'model.channels',
  nlayer: 'model.layers',
  nhead: 'model.heads',
  maxiters: 'run.steps',
  epochs: 'run.steps',
  checkpointing: 'batch.recompute',
  gradientcheckpointing: 'batch.recompute',
  activationcheckpointing: 'batch.recompute',
};

/**
 * The known key that a mistyped one most likely meant: nearest in whole, or by its last part alone where the
 * section is wrong or missing (`steps` → `run.steps`); null where more than half the letters would have to change.
 */
function nearestKey(key: string): string | null {
  const text = key.slice(0, 200).toLowerCase();
  const last = text.slice(text.lastIndexOf('.') + 1);
  if (text.startsWith('data.sources['))
    return `${key.slice(0, key.indexOf(']') + 1)}.${closest(last, ['path', 'name', 'weight', 'heldOut'])}`;
  const other = last.replace(/[_-]/g, '');
  if (Object.hasOwn(otherNames, other)) return otherNames[other];
  const candidates = text.includes('.') ? knownKeys : [...Object.keys(sections), ...knownKeys];
  let best: string | null = null;
  let bestScore = Number.POSITIVE_INFINITY;
  for (const known of candidates) {
    const lower = known.toLowerCase();
    // another section counts half a letter, so that the same section wins a tie
    for (const [changes, length] of [
      [distance(text, lower), text.length],
      [distance(last, lower.slice(lower.indexOf('.') + 1)) + 0.5, last.length],
    ]) {
      if (changes <= length / 2 + 0.5 && changes < bestScore) [best, bestScore] = [known, changes];
    }
  }
  return best;
}

function sectionsOf(input: unknown): Record<string, unknown> {
  if (isRecord(input)) return defined(input);
  throw new UserError(
    `The config is ${show(input)}, but must be sections of keys: ${Object.keys(sections).join(', ')}.`,
  );
}

function optimizerName(section: unknown): keyof typeof optimizerDefaults | null {
  const name = isRecord(section) ? section.name : null;
  return name === 'adamw' || name === 'sgd' || name === 'muon' ? name : null;
}

/** Without the keys whose value is undefined: an option that was not given is not a value. */
function defined(record: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined));
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
