import { bar, chip, choose, decimal, h, heat, type Part, percent, quoted, section, table } from './dom.js';
import type { Picture } from './picture.js';

/** The text as tokens. */
export function tokensPart({ tokens, asked, model }: Picture): HTMLElement {
  const first = tokens.length - asked;
  const chips = tokens.map((token, at) => h('li', {}, chip(token, at < first ? '' : 'answer')));
  return section(
    'tokens',
    'Text becomes tokens',
    `The model reads numbers: each token has one, from a vocabulary of ${model.vocab}. The marked ${asked === 1 ? 'one is' : `${asked} are`} the known answer.`,
    h('ol', { class: 'chips' }, ...chips),
  );
}

/** The vectors that enter the network. */
export function embeddingsPart({ tokens, steps, model }: Picture): Part {
  const body = h('div', { class: 'scroll' });
  const shown = steps[0].embeddings[0].values.length;
  const element = section(
    'embeddings',
    'Each token becomes a vector',
    `${model.channels} learned numbers stand for a token (and for its place); the first ${shown} as colours, blue above zero and orange below. Training moves them too.`,
    body,
  );
  return {
    element,
    show(step) {
      const { embeddings } = steps[step];
      const most = Math.max(...embeddings.flatMap(({ values }) => values.map(Math.abs)));
      const rows = embeddings.map(({ norm, values }, at) => {
        const canvas = h('canvas', { class: 'strip', 'aria-hidden': 'true' }) as HTMLCanvasElement;
        heat(canvas, 1, values.length, (_, c) => values[c] / most);
        return [chip(tokens[at]), canvas, decimal(norm)];
      });
      body.replaceChildren(table(['token', `channels 1 to ${shown}`, 'length'], rows));
    },
  };
}

/** Rows of `attention` in the picture: the row of token t begins after 1 + 2 + … + t shares. */
function rowOf(shares: readonly number[], t: number): readonly number[] {
  return shares.slice((t * (t + 1)) / 2, ((t + 1) * (t + 2)) / 2);
}

/** Who looks at whom, head by head. */
export function attentionPart({ tokens, steps, model }: Picture): Part {
  const time = tokens.length - 1;
  let [layer, head, from, step] = [0, 0, time - 1, 0];
  const gallery = h('div', { class: 'gallery', role: 'group', 'aria-label': 'heads of this layer' });
  const looks = h('div', { class: 'looks' });
  const numbers = (count: number) => Array.from({ length: count }, (_, i) => String(i));
  const pickToken = choose(
    'From token',
    tokens.slice(0, time).map(({ text }, at) => `${at}: ${text}`),
    (at) => {
      from = at;
      draw();
    },
  );
  const select = pickToken.querySelector('select');
  if (select !== null) select.selectedIndex = from;
  const pickLayer = choose('Layer', numbers(model.layers), (at) => {
    layer = at;
    draw();
  });
  const buttons = numbers(model.heads).map((name, at) => {
    const canvas = h('canvas', { 'aria-hidden': 'true' }) as HTMLCanvasElement;
    const button = h('button', { type: 'button' }, canvas, `head ${name}`);
    button.addEventListener('click', () => {
      head = at;
      draw();
    });
    gallery.append(button);
    return { button, canvas };
  });
  const draw = () => {
    buttons.forEach(({ button, canvas }, at) => {
      const shares = steps[step].attention[layer][at];
      button.setAttribute('aria-pressed', String(at === head));
      heat(canvas, time, time, (r, c) => (c > r ? 0 : shares[(r * (r + 1)) / 2 + c]));
    });
    const row = rowOf(steps[step].attention[layer][head], from);
    const order = Array.from(row.keys()).sort((a, b) => row[b] - row[a] || b - a);
    looks.replaceChildren(
      h('h3', {}, `Layer ${layer}, head ${head}: ${quoted(tokens[from].text)} looks at`),
      h(
        'div',
        { class: 'scroll' },
        table(
          ['token', 'share', ''],
          order.slice(0, 8).map((at) => lookAt(at, row[at])),
        ),
      ),
    );
  };
  const lookAt = (at: number, share: number) => [chip(tokens[at]), percent(share), bar(share, 'value')];
  const element = section(
    'attention',
    'Tokens look at the tokens before them',
    'Attention mixes into each token what earlier ones hold. A row is a token that looks, a column one that is looked at; every row adds up to 100%.',
    h('div', { class: 'controls' }, pickLayer, pickToken),
    gallery,
    looks,
  );
  return {
    element,
    show(at) {
      step = at;
      draw();
    },
  };
}
