import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import {
  checkpointPath,
  describeDamage,
  loadCheckpoint,
  markBest,
  openRunDirectory,
  type RunDirectory,
  readJournal,
  readRunConfig,
  saveCheckpoint,
} from '@manyhands/core/checkpoint';
import {
  microBatchCount,
  microBatchSize,
  type RunConfig,
  RunError,
  settleMicroBatch,
  UserError,
} from '@manyhands/core/config';
import {
  describeNearDuplicates,
  openTokenData,
  type PrepareEvent,
  prepare,
  type TokenData,
} from '@manyhands/core/data';
import { checkpointed, initialSteering, rolledBack, type SteeringState } from '@manyhands/core/learning';
import { createModel, initialWeights, type Model, resolveModelConfig } from '@manyhands/core/model';
import { globalNorm } from '@manyhands/core/optim';
import { fromJson } from '@manyhands/tokenizer';
import { encoderSpec } from './encoder.js';
import type { Evaluation } from './evaluation.js';
import type { RunEvent } from './events.js';
import { refuseChanges, refuseFinished } from './resume.js';
import { chooseTokenizer } from './tokenizer.js';
import { Trainer } from './trainer.js';

/** A line of events.jsonl, but for its time; `numbers` are what was decided by. */
export interface EventLine {
  readonly event: string;
  readonly step: number;
  readonly worker?: string | undefined;
  readonly reason: string;
  readonly numbers?: Readonly<Record<string, unknown>>;
}

/** Everything of a run that is open in this process. */
export interface OpenRun {
  readonly out: string;
  readonly config: RunConfig;
  readonly model: Model;
  readonly data: TokenData;
  readonly trainer: Trainer;
  readonly directory: RunDirectory;
  /** Sequences in a micro-batch. */
  readonly microBatch: number;
  best: { readonly step: number; readonly validationLoss: number } | null;
  /** Step of the last evaluation when the run was opened, −1 for none. */
  readonly evaluatedAt: number;
  /** What the last one found, up to now. */
  lastEvaluation: Pick<Evaluation, 'validationLoss'> | null;
  steering: SteeringState;
  /**
   * Writes a checkpoint of the trainer's step and points `best` at it where it is the best: of the weights as they are
   * at the call; the trainer may go on meanwhile.
   */
  save(): Promise<{ path: string; weightsSha256: string }>;
  /**
   * Weights and optimiser as they were at the checkpoint that steering trusts, or at the start; steps and data go on.
   * @throws RunError where that checkpoint is damaged
   */
  rollBack(): Promise<void>;
  event(line: EventLine): void;
  /** Identities of workers that were quarantined before this process, and why. */
  readonly quarantined: ReadonlyMap<string, string>;
  close(): Promise<void>;
}

/**
 * Opens a new run, or one to go on with: tokenizer, token shards, model, weights, optimiser, journals.
 * @throws UserError for anything that a person can put right
 */
