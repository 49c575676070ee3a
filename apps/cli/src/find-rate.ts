import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { RunEvent, RunSummary } from '@manyhands/coordinator';
import { readJournal } from '@manyhands/core/checkpoint';
import { type RunConfig, RunError, UserError } from '@manyhands/core/config';
import { proposeRate } from '@manyhands/core/learning';
import { Interrupted } from './failure.js';
import { count, loss, rate } from './format.js';
import type { Teller } from './log.js';
import { note, print } from './output.js';
import { plot } from './plot.js';
import { type FoundRate, rateCurve } from './rate-curve.js';

/** A run to make, in a folder that will be removed. */
export interface RangeTest {
  readonly config: RunConfig;
  readonly out: string;
  readonly display: Teller;
}

/** From a rate at which no model learns to one at which none stays: whatever the optimiser, the best lies between. */
const RATES = { lowest: 1e-6, highest: 100 };
const STEPS_A_DECADE = 20;

/** The run's own config, but for a rate that rises until the run diverges. */
export function rangeTestConfig(config: RunConfig): RunConfig {
  const { lowest, highest } = RATES;
  const steps = Math.round(Math.log10(highest / lowest)) * STEPS_A_DECADE;
  return {
    ...config,
    optimizer: { ...config.optimizer, lr: highest },
    schedule: { name: 'sweep', warmup: 0, minLr: lowest },
    steering: { ...config.steering, policy: 'stop' },
    run: {
      ...config.run,
      steps,
      maxTime: null,
      evalEvery: 0,
      checkpointEvery: 0,
      stopWhenConverged: false,
    },
  };
}

/** Refuses the given ones of options that make no sense beside --find-lr. */
export function refuseBeside(options: Readonly<Record<string, unknown>>): void {
  const given = Object.keys(options).find((name) => options[name] !== undefined);
  if (given === undefined) return;
  throw new UserError(`--find-lr makes a short run and keeps nothing of it: leave --${given} out.`);
}

/**
 * Makes a range test with `run` and reads what it found: of the run's own numbers, the same whoever computes them.
 * @returns null where it was interrupted
 * @throws whatever the run itself would fail with
 */
export async function findRate(
  config: RunConfig,
  display: Teller,
  run: (test: RangeTest) => Promise<RunSummary>,
): Promise<FoundRate | null> {
  const folder = mkdtempSync(path.join(tmpdir(), 'manyhands-find-lr-'));
  const out = path.join(folder, 'run');
  let over = false;
  // That it diverges is how it ends, and nothing to be warned of or told to mend.
  const teller: Teller = {
    report(event: RunEvent) {
      if (event.kind === 'warning' && event.event === 'diverged') over = true;
      else display.report(event);
    },
    status: (text) => (over ? undefined : display.status(text)),
    warn: (text) => (over ? undefined : display.warn(text)),
    line: (text) => display.line(text),
    end: () => display.end(),
  };
  try {
    const summary = await run({ config: rangeTestConfig(config), out, display: teller });
    if (summary.interrupted) return null;
    return found(out, false);
  } catch (error) {
    if (error instanceof Interrupted) return null;
    if (over && error instanceof RunError) return found(out, true);
    throw error;
  } finally {
    display.end();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Of a step, the rate is that of its update, and the loss that of the model before it. */
function found(out: string, diverged: boolean): FoundRate {
  const steps = readJournal(path.join(out, 'metrics.jsonl')).map(({ loss, learningRate }) => ({
    loss: Number(loss ?? Number.NaN),
    rate: Number(learningRate),
  }));
  const points = steps.slice(1).map(({ loss }, before) => ({ rate: steps[before].rate, loss }));
  return {
    points,
    proposal: proposeRate(points),
    diverged: diverged ? (points.at(-1)?.rate ?? RATES.lowest) : null,
  };
}

/**
 * The proposal, its reasons and the curve, in a person's words.
 * @param drawing the file that gets the curve too, as SVG, also where nothing can be proposed; null: none
 * @throws RunError where nothing can be proposed
 */
export function printRate(found: FoundRate, config: RunConfig, drawing: string | null): void {
  const { proposal, points, diverged } = found;
  if (drawing !== null && points.length > 0) {
    writeFileSync(drawing, rateCurve(found));
    note(`${drawing} shows the curve`);
  }
  const end =
    diverged === null
      ? `up to ${rate(RATES.highest)} it did not diverge`
      : `it diverged at ${rate(diverged)}`;
  if (proposal === null) {
    throw new RunError(
      `No learning rate can be proposed: in ${count(points.length + 1)} steps none made the loss fall surely, and ${end}; look at the data, or let batch.sequences be larger.`,
    );
  }
  const first = points[0].loss;
  const decades = Array.from({ length: 9 }, (_, index) => index - 6);
  print(
    plot(
      points.map(({ rate, loss }) => ({ x: Math.log10(rate), y: loss })),
      {
        width: 64,
        height: 12,
        label: loss,
        ticks: decades
          .filter((decade) => decade <= Math.log10(points[points.length - 1].rate))
          .map((decade) => ({ x: decade, text: `1e${decade}` })),
        mark: { x: Math.log10(proposal.rate), text: rate(proposal.rate) },
        most: 1.05 * first,
      },
    ),
  );
  print(
    `optimizer.lr ${rate(proposal.rate)}: the loss keeps falling from ${rate(proposal.from)} up to there, fastest at ${rate(proposal.steepest)}, and ${end} (the config has ${rate(config.optimizer.lr)})`,
  );
  print(`next: the same command with --set optimizer.lr=${rate(proposal.rate)} instead of --find-lr`);
}
