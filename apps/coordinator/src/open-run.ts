import { availableParallelism } from 'node:os';
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
} from '@manyhands/core/config';
import { checkpointed, initialSteering, rolledBack, type SteeringState } from '@manyhands/core/learning';
import { initialWeights } from '@manyhands/core/model';
import { globalNorm } from '@manyhands/core/optim';
import type { Evaluation } from './evaluation.js';
import type { RunEvent } from './events.js';
import { openGames } from './games.js';
import type { Material } from './material.js';
import { refuseChanges, refuseFinished } from './resume.js';
import { openTexts } from './texts.js';
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
  readonly material: Material;
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
 * Opens a new run, or one to go on with: what it learns from, model, weights, optimiser, journals.
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

    const { material, tokenizerJson } = await (config.task.name === 'checkers'
      ? { material: openGames(config), tokenizerJson: null }
      : openTexts({ config, directory, resume, report, signal }));
    const { model } = material.task;
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
      material,
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
        material.close();
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
