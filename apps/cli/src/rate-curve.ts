import type { Proposal, RangePoint } from '@manyhands/core/learning';
import { count, rate, loss as written } from './format.js';

/** What a range test came to. */
export interface FoundRate {
  /** null: no rate surely made the loss fall. */
  readonly proposal: Proposal | null;
  readonly points: readonly RangePoint[];
  /** The rate at which the run diverged; null: it did not. */
  readonly diverged: number | null;
}

/** Of the drawing, and of the field of points in it. */
const [width, height] = [760, 420];
const field = { left: 62, right: 740, top: 62, bottom: 362 };
/** Losses up to so many times the first one are drawn; those above lie at the upper edge. */
const most = 1.05;

/**
 * A range test as SVG: the loss over the rate on a logarithmic axis, a point a step, the range in which the loss surely
 * falls, and the rate that is proposed. It stands alone, and is for light and dark pages.
 */
export function rateCurve({ proposal, points, diverged }: FoundRate): string {
  const rates = points.map((point) => point.rate);
  const [low, high] = [Math.log10(rates[0]), Math.log10(rates[rates.length - 1])];
  const top = most * points[0].loss;
  const losses = points.map(({ loss }) => (Number.isFinite(loss) ? Math.min(loss, top) : top));
  const bottom = Math.min(...losses);
  const x = (at: number) =>
    round(field.left + ((Math.log10(at) - low) / (high - low || 1)) * (field.right - field.left));
  const y = (loss: number) =>
    round(field.top + ((top - loss) / (top - bottom || 1)) * (field.bottom - field.top));

  const decades = Array.from({ length: Math.floor(high) - Math.ceil(low) + 1 }, (_, i) => Math.ceil(low) + i);
  const across = decades.map(
    (decade) =>
      `<line class="grid" x1="${x(10 ** decade)}" y1="${field.top}" x2="${x(10 ** decade)}" y2="${field.bottom}"/>` +
      `<text x="${x(10 ** decade)}" y="${field.bottom + 20}" text-anchor="middle">1e${decade}</text>`,
  );
  const up = Array.from({ length: 5 }, (_, i) => bottom + ((top - bottom) * i) / 4).map(
    (loss) =>
      `<line class="grid" x1="${field.left}" y1="${y(loss)}" x2="${field.right}" y2="${y(loss)}"/>` +
      `<text x="${field.left - 8}" y="${y(loss) + 4}" text-anchor="end">${loss.toFixed(2)}</text>`,
  );
  const path = losses.map((loss, i) => `${x(rates[i])},${y(loss)}`).join(' ');
  const dots = losses.map((loss, i) => {
    const title = `rate ${rate(rates[i])}, loss ${written(points[i].loss)}`;
    return `<circle cx="${x(rates[i])}" cy="${y(loss)}" r="2.4"><title>${title}</title></circle>`;
  });
  const found = proposal && [
    `<rect class="range" x="${x(proposal.from)}" y="${field.top}" width="${round(x(proposal.rate) - x(proposal.from))}" height="${field.bottom - field.top}"/>`,
    `<line class="rate" x1="${x(proposal.rate)}" y1="${field.top - 8}" x2="${x(proposal.rate)}" y2="${field.bottom}"/>`,
    `<text class="rate" x="${x(proposal.rate)}" y="${field.top - 14}" text-anchor="middle">${rate(proposal.rate)}</text>`,
  ];
  const title =
    proposal === null ? 'No learning rate can be proposed' : `Proposed: optimizer.lr ${rate(proposal.rate)}`;
  const end = diverged === null ? 'no divergence' : `diverged at ${rate(diverged)}`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">
<title>${title}</title>
<style>
svg { background: #fff; color: #222; font: 12px system-ui, sans-serif; }
text { fill: currentColor; } .title { font-size: 15px; font-weight: 600; }
.grid { stroke: currentColor; opacity: 0.12; } .range { fill: #2e7d4f; opacity: 0.14; }
.curve { fill: none; stroke: #3366a8; stroke-width: 1; opacity: 0.5; } circle { fill: #3366a8; }
line.rate { stroke: #2e7d4f; stroke-width: 2; } text.rate { fill: #2e7d4f; font-weight: 600; }
@media (prefers-color-scheme: dark) {
  svg { background: #16181c; color: #ddd; } circle { fill: #7fb0ee; } .curve { stroke: #7fb0ee; }
  .range { fill: #6fcf97; } line.rate { stroke: #6fcf97; } text.rate { fill: #6fcf97; }
}
</style>
<text class="title" x="${field.left}" y="24">${title}</text>
<text x="${field.right}" y="24" text-anchor="end">${count(points.length + 1)} steps, ${end}</text>
${[...(found ?? []), ...across, ...up].join('\n')}
<polyline class="curve" points="${path}"/>
${dots.join('\n')}
<text x="${(field.left + field.right) / 2}" y="${height - 14}" text-anchor="middle">learning rate; shaded: the loss surely falls</text>
<text transform="translate(16 ${(field.top + field.bottom) / 2}) rotate(-90)" text-anchor="middle">loss in nats</text>
</svg>
`;
}

function round(value: number): number {
  return Math.round(10 * value) / 10;
}
