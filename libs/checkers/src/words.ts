import { type Colour, colourNames, opponent } from './position.js';
import { decided, WON } from './search.js';

/** A value for people: `Black +0.42`, `even`, `White wins in 3`. */
export function valueInWords(value: number, turn: Colour): string {
  const ahead = colourNames[value > 0 ? turn : opponent(turn)];
  if (decided(value)) {
    const moves = Math.ceil((WON - Math.abs(value)) / 2);
    return moves === 0 ? `${ahead} has won` : `${ahead} wins in ${moves}`;
  }
  const size = Math.abs(value).toFixed(2);
  return size === '0.00' ? 'even' : `${ahead} +${size}`;
}
