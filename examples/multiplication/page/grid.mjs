import { h } from '../../../apps/cli/dist/explain/page/dom.js';

const steps = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };

/** Every pair as a button: filled where it was seen, hollow where it never was, • right and × wrong. */
export function grid({ cells, name }) {
  const told = h('p', { class: 'told', 'aria-live': 'polite' });
  const buttons = new Map();
  let chosen = null;

  const choose = (cell) => {
    chosen?.setAttribute('tabindex', '-1');
    chosen?.removeAttribute('aria-current');
    chosen = buttons.get(placeOf(cell.x, cell.y));
    chosen.setAttribute('tabindex', '0');
    chosen.setAttribute('aria-current', 'true');
    told.replaceChildren(...verdict(cell));
  };
  for (const cell of cells) {
    const attributes = { type: 'button', class: kindOf(cell), tabindex: '-1', 'aria-label': spoken(cell) };
    const button = h('button', attributes, markOf(cell));
    button.addEventListener('focus', () => choose(cell));
    button.addEventListener('click', () => choose(cell));
    button.addEventListener('keydown', (event) => {
      const [dx, dy] = steps[event.key] ?? [0, 0];
      const target = buttons.get(placeOf(cell.x + dx, cell.y + dy));
      if (dx === 0 && dy === 0) return;
      event.preventDefault();
      target?.focus();
    });
    buttons.set(placeOf(cell.x, cell.y), button);
  }

  const tens = Array.from({ length: 10 }, (_, ten) => block(ten, buttons));
  choose(cells[0]);
  const about =
    'Left to right the first number, top to bottom the second. The arrow keys walk through the pairs.';
  return h(
    'div',
    {},
    legend(),
    h('p', { class: 'dim' }, about),
    h('div', { class: 'grid', role: 'group', 'aria-label': `all pairs of ${name}` }, ...tens),
    told,
  );
}

/** Ten first numbers: those of one tens digit, ten columns and eight rows. */
function block(ten, buttons) {
  const heads = Array.from({ length: 10 }, (_, one) =>
    h('small', { class: 'dim' }, ten === 0 && one < 2 ? '' : String(10 * ten + one)),
  );
  const rows = [2, 3, 4, 5, 6, 7, 8, 9].flatMap((y) => [
    h('small', { class: 'dim' }, String(y)),
    ...Array.from({ length: 10 }, (_, one) => buttons.get(placeOf(10 * ten + one, y)) ?? h('span', {})),
  ]);
  return h('div', { class: 'block' }, h('span', {}), ...heads, ...rows);
}

function legend() {
  const kinds = [
    [{ seen: true, right: true }, 'seen, right'],
    [{ seen: false, right: true }, 'never seen, right'],
    [{ seen: true, right: false }, 'seen, wrong'],
    [{ seen: false, right: false }, 'never seen, wrong'],
  ];
  const entries = kinds.map(([cell, words]) =>
    h('li', {}, h('span', { class: kindOf(cell), 'aria-hidden': 'true' }, markOf(cell)), words),
  );
  return h('ul', { class: 'legend' }, ...entries);
}

function verdict(cell) {
  const { x, y, said, answer, right } = cell;
  const written = (text) => h('span', { class: 'said' }, text);
  const instead = right ? ['.'] : [', where ', written(answer), ' is right.'];
  return [`${spoken(cell)}.`, h('br'), 'It wrote ', written(`${x}*${y}=${said}`), ...instead];
}

function spoken({ x, y, seen, kept, right }) {
  const known = seen ? 'seen' : kept ? 'never seen, kept for validation' : 'never seen';
  return `${x} × ${y} = ${x * y}: ${known}, ${right ? 'right' : 'wrong'}`;
}

function kindOf({ seen, right }) {
  return `cell ${seen ? 'seen' : 'unseen'} ${right ? 'right' : 'wrong'}`;
}

function markOf({ right }) {
  return right ? '•' : '×';
}

function placeOf(x, y) {
  return `${x}*${y}`;
}
