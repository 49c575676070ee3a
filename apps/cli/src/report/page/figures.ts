import { h, s, section, table } from '../../explain/page/dom.js';
import type { Between, Mean, Report } from './report.js';

/** Of a normal distribution, two-sided 95 %. */
const Z95 = 1.96;

const whole = (value: number) => value.toLocaleString('en-US');

/** `2.4190 ± 0.0123`; the error is left out where it is not known. */
export function told({ loss, standardError }: Mean): string {
  const error = standardError === null ? '' : ` ± ${standardError.toFixed(4)}`;
  return `${loss.toFixed(4)}${error}`;
}

/** The bounds of a mean's 95 % interval; both the mean where its error is not known. */
function bounds({ loss, standardError }: Mean): [low: number, high: number] {
  const width = Z95 * (standardError ?? 0);
  return [loss - width, loss + width];
}

/** From a loss to its place between the least and the greatest that are drawn, 0 to 1. */
interface Scale {
  readonly least: number;
  readonly most: number;
  place(loss: number): number;
}

function scaleOf(means: readonly Mean[]): Scale {
  const all = means.flatMap(bounds);
  const [least, most] = [Math.min(...all), Math.max(...all)];
  return { least, most, place: (loss) => (most > least ? (loss - least) / (most - least) : 0.5) };
}

/** A mean and its 95 % interval on a line, beside the mean of everything. The numbers stand in the table as well. */
function interval(mean: Mean, all: Mean, { place }: Scale): SVGElement {
  const x = (loss: number) => 3 + 94 * place(loss);
  const [low, high] = bounds(mean).map(x);
  return s(
    'svg',
    { class: 'interval', viewBox: '0 0 100 20', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
    s('path', { class: 'all', d: `M${x(all.loss)} 0v20` }),
    s('path', { class: 'reach', d: `M${low} 10H${high}` }),
    s('path', { class: 'mean', d: `M${x(mean.loss)} 10h0.01` }),
  );
}

interface Row {
  readonly name: string;
  readonly mean: Mean;
  /** Cells after the loss. */
  readonly more: readonly string[];
}

function lossTable(id: string, headings: readonly string[], rows: readonly Row[], all: Mean): HTMLElement {
  const scale = scaleOf([all, ...rows.map(({ mean }) => mean)]);
  const line = ({ name, mean, more }: Row) => [
    h('span', { class: 'name' }, name),
    told(mean),
    interval(mean, all, scale),
    ...[...more, whole(mean.tokens), whole(mean.documents)].map((text) =>
      h('span', { class: 'number' }, text),
    ),
  ];
  const [first, ...middle] = headings;
  const drawn = `${scale.least.toFixed(2)} to ${scale.most.toFixed(2)}`;
  const head = [first, 'loss', drawn, ...middle, 'tokens', 'documents'];
  return h('div', { class: 'scroll', id, tabindex: 0 }, table(head, rows.map(line)));
}

/** Which of several is highest and which lowest, in a sentence. */
function extremes(rows: readonly Row[]): string {
  if (rows.length < 2) return '';
  const sorted = [...rows].sort((a, b) => b.mean.loss - a.mean.loss);
  const [high, low] = [sorted[0], sorted[sorted.length - 1]];
  return ` Highest: ${high.name}, ${told(high.mean)}. Lowest: ${low.name}, ${told(low.mean)}.`;
}

/** A text that was evaluated, each under the name by which it was given. */
export function sourcesPart({ sources, whole: all }: Report): HTMLElement {
  const rows = sources.map(({ name, ...mean }) => ({
    ...{ name, mean },
    more: [mean.bitsPerByte.toFixed(4), mean.perplexity.toPrecision(4)],
  }));
  return section(
    'sources',
    'By source',
    `The mean loss of a token, source by source; bits per byte compare texts of any tokenizer.${extremes(rows)}`,
    lossTable('source-table', ['source', 'bits per byte', 'perplexity'], rows, all),
  );
}

function rangeName({ from, to }: Between): string {
  return from === to ? whole(from) : `${whole(from)}–${whole(to)}`;
}

/** Short texts against long ones. */
export function lengthsPart({ lengths, whole: all }: Report): HTMLElement {
  const rows = lengths.map((mean) => ({ name: rangeName(mean), mean, more: [] }));
  return section(
    'lengths',
    'By length of the document',
    `A document is a file, or a line of a .jsonl; its length is in tokens.${extremes(rows)}`,
    lossTable('length-table', ['tokens of it'], rows, all),
  );
}

/** How much the text before a token helps. */
export function positionPart({ positions, whole: all, model }: Report): HTMLElement {
  const rows = positions.map((mean) => ({ name: rangeName(mean), mean, more: [] }));
  const [first, last] = [positions[0], positions[positions.length - 1]];
  return section(
    'position',
    'By position in the context',
    `What the model knows of the text before a token: between 1 and ${whole(model.context)} tokens. It begins at ${told(first)} and ends at ${told(last)}; where the curve is flat, more context does not help it.`,
    curve(positions, all),
    h(
      'details',
      {},
      h('summary', {}, 'In numbers'),
      lossTable('position-table', ['tokens before'], rows, all),
    ),
  );
}

/** Loss over position, which grows by powers; the band is the 95 % interval. */
function curve(positions: readonly Between[], all: Mean): HTMLElement {
  const scale = scaleOf([all, ...positions]);
  const end = positions[positions.length - 1].to;
  const x = (position: number) => (end === 1 ? 50 : (100 * Math.log(position)) / Math.log(end));
  const y = (loss: number) => 96 - 92 * scale.place(loss);
  const points = positions.map((mean) => ({
    x: x(Math.sqrt(mean.from * mean.to)),
    y: y(mean.loss),
    bounds: bounds(mean).map(y),
  }));
  const line = points.map((point) => `${point.x},${point.y}`).join(' ');
  const edge = (at: number) => points.map((point) => `${point.x},${point.bounds[at]}`);
  const drawing = s(
    'svg',
    { class: 'positions', viewBox: '0 0 100 100', preserveAspectRatio: 'none', role: 'img' },
    s(
      'title',
      {},
      `loss from ${told(positions[0])} at the first position to ${told(positions[positions.length - 1])} at the last`,
    ),
    s('path', { class: 'all', d: `M0 ${y(all.loss)}h100` }),
    s('polygon', { class: 'band', points: [...edge(1), ...edge(0).reverse()].join(' ') }),
    s('polyline', { points: line }),
    ...points.map((point) => s('path', { class: 'mean', d: `M${point.x} ${point.y}h0.01` })),
  );
  const label = (text: string) => h('span', {}, text);
  const middle = Math.round(Math.sqrt(end));
  const ticks = middle > 1 && middle < end ? [1, middle, end] : end > 1 ? [1, end] : [1];
  return h(
    'figure',
    { class: 'plot' },
    h('div', { class: 'up-labels' }, label(scale.most.toFixed(2)), label(scale.least.toFixed(2))),
    drawing,
    h('div', { class: 'side-labels' }, ...ticks.map((tick) => label(whole(tick)))),
    h(
      'figcaption',
      {},
      `Nats a token over tokens seen before it. Dashed: ${all.loss.toFixed(4)}, the mean of all.`,
    ),
  );
}
