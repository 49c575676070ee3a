import { bar, h, table } from '../../../apps/cli/dist/explain/page/dom.js';
import { curves } from './curves.mjs';
import { grid } from './grid.mjs';

/** Pairs never seen of which the page quotes the answer. */
const quotedAnswers = 6;

const { runs, differences } = JSON.parse(document.getElementById('data').textContent);

function share({ right, asked }) {
  return asked === 0 ? 'none asked' : `${((100 * right) / asked).toFixed(1)} %`;
}

/** What the two shares mean together, in a sentence. */
function meaning({ seen, unseen, chance }) {
  const [known, fresh] = [seen.right / seen.asked, unseen.right / unseen.asked];
  if (!(known >= 0.9)) return 'It has not even learned what it was shown.';
  if (fresh >= 0.95) return 'A rule: what it was never shown it answers too.';
  if (fresh <= 5 * chance + 0.02) return 'A memory: what it was never shown it can only guess.';
  return 'Something between: more than a memory, less than the rule.';
}

function scores({ seen, unseen, chance }) {
  const row = (name, value, part, of) => [name, value, of, bar(part, name === 'seen' ? 'good' : 'value')];
  const rows = [
    row('seen', share(seen), seen.right / seen.asked, `${seen.right} of ${seen.asked}`),
    row('never seen', share(unseen), unseen.right / unseen.asked, `${unseen.right} of ${unseen.asked}`),
    row('by chance', `${(100 * chance).toFixed(1)} %`, chance, ''),
  ];
  const made = table(['pairs', 'right', '', ''], rows);
  made.className = 'scores';
  return h('div', { class: 'scroll' }, made);
}

/** Some pairs that were never seen, evenly from all of them, with what the run wrote. */
function answers({ cells }) {
  const fresh = cells.filter(({ seen }) => !seen);
  const some = Array.from(
    { length: Math.min(quotedAnswers, fresh.length) },
    (_, i) => fresh[Math.floor(((i + 0.5) * fresh.length) / quotedAnswers)],
  );
  const rows = some.map(({ x, y, said, right }) => [
    `${x} × ${y} = ${x * y}`,
    h('code', {}, said),
    h('span', { class: `mark ${right ? 'right' : 'wrong'}` }, right ? '• right' : '× wrong'),
  ]);
  return h('div', { class: 'scroll' }, table(['never seen', 'it wrote', ''], rows));
}

function card(run, at) {
  const { name, way, checkpoint, parameters, seed, weightsSha256 } = run;
  const how = way === 'plain' ? 'the product at once' : 'worked out digit by digit';
  return h(
    'section',
    { 'aria-labelledby': `run-${at}` },
    h('h2', { id: `run-${at}` }, name),
    h('p', { class: 'verdict' }, meaning(run)),
    h(
      'p',
      { class: 'dim' },
      `Lines: ${how}. ${parameters.toLocaleString('en-US')} weights, ${checkpoint}, seed ${seed}.`,
    ),
    h('h3', {}, 'How many are right'),
    scores(run),
    h('h3', {}, 'Losses'),
    curves(run),
    h('h3', {}, 'Every pair'),
    grid(run),
    h('h3', {}, 'In its own hand'),
    answers(run),
    h('p', { class: 'hash dim' }, 'weights sha256 ', h('code', {}, weightsSha256)),
  );
}

const settings = table(['setting', ...runs.map(({ name }) => name)], differences);
settings.className = 'differ';
const differing = h(
  'section',
  { 'aria-labelledby': 'differences' },
  h('h2', { id: 'differences' }, 'In what the runs differ'),
  h('p', {}, 'The same command; these lines of the config are not the same, and all others are.'),
  settings,
);
const lead =
  'Each run was shown some products, and asked for all of them: 2 … 99 times 2 … 9. The likeliest character was taken ' +
  'each time, and an answer counts as right where every character is. Chance is an answer drawn from those that the run was taught.';
document.body.append(
  h('header', {}, h('h1', {}, 'A rule or a memory'), h('p', {}, lead)),
  h(
    'main',
    {},
    ...(differences.length > 0 ? [differing] : []),
    h('div', { class: 'runs' }, ...runs.map(card)),
  ),
);
