import {
  BLACK,
  CheckersError,
  type Colour,
  colourNames,
  type Found,
  formatMove,
  formatPosition,
  type Game,
  legalMoves,
  linear,
  type Move,
  newGame,
  parsePosition,
  play,
  result,
  search,
  Table,
  WHITE,
  weightsOf,
} from '@manyhands/checkers';
import { choose, h } from '../../explain/page/dom.js';
import { thoughtPart, type Weighing, weightsPart } from './judge.js';
import { boardPart } from './squares.js';

const levels = [
  { name: 'quick: 300 positions a move', nodes: 300 },
  { name: 'careful: 10,000 positions a move', nodes: 10_000 },
  { name: 'strong: 150,000 positions a move', nodes: 150_000 },
];

function start(weighing: Weighing): void {
  const evaluate = linear(weightsOf(weighing.weights));
  const table = new Table();
  /** The game at each of its moments, and the move that led there. */
  let moments: { readonly game: Game; readonly last: Move | null }[] = [{ game: newGame(), last: null }];
  let human: Colour = BLACK;
  let level = 1;
  let entered: number[] = [];
  let thinking = false;
  /** Whether the last move was taken from the list of moves, which then keeps the focus. */
  let fromList = false;

  const now = () => moments[moments.length - 1];
  const board = boardPart(enter);
  const thought = thoughtPart(weighing);
  const weights = weightsPart(weighing);
  const status = h('p', { id: 'status', 'aria-live': 'polite' });
  const choices = h('div', { id: 'moves', class: 'controls', role: 'group', 'aria-label': 'legal moves' });
  const record = h('p', { id: 'record', class: 'text' });
  const text = h('input', { id: 'position', spellcheck: 'false', autocomplete: 'off' }) as HTMLInputElement;
  const fault = h('p', { id: 'fault', role: 'alert', class: 'error' });

  function show(): void {
    const { game, last } = now();
    const { position } = game;
    const ended = result(game);
    const open = ended === null && position.turn === human && !thinking ? legalMoves(position) : [];
    board.show({ position, below: human, entered, moves: open, last });
    weights.show(position);
    text.value = formatPosition(position);
    fault.textContent = '';
    if (ended !== null) {
      const who = ended.winner === null ? 'A draw' : `${colourNames[ended.winner]} wins`;
      status.textContent = `${who}: ${ended.reason}.`;
    } else if (position.turn !== human) {
      status.textContent = `${colourNames[position.turn]} is thinking …`;
    } else if (thinking) {
      status.textContent = 'Looking for your best move …';
    } else {
      const forced = open[0]?.captured ? ' You must capture.' : '';
      const came = last === null ? '' : `${colourNames[1 - human]} played ${formatMove(last)}. `;
      status.textContent = `${came}Your move, ${colourNames[human]}.${forced}`;
    }
    choices.replaceChildren(...open.map((move) => button(formatMove(move), () => make(move, true))));
    if (fromList && document.activeElement === document.body) choices.querySelector('button')?.focus();
    record.textContent = moments
      .flatMap(({ last: move }) => (move === null ? [] : [formatMove(move)]))
      .join(' ');
  }

  /** A square of the move that is being entered: each landing square of a jump, or its last where that says it all. */
  function enter(square: number): void {
    const { game } = now();
    if (thinking || result(game) !== null || game.position.turn !== human) return;
    const begun = (path: readonly number[], squares: readonly number[]) =>
      squares.every((each, i) => path[i] === each);
    const moves = legalMoves(game.position);
    const gone = [...entered, square];
    const open = moves.filter(({ path }) => begun(path, gone));
    const ending = moves.filter(
      ({ path }) => entered.length > 0 && begun(path, entered) && path.at(-1) === square,
    );
    const whole =
      open.find(({ path }) => path.length === gone.length) ?? (ending.length === 1 ? ending[0] : null);
    if (open.length > 0) entered = gone;
    else entered = moves.some(({ path }) => path[0] === square) ? [square] : [];
    if (whole === null) show();
    else make(whole, false);
  }

  function make(move: Move, listed: boolean): void {
    fromList = listed;
    moments.push({ game: play(now().game, move), last: move });
    entered = [];
    show();
    answer();
  }

  /** Lets the machine move where it is its turn, once the page has shown what was there before. */
  function answer(): void {
    const { game } = now();
    if (result(game) !== null || game.position.turn === human) return;
    think((found) => {
      moments.push({ game: play(game, found.move), last: found.move });
    });
  }

  function think(done: (found: Found) => void): void {
    const { game } = now();
    thinking = true;
    show();
    setTimeout(() => {
      const found = search(game, { evaluate, table, nodes: levels[level].nodes });
      thinking = false;
      thought.show(found, game.position.turn);
      done(found);
      show();
      // The sides may have been changed meanwhile.
      answer();
    }, 50);
  }

  function begin(game: Game): void {
    moments = [{ game, last: null }];
    entered = [];
    thought.show(null, BLACK);
    show();
    answer();
  }

  function undo(): void {
    const before = moments.slice(0, -1).findLastIndex(({ game }) => game.position.turn === human);
    if (before < 0 || thinking) return;
    moments.length = before + 1;
    entered = [];
    show();
  }

  function setUp(): void {
    try {
      begin(newGame(parsePosition(text.value)));
    } catch (error) {
      if (!(error instanceof CheckersError)) throw error;
      fault.textContent = `${error.message}.`;
    }
  }

  function advise(): void {
    const { game } = now();
    if (!thinking && result(game) === null) think(() => {});
  }

  text.addEventListener('keydown', (event) => {
    if (event.key === 'Enter') setUp();
  });
  const ifIdle = (action: () => void) => () => {
    if (!thinking) action();
  };
  const controls = h(
    'div',
    { class: 'controls' },
    button(
      'New game',
      ifIdle(() => begin(newGame())),
    ),
    button('Take back', undo),
    button('Advise me', advise),
    choose('You play', ['Black, who begins', 'White'], (at) => {
      human = at === 0 ? BLACK : WHITE;
      entered = [];
      show();
      if (!thinking) answer();
    }),
    choose(
      'Machine',
      levels.map(({ name }) => name),
      (at) => {
        level = at;
      },
    ),
  );
  const select = controls.querySelectorAll('select')[1];
  if (select !== undefined) select.selectedIndex = level;
  const setting = h(
    'div',
    { class: 'controls setting' },
    h('label', { for: 'position' }, 'Position'),
    text,
    button('Set up', ifIdle(setUp)),
  );
  document.body.append(
    h('header', {}, h('h1', {}, 'Checkers, and how a machine judges it')),
    h(
      'main',
      {},
      h(
        'div',
        { class: 'game' },
        h('div', { class: 'table' }, status, board.element, choices),
        h(
          'div',
          {},
          controls,
          thought.element,
          h('section', { id: 'game' }, h('h2', {}, 'The game so far'), record, setting, fault),
        ),
      ),
      weights.element,
    ),
  );
  begin(newGame());
}

function button(label: string, pressed: () => void): HTMLElement {
  const element = h('button', { type: 'button' }, label);
  element.addEventListener('click', pressed);
  return element;
}

const data = document.getElementById('data')?.textContent;
if (data) start(JSON.parse(data));
