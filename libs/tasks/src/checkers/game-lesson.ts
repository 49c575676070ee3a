import {
  BLACK,
  type Evaluate,
  legalMoves,
  linear,
  newGame,
  play,
  playGame,
  result,
  scoreOf,
  searchPlayer,
  startWeights,
} from '@manyhands/checkers';
import { type ValueProgram, valueFunction, valueProgram } from '@manyhands/core/model';
import { math, randomStream } from '@manyhands/core/numeric';
import type { BatchShape, Bench, Lesson, Outcome } from '@manyhands/core/train';
import { selfPlay, winning } from './self-play.js';
import { type CheckersTask, describe, evaluationOf } from './task.js';

/** Which game of a run: with the run's seed, all that was random in it follows. */
export interface GameNumber {
  /** `train`: against itself, to learn from. `validation`: against who counts material, to see what was learned. */
  readonly split: 'train' | 'validation';
  readonly number: number;
}

/** A micro-batch of games, to be played under the weights of the step. */
export interface GameBatch {
  /** Its number within the batch. */
  readonly index: number;
  readonly games: readonly GameNumber[];
}

/** Who has learned nothing: a man is one, a king one and a half. */
const countMaterial = linear(startWeights);

/** Sets the random numbers of games apart from those of initialisation, and of one another. */
const PURPOSE = { train: 0x47414d45, validation: 0x4d415443 };

/**
 * A micro-batch of games becomes rows: the positions of each with what they should be valued. The loss of a row is the
 * cross-entropy between target and value; its error by the value, value − target, is what goes back through the graph.
 */
export class GameLesson implements Lesson<GameBatch> {
  readonly #programs = new Map<number, ValueProgram>();
  #weights = new Float32Array(0);

  constructor(
    private readonly task: CheckersTask,
    private readonly bench: Bench,
  ) {}

  weigh(flat: Float32Array): void {
    this.#weights = flat.slice();
  }

  prepare({ batch, time, train }: BatchShape): number {
    return train ? this.#program(batch * time).program.bytes : 0;
  }

  async run({ games }: GameBatch, train: boolean): Promise<Outcome> {
    const losses: number[] = [];
    const rows = train ? new Rows(this.task, games.length) : null;
    const value = valueFunction(this.task.model, this.#weights);
    const describing = describe(this.task.model);
    const evaluate = evaluationOf(this.task.model, this.#weights);
    const { seed } = this.bench.place;
    for (const { split, number } of games) {
      const random = randomStream(seed, PURPOSE[split], number);
      if (split === 'validation') {
        losses.push(this.#lost(evaluate, number));
        continue;
      }
      for (const { position, target } of selfPlay(evaluate, this.task.play, random)) {
        const inputs = describing(position);
        const said = value(inputs);
        losses.push(softplus(said) - target * said);
        rows?.add(inputs, winning(said) - target);
      }
    }
    if (rows !== null) {
      const { kernels } = this.bench;
      const it = this.#program(rows.errors.length);
      kernels.write(it.inputs, rows.inputs);
      kernels.write(it.errors, rows.errors);
      await kernels.read(it.program.run());
    }
    return { losses, targets: losses.length };
  }

  /** What is lost of a point in a game against who only counts material: 0 won, ½ drawn, 1 lost. Colours change with the number. */
  #lost(evaluate: Evaluate, number: number): number {
    const { depth, openingMoves } = this.task.play;
    // Both games of a pair begin alike.
    const random = randomStream(this.bench.place.seed, PURPOSE.validation, number >> 1);
    let game = newGame();
    for (let i = 0; i < openingMoves && result(game) === null; i++) {
      const moves = legalMoves(game.position);
      game = play(game, moves[random.below(moves.length)]);
    }
    const [mine, theirs] = [evaluate, countMaterial].map((each) => searchPlayer(each, { depth })(number));
    const black = number % 2 === 0;
    const played = playGame(game, black ? [mine, theirs] : [theirs, mine]);
    const score = scoreOf(played.result, BLACK);
    return (1 - (black ? score : -score)) / 2;
  }

  #program(rows: number): ValueProgram {
    const known = this.#programs.get(rows);
    if (known !== undefined) return known;
    const { kernels, weights, take } = this.bench;
    const made = valueProgram(kernels, this.task.model, weights, rows, take);
    this.#programs.set(rows, made);
    return made;
  }
}

/** Rows of a program of fixed size; what is not used has no error, and so no part in any gradient. */
class Rows {
  readonly inputs: Float32Array;
  readonly errors: Float32Array;
  #count = 0;
  readonly #width: number;

  constructor({ model, play }: CheckersTask, games: number) {
    this.#width = model.config.inputs;
    this.inputs = new Float32Array(games * play.maxMoves * this.#width);
    this.errors = new Float32Array(games * play.maxMoves);
  }

  add(inputs: Float32Array, error: number): void {
    this.inputs.set(inputs, this.#count * this.#width);
    this.errors[this.#count] = error;
    this.#count += 1;
  }
}

/** log(1 + eˣ), also for large x. */
function softplus(x: number): number {
  return Math.max(x, 0) + math.log(1 + math.exp(-Math.abs(x)));
}
