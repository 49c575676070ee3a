import { BLACK, bit, type Colour, type Move, type Position } from '@manyhands/checkers';
import { h } from '../../explain/page/dom.js';

/** What the board shows besides the pieces. */
export interface Shown {
  readonly position: Position;
  /** Whose side is at the bottom. */
  readonly below: Colour;
  /** The squares gone so far of the move that is being entered. */
  readonly entered: readonly number[];
  /** The moves that can be entered. */
  readonly moves: readonly Move[];
  readonly last: Move | null;
}

const kinds = { b: 'black man', B: 'black king', w: 'white man', W: 'white king' } as const;

/**
 * The board, a button for each dark square. It is one stop for Tab; the arrow keys go from square to square.
 * @param chosen called with the square (from 0) that was clicked, or entered with the keyboard
 */
export function boardPart(chosen: (square: number) => void): {
  element: HTMLElement;
  show: (shown: Shown) => void;
} {
  let turnedRound = false;
  /** The square at a place, counted from the top left; the same the other way. */
  const squareAt = (place: number) => (turnedRound ? 31 - place : place);
  const buttons = Array.from({ length: 32 }, (_, place) => {
    const button = h('button', { type: 'button', tabindex: place === 0 ? 0 : -1 });
    button.addEventListener('click', () => chosen(squareAt(place)));
    button.addEventListener('focus', () => {
      for (const each of buttons) each.tabIndex = each === button ? 0 : -1;
    });
    button.addEventListener('keydown', (event) => {
      const next = neighbour(place, event.key);
      if (next === null) return;
      event.preventDefault();
      buttons[next].focus();
    });
    return button;
  });
  const cells = Array.from({ length: 64 }, (_, cell) => {
    const [row, column] = [cell >> 3, cell & 7];
    return (row + column) % 2 === 0 ? h('span', { class: 'light' }) : buttons[row * 4 + (column >> 1)];
  });
  const element = h('div', { id: 'board', role: 'group', 'aria-label': 'board' }, ...cells);
  return {
    element,
    show({ position, below, entered, moves, last }) {
      turnedRound = below === BLACK;
      for (const [place, button] of buttons.entries()) {
        const square = squareAt(place);
        const open = moves.filter(({ path }) => entered.every((each, i) => path[i] === each));
        const target = open.some(({ path }) => path[entered.length] === square);
        button.className = [
          'square',
          entered.includes(square) ? 'entered' : '',
          target ? (entered.length === 0 ? 'movable' : 'target') : '',
          last?.path.includes(square) ? 'last' : '',
        ].join(' ');
        const piece = pieceOn(position, square);
        const name = piece === null ? 'empty' : kinds[piece];
        const can = target ? (entered.length === 0 ? ', can move' : ', can be moved to') : '';
        button.setAttribute('aria-label', `${square + 1}, ${name}${can}`);
        button.replaceChildren(h('small', {}, String(square + 1)), ...(piece === null ? [] : [draw(piece)]));
      }
    },
  };
}

function pieceOn({ black, white, kings }: Position, square: number): keyof typeof kinds | null {
  const here = bit(square);
  if (black & here) return kings & here ? 'B' : 'b';
  if (white & here) return kings & here ? 'W' : 'w';
  return null;
}

function draw(piece: keyof typeof kinds): HTMLElement {
  const king = piece === 'B' || piece === 'W';
  return h('span', { class: `piece ${kinds[piece]}`, 'aria-hidden': 'true' }, king ? 'K' : '');
}

function neighbour(place: number, key: string): number | null {
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -4, ArrowDown: 4 }[key];
  if (step === undefined) return null;
  const next = place + step;
  const sameRow = next >> 2 === place >> 2;
  return next < 0 || next > 31 || (Math.abs(step) === 1 && !sameRow) ? null : next;
}
