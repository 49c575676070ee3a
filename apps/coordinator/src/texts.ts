import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RunDirectory } from '@manyhands/core/checkpoint';
import { type RunConfig, UserError } from '@manyhands/core/config';
import {
  describeNearDuplicates,
  evaluationWindows,
  mixtureShares,
  openTokenData,
  type PrepareEvent,
  prepare,
  refuseBarren,
  sampleWindows,
  type TokenData,
} from '@manyhands/core/data';
import { type Baselines, COUNTED_TOKENS, NgramModel } from '@manyhands/core/learning';
import { createModel, resolveModelConfig } from '@manyhands/core/model';
import { languageTask } from '@manyhands/tasks';
import { fromJson } from '@manyhands/tokenizer';
import { encoderSpec } from './encoder.js';
import { concludeEvaluation, type EvaluationBatch, planEvaluation } from './evaluation.js';
import type { RunEvent } from './events.js';
import type { Opened } from './material.js';
import { chooseTokenizer } from './tokenizer.js';

/**
 * The texts of a new run, made into token shards with a tokenizer of their own, or those of a run to go on with.
 * @throws UserError for anything that a person can put right
 */
export async function openTexts(options: {
  readonly config: RunConfig;
  readonly directory: RunDirectory;
  readonly resume: boolean;
  report(event: RunEvent): void;
  readonly signal: AbortSignal | undefined;
}): Promise<Opened> {
  const { config, directory, resume, report, signal } = options;
  const out = directory.path;
  const tokenizerFile = join(out, 'tokenizer.json');
  // A run that was ended before it had a tokenizer is resumed from there.
  const known = resume && existsSync(tokenizerFile);
  const say = (text: string) => report({ kind: 'status', text });
  const tokenizerJson = known
    ? readFileSync(tokenizerFile, 'utf8')
    : await chooseTokenizer(config, say, signal);
  if (!known) await directory.writeTokenizer(tokenizerJson);
  const tokenizer = fromJson(tokenizerJson, tokenizerFile);
  const vocab = config.model.vocab ?? tokenizer.vocabSize;
  if (vocab < tokenizer.vocabSize) {
    throw new UserError(
      `model.vocab is ${vocab}, but the tokenizer has ${tokenizer.vocabSize} tokens: give at least as many, or null.`,
    );
  }

  const dataFolder = join(out, 'data');
  // What a run was trained on is in its directory: its sources may have moved since.
  if (!(resume && existsSync(join(dataFolder, 'manifest.json')))) {
    const manifest = await prepare({
      sources: config.data.sources,
      encoder: encoderSpec(tokenizerJson),
      out: dataFolder,
      validation: config.data.validation,
      temperature: config.data.temperature,
      nearDuplicates: config.data.nearDuplicates,
      report: progress(report),
      ...(signal && { signal }),
    });
    const twins = describeNearDuplicates(manifest);
    const remedy = config.data.nearDuplicates === 'drop' ? '' : '; data.nearDuplicates: drop leaves them out';
    if (twins !== null) report({ kind: 'warning', text: `${twins}${remedy}` });
  }
  const data = await openTokenData(dataFolder);
  if (data.vocabHash !== tokenizer.hash) {
    throw new UserError(
      `${tokenizerFile} has the hash ${tokenizer.hash}, but ${dataFolder} was made with a tokenizer of hash ${data.vocabHash}: put the tokenizer.json of a checkpoint back in its place.`,
    );
  }
  refuseBarren(data);
  if (data.sources.length > 1) say(describeMixture(data, config.run.steps));
  warnOfShortText(data, config, report);

  const model = createModel(resolveModelConfig({ ...config.model, vocab }));
  const { context } = model.config;
  const { seed } = config.run;
  const { sequences } = config.batch;
  return {
    tokenizerJson,
    material: {
      task: languageTask(model),
      hash: data.dataHash,
      unit: 'tokens',
      time: context,
      training: (step) => sampleWindows(data, { seed, step, sequences, context }),
      evaluation: () => planEvaluation(data, context),
      conclude: (plan, sums, targets) => concludeEvaluation(plan, sums, targets, data),
      baselines: (plan) => countedBaselines(data, plan, model.config),
      tokens: (window) => data.tokens(window, context),
      close: () => data.close(),
    },
  };
}

function countedBaselines(
  data: TokenData,
  plan: readonly EvaluationBatch[],
  { context, vocab }: { readonly context: number; readonly vocab: number },
): Baselines | null {
  const model = new NgramModel(vocab);
  const maximum = Math.ceil(COUNTED_TOKENS / context);
  for (const window of evaluationWindows(data, 'train', { context, maximum })) {
    model.learn(data.tokens(window, context));
  }
  const counted = plan.filter(
    ({ split, source }) => split === 'validation' && data.sources[source].heldOut !== true,
  );
  const windows = counted.flatMap(({ windows }) => windows);
  return model.losses(windows.map((window) => data.tokens(window, context)));
}

/** Sources that one line has room for. */
const TOLD_SOURCES = 8;

function describeMixture(data: TokenData, steps: number): string {
  const shares = mixtureShares(data, steps);
  const parts = data.sources.map(({ name, heldOut }, source) =>
    heldOut === true ? `${name} held out` : `${name} ${(100 * shares[source]).toFixed(1)} %`,
  );
  const more = parts.length > TOLD_SOURCES ? `, and ${parts.length - TOLD_SOURCES} more` : '';
  return `of the text that is trained on: ${parts.slice(0, TOLD_SOURCES).join(', ')}${more}`;
}

function warnOfShortText(data: TokenData, config: RunConfig, report: (event: RunEvent) => void): void {
  const longest = Math.max(...data.sources.map(({ train }) => train.tokens));
  if (longest > config.model.context) return;
  const text = `the longest text has ${longest} tokens, fewer than model.context, ${config.model.context}: most of each window is empty`;
  report({ kind: 'warning', text });
}

/** Tells of the preparation of data only where it takes long enough to wonder. */
function progress(report: (event: RunEvent) => void) {
  let last = performance.now();
  return (event: PrepareEvent) => {
    if (event.kind === 'warning') return report(event);
    if (event.kind !== 'progress' || performance.now() - last < 2000) return;
    last = performance.now();
    const percent = Math.floor((100 * event.bytes) / Math.max(1, event.totalBytes));
    report({ kind: 'status', text: `encoding text: ${percent} %` });
  };
}
