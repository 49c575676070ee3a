import { palette } from '../page/palette.js';

/** Shades of a token from no surprise to a blind guess, over the page's own colours; the text on each stays readable. */
const shades = Array.from(
  { length: 8 },
  (_, level) =>
    `.shade-${level} { background: color-mix(in srgb, var(--error) calc(var(--most) * ${level} / 7), transparent); }`,
).join('\n');

/** The look of the page: one column that fits a phone, dark or light as the reader's system is. */
export const style = `
${palette}:root { --most: 75%; } @media (prefers-color-scheme: dark) { :root { --most: 48%; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--front); font: 16px/1.5 system-ui, sans-serif; }
header, main { max-width: 68rem; margin: 0 auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 1.5rem 0 0.5rem; }
h2 { font-size: 1.2rem; margin: 0 0 0.25rem; }
h3 { font-size: 1rem; margin: 1rem 0 0.25rem; overflow-wrap: anywhere; }
p { margin: 0.25rem 0 0.75rem; max-width: 46rem; overflow-wrap: anywhere; }
.dim, small { color: var(--dim); font-weight: 400; }
.text { white-space: pre-wrap; }
nav ul { display: flex; flex-wrap: wrap; gap: 0.25rem 1rem; list-style: none; padding: 0; margin: 0 0 1rem; }
a { color: var(--value); }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1rem; margin: 1rem 0; min-width: 0; }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 0.15rem 0.9rem; margin: 0.25rem 0; font-variant-numeric: tabular-nums; }
dt { color: var(--dim); } dd { margin: 0; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; color: var(--dim); font-size: 0.85rem; }
th, td { padding: 0.2rem 0.9rem 0.2rem 0; white-space: nowrap; }
td:last-child, th:last-child { padding-right: 0; }
td:has(> .name) { white-space: normal; overflow-wrap: anywhere; min-width: 7rem; }
@media (min-width: 60rem) { td:has(> .name) { min-width: 12rem; } }
.number { display: block; text-align: right; }
th:nth-child(n + 4) { text-align: right; }
.interval { display: block; width: 100%; min-width: 7rem; height: 1.2rem; }
td:has(> .interval) { width: 40%; }
.interval path, .positions path, .positions polyline { fill: none; vector-effect: non-scaling-stroke; }
.all { stroke: var(--dim); stroke-dasharray: 4 3; }
.reach { stroke: var(--value); stroke-width: 2; }
.mean { stroke: var(--value); stroke-width: 8; stroke-linecap: round; }
.plot { margin: 0.75rem 0; max-width: 46rem; display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 0.25rem 0.5rem;
  color: var(--dim); font-size: 0.85rem; font-variant-numeric: tabular-nums; }
.up-labels { display: flex; flex-direction: column; justify-content: space-between; text-align: right; }
.side-labels { grid-column: 2; display: flex; justify-content: space-between; }
.plot figcaption { grid-column: 1 / -1; }
.positions { display: block; width: 100%; height: 14rem; background: var(--back); border: 1px solid var(--line); border-radius: 8px; }
.positions polyline { stroke: var(--value); stroke-width: 2; }
.positions .band { fill: var(--value); opacity: 0.2; }
summary { cursor: pointer; }
.controls { display: flex; flex-wrap: wrap; gap: 0.5rem; margin: 0.5rem 0 0.75rem; }
.controls label { max-width: 100%; }
select { font: inherit; color: inherit; background: var(--band); border: 1px solid var(--line); border-radius: 6px; padding: 0.3rem 0.6rem; max-width: 100%; }
.legend span { display: inline-block; width: 1.4rem; height: 1rem; vertical-align: -0.15rem; }
.passages { list-style: none; margin: 0; padding: 0; }
.passage { font: 0.95rem/1.7 ui-monospace, monospace; max-width: none; padding: 0.5rem 0.75rem; border: 1px solid var(--line); border-radius: 8px;
  background: var(--card); margin: 0; }
.token { cursor: default; }
.token.picked { outline: 2px solid var(--front); outline-offset: -1px; border-radius: 2px; }
.told { color: var(--dim); font-size: 0.9rem; font-variant-numeric: tabular-nums; white-space: pre-wrap; }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; }
${shades}
`;
