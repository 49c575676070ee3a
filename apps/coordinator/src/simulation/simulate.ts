import { Coordinator } from './coordinator.js';
import { type Cluster, FAULTS } from './faults.js';
import { Judge, Violation } from './judge.js';
import { type Mode, type Request, type Scenario, scenarioOf } from './scenario.js';
import { Dice, Timeline } from './timeline.js';
import { SimulatedWorker } from './worker.js';
import type { World } from './world.js';

export interface Outcome {
  readonly seed: number;
  readonly mode: Mode;
  /** Events that happened, up to the one that broke an invariant. */
  readonly events: number;
  /** Of virtual time. */
  readonly milliseconds: number;
  /** Whether the run was over in the end. */
  readonly complete: boolean;
  /** The sentence of the invariant that was broken. */
  readonly violation: string | null;
}

/** A simulation in safety mode goes on so long, if its run does not end before. */
const SAFETY_EVENTS = 3000;

/** Runs one seed; the same request has the same outcome, event by event. `trace` takes what happens, a line each. */
export function simulate(request: Request, trace: ((line: string) => void) | null = null): Outcome {
  const simulation = new Simulation(scenarioOf(request), trace);
  let violation: string | null = null;
  try {
    simulation.run();
  } catch (error) {
    if (!(error instanceof Violation)) throw error;
    violation = error.message;
  }
  const { scenario, timeline, coordinator } = simulation;
  return {
    seed: scenario.seed,
    mode: scenario.mode,
    events: timeline.events,
    milliseconds: timeline.now,
    complete: coordinator.over,
    violation,
  };
}

class Simulation implements Cluster {
  readonly timeline = new Timeline();
  readonly dice: Dice;
  readonly judge: Judge;
  readonly coordinator: Coordinator;
  readonly workers: readonly SimulatedWorker[];
  readonly say: World['say'];
  private faulty = true;

  constructor(
    readonly scenario: Scenario,
    trace: ((line: string) => void) | null,
  ) {
    this.dice = new Dice(scenario.seed, 2);
    this.judge = new Judge(scenario, this.timeline);
    this.say =
      trace &&
      ((line) => trace(`${this.timeline.events} @${(this.timeline.now / 1000).toFixed(3)} s  ${line}`));
    this.coordinator = new Coordinator(this);
    this.workers = scenario.workers.map((nature) => new SimulatedWorker(this, this.coordinator, nature));
  }

  chance(of: keyof Scenario['chances']): boolean {
    return this.faulty && this.dice.chance(this.scenario.chances[of]);
  }

  run(): void {
    const { scenario, timeline, dice, coordinator, workers, judge } = this;
    const { mode, calmFrom, deadline } = scenario;
    coordinator.start();
    for (const worker of workers) timeline.at(dice.magnitude(1, 3000), () => worker.start());
    this.planFault();
    if (mode === 'liveness') timeline.at(calmFrom, () => this.calmDown());
    while (!coordinator.over && timeline.next()) {
      if (mode === 'safety' && timeline.events >= SAFETY_EVENTS) return;
      if (mode === 'liveness' && timeline.now > deadline) {
        judge.broken(
          `the run is not over ${Math.round((deadline - calmFrom) / 1000)} s after the last fault`,
        );
      }
    }
    if (!coordinator.over) judge.broken('nothing happens any more, and the run is not over');
    coordinator.run.losePower(dice);
    judge.complete(coordinator.run);
  }

  private planFault(): void {
    const { scenario, timeline, dice } = this;
    if (scenario.faults.length === 0) return;
    timeline.at(timeline.now + dice.magnitude(scenario.faultEvery / 5, scenario.faultEvery * 5), () => {
      if (!this.faulty) return;
      FAULTS[dice.pick(scenario.faults)](this);
      this.planFault();
    });
  }

  private calmDown(): void {
    this.say?.('faults are over');
    this.faulty = false;
    for (const worker of this.workers) worker.slowness = 1;
  }
}
