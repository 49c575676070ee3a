import { h, type Part, slide } from './dom.js';
import { graphPart } from './graph.js';
import { lossPart, predictionPart, weightsPart } from './learning.js';
import type { Picture } from './picture.js';
import { attentionPart, embeddingsPart, tokensPart } from './reading.js';
import { inferencePart } from './writing.js';

function start(picture: Picture): void {
  const { moments, steps, model, tokens, asked } = picture;
  const parts: Part[] = [
    embeddingsPart(picture),
    attentionPart(picture),
    predictionPart(picture),
    lossPart(picture),
    graphPart(picture),
    weightsPart(picture),
  ];
  const told = h('p', { id: 'step-loss', 'aria-live': 'polite' });
  const show = (number: number) => {
    const step = number - 1;
    const [before, after] = [moments[step].loss, moments[step + 1].loss];
    told.textContent = `loss ${before.toFixed(4)} → ${after.toFixed(4)}`;
    for (const part of parts) part.show(step);
  };
  const text = tokens.map((token) => token.text);
  const names = [...[tokensPart(picture), ...parts.map(({ element }) => element), inferencePart(picture)]];
  const links = names.map((element) => {
    const name = element.id[0].toUpperCase() + element.id.slice(1);
    return h('li', {}, h('a', { href: `#${element.id}` }, name));
  });
  document.body.append(
    h(
      'header',
      {},
      h('h1', {}, 'One training step, in the open'),
      h(
        'p',
        { class: 'question' },
        h('span', { class: 'text' }, text.slice(0, -asked).join('')),
        ' → ',
        h('strong', { class: 'text' }, text.slice(-asked).join('')),
      ),
      h(
        'p',
        { class: 'dim' },
        `${model.arch}, ${model.layers} layers × ${model.heads} heads, ${model.channels} channels, ${model.parameters.toLocaleString('en-US')} weights. Every number here was taken from the graph that trains.`,
      ),
      h('nav', { 'aria-label': 'parts' }, h('ul', {}, ...links)),
    ),
    h('div', { class: 'sticky' }, slide('step', 'Step', steps.length, show), told),
    h('main', {}, ...names),
  );
}

const data = document.getElementById('data')?.textContent;
if (data) start(JSON.parse(data));
