import { bit } from './board.js';
import { CheckersError } from './errors.js';
import { type Evaluate, GREATEST } from './evaluation.js';
import { type Game, QUIET_MOVES } from './game.js';
import { captures, legalMoves, steppers } from './moves.js';
import { after, type Move, type Position, samePosition } from './position.js';
import { AT_LEAST, AT_MOST, EXACT, Table } from './table.js';

/** What a game that is won is worth, less the moves until then: a near win is better, a far loss too. */
export const WON = 1000;
export const MOST_DEPTH = 60;

/** At least one of `depth`, `nodes` and `stop`. The first two make a search the same on every machine. */
export interface SearchOptions {
  readonly evaluate: Evaluate;
  /** Moves to look ahead, 1 to 60; captures are followed further. */
  readonly depth?: number;
  /** Positions to look at; one move ahead is looked at in any case. */
  readonly nodes?: number;
  /** Asked now and then whether to come to an end: for search by time, in play. */
  readonly stop?: () => boolean;
  /** What earlier searches with the same evaluation found. */
  readonly table?: Table;
}

export interface Found {
  readonly move: Move;
  /** In men, to the side to move; beyond ±100 where the game is decided. */
  readonly value: number;
  /** The line that is expected, from `move` on. */
  readonly line: readonly Move[];
  /** Moves looked ahead, and positions looked at. */
  readonly depth: number;
  readonly nodes: number;
}

/**
 * The best move by alpha-beta (Knuth & Moore 1975) with iterative deepening: each round looks one move further ahead,
 * ordered by what the last one found, and the last whole one counts.
 *
 * @throws CheckersError where there is no legal move, or where `evaluate` says what is no value
 */
export function search(game: Game, options: SearchOptions): Found {
  const { depth = MOST_DEPTH, nodes = Number.POSITIVE_INFINITY } = options;
  if (options.depth === undefined && options.nodes === undefined && options.stop === undefined) {
    throw new RangeError('a search needs a limit: depth, nodes or stop');
  }
  if (!(Number.isInteger(depth) && depth >= 1 && depth <= MOST_DEPTH)) {
    throw new RangeError(`depth ${depth} must be a whole number from 1 to ${MOST_DEPTH}`);
  }
  if (!(nodes >= 1)) throw new RangeError(`nodes ${nodes} must be 1 or more`);
  if (legalMoves(game.position).length === 0) throw new CheckersError('there is no legal move to search for');
  const searcher = new Searcher(game, options);
  let found = searcher.round(1);
  for (let next = 2; next <= depth && !decided(found.value); next++) {
    const further = searcher.round(next);
    if (searcher.stopped) return { ...found, nodes: searcher.nodes };
    found = further;
  }
  return found;
}

/** Whether a value says that the game is won or lost, however it is played. */
export function decided(value: number): boolean {
  return Math.abs(value) > GREATEST;
}

class Searcher {
  nodes = 0;
  stopped = false;
  readonly #evaluate: Evaluate;
  readonly #table: Table;
  readonly #stop: () => boolean;
  /** The positions of the game and of the line that is looked at; those before `#fresh` cannot come again. */
  readonly #line: Position[];
  #fresh = 0;
  readonly #limit: number;
  #mayStop = false;
  readonly #root: Position;
  /** How often a move, by its first and last square, was good enough (Schaeffer 1983). */
  readonly #history = new Float64Array(32 * 32);

  constructor(game: Game, { evaluate, table, nodes, stop }: SearchOptions) {
    this.#evaluate = evaluate;
    this.#table = table ?? new Table();
    this.#stop = stop ?? (() => false);
    this.#limit = nodes ?? Number.POSITIVE_INFINITY;
    this.#root = game.position;
    this.#line = [...game.since];
  }

  /** One round of iterative deepening; worthless once `stopped`, which the first never is. */
  round(depth: number): Found {
    this.#mayStop = depth > 1;
    const value = this.#value(this.#root, depth, 0, -Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY);
    const line = this.stopped ? [] : this.#expected(depth);
    // A draw is 0, from either side.
    return { move: line[0], value: value + 0, line, depth, nodes: this.nodes };
  }

