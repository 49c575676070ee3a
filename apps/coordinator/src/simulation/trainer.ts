import type { Range } from '@manyhands/core/reduce';
import { GradientSum } from '../gradient-sum.js';
import { nextWeights, PIECES, pieceSize } from './arithmetic.js';
import { type Content, openJournal } from './checkpoints.js';
import type { SimulatedFolder } from './disk.js';
import type { Version } from './link.js';
import type { World } from './world.js';

/** The weights of one life of the coordinator, and what moves them: the product's own sum of gradients over toy values. */
export class SimulatedTrainer {
  version: Version;
  private best: Content['best'];
  private losses: number[] = [];
  private readonly sums: readonly GradientSum[];
  private readonly journal: ReturnType<typeof openJournal>;
  /** For planted bugs alone: pieces to be added where they do not belong. */
  private readonly strays: { readonly piece: number; readonly values: Float32Array }[] = [];

  constructor(
    private readonly world: World,
    run: SimulatedFolder,
    from: Content | null,
  ) {
    const { scenario, judge } = world;
    const { microBatches } = scenario.plan;
    this.best = from?.best ?? null;
    this.version = { step: from?.step ?? 0, weights: from?.weights ?? judge.calm.weights(0) };
    this.journal = openJournal(run, from?.lines ?? 0);
    this.sums = Array.from(
      { length: PIECES },
      () => new GradientSum(pieceSize(microBatches), microBatches, () => {}),
    );
  }

  /** Step of the last evaluation, −1 for none. */
  get evaluatedAt(): number {
    return this.journal.lines.at(-1) ?? -1;
  }

  /** Adds a piece of the sum over a node; false where it was there already. */
  add(range: Range, piece: number, values: Float32Array): boolean {
    const added = this.sums[piece].add(range, { index: 0, from: 0, to: values.length }, values);
    if (this.world.scenario.bug === 'arrival-order') this.addStray(piece, values);
    return added;
  }

  /** Forgets the step under way. */
  clear(): void {
    this.losses = [];
    if (this.world.scenario.bug !== 'kept-lie') for (const sum of this.sums) sum.clear();
  }

  addStray(piece: number, values: Float32Array): void {
    this.strays.push({ piece, values });
  }

  /** Keeps the losses of an answer that counts. */
  note({ first }: Range, losses: readonly number[]): void {
    for (const [i, loss] of losses.entries()) this.losses[first + i] = loss;
  }

  step(): void {
    const { judge, scenario } = this.world;
    if (this.sums.some((sum) => !sum.complete)) throw new Error('a step needs the sum of all gradients');
    const gradient = this.sums.map((sum) => sum.gradient);
    if (scenario.bug === 'arrival-order') for (const values of gradient) values.fill(0);
    for (const { piece, values } of this.strays.splice(0)) {
      for (const [i, value] of values.entries()) gradient[piece][i] += value;
    }
    const { step, weights } = this.version;
    judge.stepped(step, gradient, this.takeLoss());
    this.version = { step: step + 1, weights: nextWeights(weights, gradient) };
    for (const sum of this.sums) sum.clear();
  }

  /** Ends an evaluation; true where it was the best so far. */
  conclude(): boolean {
    const { step } = this.version;
    const loss = this.takeLoss();
    this.world.judge.evaluated(step, loss);
    this.journal.append(step);
    const improved = loss < (this.best?.loss ?? Number.POSITIVE_INFINITY);
    if (improved) this.best = { step, loss };
    return improved;
  }

  /** Flushes the journal; what is returned reads the weights as they are when it is called. */
  beginSave(): () => Content {
    this.journal.flush();
    const { best } = this;
    const lines = this.journal.lines.length;
    return () => ({ ...this.version, best, lines });
  }

  private takeLoss(): number {
    const sum = this.losses.reduce((before, loss) => before + loss, 0);
    this.losses = [];
    return sum;
  }
}
