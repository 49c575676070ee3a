import { BLACK, bit, type Colour, type Position } from '@manyhands/checkers';
import type { colors } from '../output.js';

type Colors = typeof colors;

/**
 * The board as lines of text, `below` at the bottom: on every dark square its piece (`b`, `w`; kings `B`, `W`) and its
 * number.
 */
export function drawBoard(position: Position, below: Colour, colors: Colors): string {
  const rule = `  +${'-'.repeat(8 * 4 + 1)}+`;
  const rows = Array.from({ length: 8 }, (_, row) => {
    const cells = Array.from({ length: 8 }, (_, column) => {
      if ((row + column) % 2 === 0) return '    ';
      const place = row * 4 + (column >> 1);
      return drawSquare(position, below === BLACK ? 31 - place : place, colors);
    });
    return `  |${cells.join('')} |`;
  });
  return [rule, ...rows, rule].join('\n');
}

function drawSquare({ black, white, kings }: Position, square: number, colors: Colors): string {
  const number = colors.dim(String(square + 1).padStart(2));
  const here = bit(square);
  if (((black | white) & here) === 0) return ` ${colors.dim('·')}${number}`;
  const letter = black & here ? 'b' : 'w';
  const piece = kings & here ? letter.toUpperCase() : letter;
  return ` ${black & here ? colors.red(piece) : colors.bold(piece)}${number}`;
}