  /** The value of a position for its side to move, if it lies between alpha and beta; a bound for it otherwise. */
  #value(position: Position, depth: number, ply: number, alpha: number, beta: number): number {
    this.nodes++;
    if (this.#mayStop && (this.nodes > this.#limit || ((this.nodes & 1023) === 0 && this.#stop()))) {
      this.stopped = true;
    }
    if (this.stopped) return 0;
    if (ply > 0 && this.#repeats(position)) return 0;
    // Captures are forced, so a position is quiet where there is none.
    const moves = depth > 0 ? legalMoves(position) : captures(position);
    if (moves.length === 0) {
      if (depth > 0 || steppers(position, position.turn) === 0) return ply - WON;
      return this.#judged(position);
    }
    if (ply > 0 && this.#line.length - this.#fresh >= 2 * QUIET_MOVES) return 0;
    const known = depth > 0 ? this.#table.get(position) : null;
    if (known !== null && ply > 0 && known.depth >= depth) {
      const value = fromHere(known.value, ply);
      if (known.bound === EXACT) return value;
      if (known.bound === AT_LEAST ? value >= beta : value <= alpha) return value;
    }
    return this.#best(position, moves, depth, ply, alpha, beta, known?.best ?? -1);
  }

  #best(
    position: Position,
    moves: readonly Move[],
    depth: number,
    ply: number,
    alpha: number,
    beta: number,
    first: number,
  ): number {
    let value = -Number.POSITIVE_INFINITY;
    let best = 0;
    for (const i of this.#ordered(moves, first)) {
      const reached = this.#after(position, moves[i], depth, ply, Math.max(alpha, value), beta);
      if (this.stopped) return 0;
      if (reached <= value) continue;
      value = reached;
      best = i;
      if (value >= beta) {
        this.#history[squaresOf(moves[i])] += depth * depth;
        break;
      }
    }
    if (depth > 0) {
      const bound = value >= beta ? AT_LEAST : value <= alpha ? AT_MOST : EXACT;
      this.#table.set(position, { value: fromThere(value, ply), bound, depth, best });
    }
    return value;
  }

  /** What a move leads to, for who makes it. */
  #after(position: Position, move: Move, depth: number, ply: number, alpha: number, beta: number): number {
    const fresh = this.#fresh;
    this.#line.push(position);
    if (move.captured !== 0 || (position.kings & bit(move.path[0])) === 0) this.#fresh = this.#line.length;
    const value = -this.#value(after(position, move), Math.max(0, depth - 1), ply + 1, -beta, -alpha);
    this.#fresh = fresh;
    this.#line.pop();
    return value;
  }

  /** The places of the moves, the promising ones first. */
  #ordered(moves: readonly Move[], first: number): number[] {
    const order = moves.map((_, i) => i);
    if (moves.length === 1) return order;
    const score = (i: number) =>
      i === first ? Number.POSITIVE_INFINITY : this.#history[squaresOf(moves[i])];
    return order.sort((a, b) => (score(a) === score(b) ? a - b : score(b) - score(a)));
  }

  /** Whether a position was there before: who could have it once more can have it again, which is a draw. */
  #repeats(position: Position): boolean {
    for (let i = this.#line.length - 2; i >= this.#fresh; i--) {
      if (samePosition(this.#line[i], position)) return true;
    }
    return false;
  }

  #judged(position: Position): number {
    const value = this.#evaluate(position);
    if (Math.abs(value) <= GREATEST) return value;
    throw new CheckersError(`the evaluation says ${value}: a value is from −${GREATEST} to ${GREATEST}`);
  }

  /** The best moves from here on, as far as the table still knows them. */
  #expected(depth: number): Move[] {
    const line: Move[] = [];
    for (let position = this.#root; line.length < depth; ) {
      const known = this.#table.get(position);
      const move = known === null ? undefined : legalMoves(position)[known.best];
      if (move === undefined) break;
      line.push(move);
      position = after(position, move);
    }
    return line;
  }
}

function squaresOf({ path }: Move): number {
  return 32 * path[0] + path[path.length - 1];
}

/** Wins and losses are kept as seen from the position itself, and told as seen from the root. */
function fromThere(value: number, ply: number): number {
  return decided(value) ? value + Math.sign(value) * ply : value;
}

function fromHere(value: number, ply: number): number {
  return decided(value) ? value - Math.sign(value) * ply : value;
}
