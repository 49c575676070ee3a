import { h, s } from '../../../apps/cli/dist/explain/page/dom.js';

const [width, height, left, bottom, top, right] = [420, 200, 34, 22, 10, 12];

/** The loss of training and of validation at each evaluation, from zero up. */
export function curves({ curve, name }) {
  if (curve.length < 2)
    return h('p', { class: 'dim' }, 'The run had fewer than two evaluations: there is no curve.');
  const last = curve[curve.length - 1];
  const losses = curve.flatMap(({ trainLoss, validationLoss }) => [trainLoss, validationLoss]);
  const most = Math.ceil(Math.max(...losses.filter(Number.isFinite)) * 2) / 2;
  const x = (step) => left + (step / last.step) * (width - left - right);
  const y = (loss) => height - bottom - (loss / most) * (height - bottom - top);
  const line = (kind, key) =>
    s('polyline', {
      class: kind,
      points: curve
        .filter((point) => Number.isFinite(point[key]))
        .map((point) => `${x(point.step).toFixed(1)},${y(point[key]).toFixed(1)}`)
        .join(' '),
    });
  const text = (at, label, attributes = {}) => s('text', { x: at[0], y: at[1], ...attributes }, label);
  const levels = [0, most / 2, most].flatMap((loss) => [
    s('line', { class: 'axis', x1: left, x2: width - right, y1: y(loss), y2: y(loss) }),
    text([left - 5, y(loss) + 4], String(loss), { 'text-anchor': 'end' }),
  ]);
  const told = curve.map(({ step, trainLoss, validationLoss }) => [
    step,
    number(trainLoss),
    number(validationLoss),
  ]);
  return h(
    'figure',
    {},
    s(
      'svg',
      {
        class: 'curve',
        viewBox: `0 0 ${width} ${height}`,
        role: 'img',
        'aria-label': spokenCurve(name, curve),
      },
      ...levels,
      text([left, height - 6], '0'),
      text([width - right, height - 6], `step ${last.step.toLocaleString('en-US')}`, {
        'text-anchor': 'end',
      }),
      line('training', 'trainLoss'),
      line('validation', 'validationLoss'),
    ),
    h(
      'ul',
      { class: 'legend' },
      sample('training', `training, at the end ${number(last.trainLoss)}`),
      sample('validation', `validation (dashed), at the end ${number(last.validationLoss)}`),
    ),
    h(
      'details',
      {},
      h('summary', {}, 'the same in numbers'),
      h('div', { class: 'scroll' }, rowsOf(['step', 'training loss', 'validation loss'], told)),
    ),
  );
}

function sample(kind, words) {
  const line = s('polyline', { class: kind, points: '0,5 30,5' });
  return h('li', {}, s('svg', { width: 30, height: 10, 'aria-hidden': 'true' }, line), words);
}

function rowsOf(headings, rows) {
  return h(
    'table',
    { class: 'losses' },
    h('thead', {}, h('tr', {}, ...headings.map((words) => h('th', { scope: 'col' }, words)))),
    h('tbody', {}, ...rows.map((row) => h('tr', {}, ...row.map((value) => h('td', {}, String(value)))))),
  );
}

function number(loss) {
  return Number.isFinite(loss) ? loss.toFixed(3) : '–';
}

function spokenCurve(name, curve) {
  const [first, last] = [curve[0], curve[curve.length - 1]];
  return (
    `Losses of ${name} over ${last.step} steps: training from ${number(first.trainLoss)} to ${number(last.trainLoss)}, ` +
    `validation from ${number(first.validationLoss)} to ${number(last.validationLoss)}.`
  );
}
