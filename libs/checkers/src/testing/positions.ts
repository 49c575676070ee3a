import fc from 'fast-check';
import { bit, SQUARES } from '../board.js';
import { impossible } from '../notation.js';
import { BLACK, type Position, WHITE } from '../position.js';

/** Any position that the rules do not rule out, thickly and thinly settled. */
export const anyPosition: fc.Arbitrary<Position> = fc
  .record({
    squares: fc.uniqueArray(fc.nat(SQUARES - 1), { minLength: 1, maxLength: 24 }),
    pieces: fc.array(fc.record({ white: fc.boolean(), king: fc.boolean() }), {
      minLength: 24,
      maxLength: 24,
    }),
    turn: fc.constantFrom(BLACK, WHITE),
  })
  .map(({ squares, pieces, turn }) => {
    const where = (wanted: (piece: { white: boolean; king: boolean }) => boolean) =>
      squares.reduce((set, square, i) => (wanted(pieces[i]) ? set | bit(square) : set), 0);
    return {
      black: where(({ white }) => !white),
      white: where(({ white }) => white),
      kings: where(({ king }) => king),
      turn,
    };
  })
  .filter((position) => impossible(position) === null);
