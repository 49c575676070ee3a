import { choose, h, percent, quoted, section } from '../../explain/page/dom.js';
import type { Passage, Report, Surprise } from './report.js';

/** Shades between no surprise and a blind guess. */
const SHADES = 8;
/** Passages that are shown at once. */
const SHOWN = 12;

/** The passages that cost most, of all sources or of one. */
export function passagesPart({ passages, sources, model }: Report): HTMLElement {
  const blind = Math.log(model.vocab);
  const list = h('ol', { class: 'passages' });
  const show = (source: string | null) => {
    const chosen = passages.filter((passage) => source === null || passage.source === source);
    const items = chosen.slice(0, SHOWN).map((passage) => h('li', {}, passageBox(passage, blind)));
    const none = `None of ${source} is among the ${passages.length} that cost most.`;
    list.replaceChildren(...(items.length > 0 || passages.length === 0 ? items : [h('li', {}, none)]));
  };
  show(null);
  const names = sources.map(({ name }) => name);
  const select = choose('Of', ['all sources', ...names], (at) => show(at === 0 ? null : names[at - 1]));
  const legend = Array.from({ length: SHADES }, (_, level) => h('span', { class: `shade-${level}` }, ' '));
  return section(
    'passages',
    'Passages that it did not see coming',
    passages.length === 0
      ? 'No stretch of text has the 16 tokens that a mean of some meaning needs.'
      : `Stretches of 16 to 64 tokens with the highest mean loss. Point at a token, or walk a passage by the arrow keys, to see what it cost.`,
    h('div', { class: 'controls' }, ...(names.length > 1 ? [select] : [])),
    h(
      'p',
      { class: 'legend' },
      'no surprise ',
      ...legend,
      ` a blind guess, ${blind.toFixed(2)} nats, or worse`,
    ),
    list,
  );
}

function passageBox({ source, document, from, loss, before, tokens }: Passage, blind: number): HTMLElement {
  const detail = h('p', { class: 'told', 'aria-live': 'polite' });
  const spans = tokens.map((token) =>
    h('span', { class: `token shade-${shadeOf(token.loss, blind)}` }, token.text),
  );
  const text = h(
    'p',
    { class: 'passage text', tabindex: 0, role: 'group' },
    h('span', { class: 'dim' }, before.join('')),
    ...spans,
  );
  text.setAttribute('aria-label', `passage of mean loss ${loss.toFixed(4)}: arrow keys walk its tokens`);
  let at = tokens.indexOf(tokens.reduce((a, b) => (b.loss > a.loss ? b : a)));
  const pick = (next: number) => {
    spans[at].classList.remove('picked');
    at = Math.min(tokens.length - 1, Math.max(0, next));
    spans[at].classList.add('picked');
    detail.textContent = inWords(tokens[at]);
  };
  pick(at);
  const moves: Readonly<Record<string, (at: number) => number>> = {
    ...{ ArrowLeft: (at) => at - 1, ArrowRight: (at) => at + 1, Home: () => 0, End: () => tokens.length - 1 },
  };
  text.addEventListener('keydown', (event) => {
    const move = moves[event.key];
    if (move === undefined) return;
    event.preventDefault();
    pick(move(at));
  });
  for (const kind of ['pointerover', 'click'] as const) {
    text.addEventListener(kind, ({ target }) => {
      const over = target instanceof HTMLElement ? spans.indexOf(target) : -1;
      if (over >= 0) pick(over);
    });
  }
  const named = document.startsWith(source) ? document : `${document} (${source})`;
  const place = `${named}, from token ${from.toLocaleString('en-US')}`;
  return h('div', {}, h('h3', {}, loss.toFixed(4), h('small', {}, ` ${place}`)), text, detail);
}

function shadeOf(loss: number, blind: number): number {
  return Math.min(SHADES - 1, Math.floor((SHADES * loss) / blind));
}

function inWords({ text, loss, position }: Surprise): string {
  return `${quoted(text)} after ${position} ${position === 1 ? 'token' : 'tokens'}: ${loss.toFixed(4)} nats, given ${percent(Math.exp(-loss))}`;
}