export async function openRun(options: {
  readonly config: RunConfig;
  readonly out: string;
  readonly resume: boolean;
  /** Open it too where no step is left. */
  readonly over: boolean;
  readonly software: string;
  report(event: RunEvent): void;
  readonly signal: AbortSignal | undefined;
}): Promise<OpenRun> {
  const { out, resume, report, signal } = options;
  const say = (text: string) => report({ kind: 'status', text });
  const directory = await openRunDirectory(out, { resume });
  try {
    for (const damaged of directory.damaged) report({ kind: 'warning', text: describeDamage(damaged) });
    const { checkpoint } = directory;
    const started = checkpoint === null ? null : readRunConfig(out);
    const config = settleMicroBatch(options.config, started);
    if (checkpoint !== null && started !== null) {
      refuseChanges(out, settleMicroBatch(started), config);
      refuseFinished(out, checkpoint.step, config.run.steps, options.over);
    } else {
      await directory.writeConfig(config);
    }

    const tokenizerFile = join(out, 'tokenizer.json');
    // A run that was ended before it had a tokenizer is resumed from there.
    const known = resume && existsSync(tokenizerFile);
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
        nearDuplicates: config.data.nearDuplicates,
        report: progress(report),
        ...(signal && { signal }),
      });
      const twins = describeNearDuplicates(manifest);
      const remedy =
        config.data.nearDuplicates === 'drop' ? '' : '; data.nearDuplicates: drop leaves them out';
      if (twins !== null) report({ kind: 'warning', text: `${twins}${remedy}` });
    }
    const data = await openTokenData(dataFolder);
    if (data.vocabHash !== tokenizer.hash) {
      throw new UserError(
        `${tokenizerFile} has the hash ${tokenizer.hash}, but ${dataFolder} was made with a tokenizer of hash ${data.vocabHash}: put the tokenizer.json of a checkpoint back in its place.`,
      );
    }
    warnOfShortText(data, config, report);

    const model = createModel(resolveModelConfig({ ...config.model, vocab }));
    const loaded = checkpoint === null ? null : loadCheckpoint(checkpoint.path, model);
    if (checkpoint !== null) {
      await directory.writeConfig(config);
      say(`going on from step ${checkpoint.step}`);
    }
    signal?.throwIfAborted();
    const start = loaded ?? { weights: initialWeights(model, config.run.seed) };
    const trainer = await Trainer.create(config, model, start, {
      microBatches: microBatchCount(config),
      threads: availableParallelism(),
    });

    const lastEvaluation = readJournal(directory.metrics.path).findLast((line) => line.kind === 'eval');
    const validationLoss = lastEvaluation?.validationLoss;
    const { bestStep = null, bestValidationLoss = null } = loaded?.state ?? {};
    let saving: Promise<unknown> = Promise.resolve();
    const run: OpenRun = {
      out,
      config,
      model,
      data,
      trainer,
      directory,
      microBatch: microBatchSize(config),
      best:
        bestStep !== null && bestValidationLoss !== null
          ? { step: bestStep, validationLoss: bestValidationLoss }
          : null,
      evaluatedAt: typeof lastEvaluation?.step === 'number' ? lastEvaluation.step : -1,
      lastEvaluation: typeof validationLoss === 'number' ? { validationLoss } : null,
      steering: loaded?.state.steering ?? initialSteering,
      event: ({ numbers, ...line }) =>
        directory.events.append({ time: new Date().toISOString(), ...line, ...numbers }),
      async rollBack() {
        await saving;
        const { good } = run.steering;
        const back =
          good === 0
            ? { weights: initialWeights(model, config.run.seed) }
            : loadCheckpoint(checkpointPath(out, good), model);
        trainer.restore(back);
        const then = 'state' in back ? back.state.steering : undefined;
        run.steering = rolledBack(config.steering, run.steering, then ?? null);
      },
      quarantined: resume ? readQuarantined(directory.events.path) : new Map(),
      save() {
        const saved = save();
        saving = saved.catch(() => {}); // told to the caller
        return saved;
      },
      async close() {
        await saving;
        data.close();
        directory.close();
        await trainer.close();
      },
    };
    /** Not one of an interruption, which the run would not have without it: what is decided does not depend on it. */
    const onSchedule = (step: number) => {
      const { checkpointEvery, evalEvery } = config.run;
      const due = (every: number) => every > 0 && step % every === 0;
      return due(checkpointEvery) || (run.best?.step === step && due(evalEvery));
    };
    const save = async () => {
      const { step, weights, optimizerState } = trainer;
      if (!Number.isFinite(globalNorm(weights))) {
        throw new RunError(
          `The weights of step ${step} are not finite and were not saved: the run has diverged; lower optimizer.lr and resume from the last checkpoint.`,
        );
      }
      if (config.steering.policy === 'rollback' && onSchedule(step)) {
        run.steering = checkpointed(run.steering, step);
      }
      const { steering } = run;
      directory.metrics.flush();
      const best = run.best?.step === step;
      const { path, state } = await saveCheckpoint(
        out,
        {
          step,
          model,
          weights: weights.slice(),
          optimizer: copies(optimizerState),
          tokenizerJson,
          state: {
            seed: config.run.seed,
            appliedSteps: trainer.appliedSteps,
            skippedSteps: trainer.skippedSteps,
            tokensSeen: trainer.tokensSeen,
            bestValidationLoss: run.best?.validationLoss ?? null,
            bestStep: run.best?.step ?? null,
            steering,
            metricsBytes: directory.metrics.bytes,
            versions: { manyhands: options.software, node: process.versions.node },
          },
        },
        { keepLast: config.run.keepLast, keep: [steering.good, steering.candidate ?? steering.good] },
      );
      if (best) await markBest(out, step);
      return { path, weightsSha256: state.weightsSha256 };
    };
    return run;
  } catch (error) {
    directory.close();
    throw error;
  }
}

/** In memory that nobody else writes. */
function copies(arrays: Readonly<Record<string, Float32Array>>): Record<string, Float32Array> {
  return Object.fromEntries(Object.entries(arrays).map(([name, values]) => [name, values.slice()]));
}

function readQuarantined(path: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const { event, identity, reason } of readJournal(path)) {
    if (event === 'quarantined' && typeof identity === 'string') found.set(identity, String(reason));
  }
  return found;
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
