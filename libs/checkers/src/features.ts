import { count, EVEN_ROWS, opposite, type Squares, shift, turned } from './board.js';
import { BLACK, type Position } from './position.js';

/**
 * What is looked at to judge a position, after A. L. Samuel, "Some studies in machine learning using the game of
 * checkers" (IBM Journal 3, 1959, appendix C). Each number is mine less the other's, where mine is the side to move.
 */
export const featureNames = [
  'men',
  'kings',
  'advantage',
  'advancement',
  'backRow',
  'bridge',
  'triangle',
  'centre',
  'kingCentre',
  'edge',
  'mobility',
  'safeMobility',
  'blocked',
  'exposure',
  'threat',
  'crowning',
  'move',
  'turn',
] as const;

export type FeatureName = (typeof featureNames)[number];

/** What each number counts, for a reader of the weights. Squares are those of Black. */
export const featureMeanings: Readonly<Record<FeatureName, string>> = {
  men: 'men on the board',
  kings: 'kings on the board',
  advantage: 'material ahead as a share of all there is: above 0, exchanges pay',
  advancement: 'rows that the men have advanced, in all',
  backRow: 'men still on the own back row, which keep the other from kings',
  bridge: 'men on both 1 and 3, which two men can hardly pass',
  triangle: "men on 2, 3 and 7, Samuel's triangle of Oreo",
  centre: 'men on the eight squares of the centre',
  kingCentre: 'kings on the eight squares of the centre',
  edge: 'pieces on the left and right edges, where nothing captures them and they reach less',
  mobility: 'steps that could be made onto an empty square',
  safeMobility: 'those of them after which the piece could not be captured at once',
  blocked: 'pieces that have no step',
  exposure: 'pieces with an empty square before and behind them on a diagonal',
  threat: 'pieces that could capture now, if it were their turn',
  crowning: 'men that could become kings by their next step',
  move: 'the last move of a blockade falls to this side: +1, to the other: −1; 0 unless pieces are even',
  turn: 'the right to move, always 1',
};

/** 10, 11, 14, 15, 18, 19, 22 and 23. */
const CENTRE = 0x00666600;
const EDGES = 0x18181818;
const BACK_ROW = 0x0000000f;
const KING_ROW = 0xf0000000 | 0;
const BRIDGE = 0x00000005;
const TRIANGLE = 0x00000046;
/** What a king counts for in `advantage`, in men. */
const KING = 1.5;

/** One side's half of the board, turned so that its men move as Black's do. */
interface Side {
  readonly mine: Squares;
  readonly theirs: Squares;
  readonly kings: Squares;
}

const at = Object.fromEntries(featureNames.map((name, i) => [name, i])) as Record<FeatureName, number>;

/**
 * The features of a position, in the order of `featureNames`. A position and its mirror image have the same.
 * @param into where they are written: a new array, unless one is given to be used again
 */
export function features(position: Position, into = new Float32Array(featureNames.length)): Float32Array {
  const { black, white, kings, turn } = position;
  const fromWhite = { mine: turned(white), theirs: turned(black), kings: turned(kings) };
  const fromBlack = { mine: black, theirs: white, kings };
  const [me, other] = turn === BLACK ? [fromBlack, fromWhite] : [fromWhite, fromBlack];
  into.fill(0);
  measure(me, 1, into);
  measure(other, -1, into);
  const material = (side: Side) => count(side.mine) + (KING - 1) * count(side.mine & side.kings);
  const [mine, theirs] = [material(me), material(other)];
  into[at.advantage] = (mine - theirs) / (mine + theirs);
  // With as many pieces each, an odd number in the system of columns that begins on my side gives me "the move".
  const even = count(me.mine) === count(me.theirs);
  if (even) into[at.move] = count((me.mine | me.theirs) & EVEN_ROWS) % 2 === 1 ? 1 : -1;
  into[at.turn] = 1;
  return into;
}

function measure({ mine, theirs, kings }: Side, sign: 1 | -1, into: Float32Array): void {
  const men = mine & ~kings;
  const crowned = mine & kings;
  const empty = ~(mine | theirs);
  const add = (name: FeatureName, amount: number) => {
    into[at[name]] += sign * amount;
  };
  add('men', count(men));
  add('kings', count(crowned));
  let rows = 0;
  for (let row = 1; row <= 6; row++) rows += count(men >>> (4 * row));
  add('advancement', rows);
  add('backRow', count(men & BACK_ROW));
  add('bridge', (men & BRIDGE) === BRIDGE ? 1 : 0);
  add('triangle', (men & TRIANGLE) === TRIANGLE ? 1 : 0);
  add('centre', count(men & CENTRE));
  add('kingCentre', count(crowned & CENTRE));
  add('edge', count(mine & EDGES));

  /** Empty squares on which a piece of mine could be captured. */
  let deadly = 0;
  for (let d = 0; d < 4; d++) {
    const able = d >= 2 ? theirs : theirs & kings;
    deadly |= shift[d](able) & empty & shift[opposite(d)](empty);
  }
  let [steps, safe, stepping, jumping] = [0, 0, 0, 0];
  for (let d = 0; d < 4; d++) {
    const able = d < 2 ? mine : crowned;
    if (able === 0) continue;
    const back = shift[opposite(d)];
    const reached = shift[d](able) & empty;
    steps += count(reached);
    safe += count(reached & ~deadly);
    stepping |= able & back(empty);
    jumping |= able & back(theirs & back(empty));
  }
  add('mobility', steps);
  add('safeMobility', safe);
  add('blocked', count(mine & ~stepping));
  add('exposure', count(mine & ((shift[0](empty) & shift[3](empty)) | (shift[1](empty) & shift[2](empty)))));
  add('threat', count(jumping));
  const free = empty & KING_ROW;
  add('crowning', count(men & (shift[2](free) | shift[3](free))));
}
