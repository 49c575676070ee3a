import { h } from '../../explain/page/dom.js';
import { lengthsPart, positionPart, sourcesPart, told } from './figures.js';
import { passagesPart } from './passages.js';
import type { Report } from './report.js';

function start(report: Report): void {
  const { model, whole } = report;
  const number = (value: number) => value.toLocaleString('en-US');
  const parts = [sourcesPart(report), lengthsPart(report), positionPart(report), passagesPart(report)];
  const links = parts.map((element) => {
    const name = element.id[0].toUpperCase() + element.id.slice(1);
    return h('li', {}, h('a', { href: `#${element.id}` }, name));
  });
  const rows: readonly [string, string][] = [
    ['loss', `${told(whole)} nats a token`],
    ['perplexity', whole.perplexity.toPrecision(4)],
    ['bits per byte', whole.bitsPerByte.toFixed(4)],
    [
      'text',
      `${number(whole.tokens)} tokens in ${number(whole.documents)} ${whole.documents === 1 ? 'document' : 'documents'}`,
    ],
  ];
  const spread =
    'Tokens of one text are alike, so ± is the standard error over documents; of a single document, over its windows, which tells nothing of others';
  document.body.append(
    h(
      'header',
      {},
      h('h1', {}, 'Where the model is weak'),
      h(
        'p',
        { class: 'dim' },
        `${model.name}: ${model.arch}, ${model.layers} layers × ${model.heads} heads, ${model.channels} channels, context ${number(model.context)}, ${number(model.parameters)} weights.`,
      ),
      h('dl', { id: 'whole' }, ...rows.flatMap(([term, text]) => [h('dt', {}, term), h('dd', {}, text)])),
      h(
        'p',
        {},
        `${spread}. Lines and bands reach 1.96 of it to both sides (95 %). Blind guessing costs ${Math.log(model.vocab).toFixed(4)}.`,
      ),
      h('nav', { 'aria-label': 'parts' }, h('ul', {}, ...links)),
    ),
    h('main', {}, ...parts),
  );
}

const data = document.getElementById('data')?.textContent;
if (data) start(JSON.parse(data));
