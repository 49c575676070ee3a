import { palette } from '../page/palette.js';

/** The look of the page: one column that fits a phone, dark or light as the reader's system is. */
export const style = `
${palette}* { box-sizing: border-box; }
html { scroll-padding-top: 6rem; }
body { margin: 0; background: var(--back); color: var(--front); font: 16px/1.5 system-ui, sans-serif; }
header, main, .sticky { max-width: 68rem; margin: 0 auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 1.5rem 0 0.5rem; }
h2 { font-size: 1.2rem; margin: 0 0 0.25rem; }
h3 { font-size: 1rem; margin: 1rem 0 0.25rem; }
p { margin: 0.25rem 0 0.75rem; max-width: 46rem; }
.dim, small, .band-name { color: var(--dim); }
.text { white-space: pre-wrap; overflow-wrap: anywhere; }
.question { font-size: 1.1rem; }
.question strong, .good { color: var(--good); }
nav ul { display: flex; flex-wrap: wrap; gap: 0.25rem 1rem; list-style: none; padding: 0; margin: 0 0 1rem; }
a, .link { color: var(--value); }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1rem; margin: 1rem 0; min-width: 0; }
.sticky { position: sticky; top: 0; z-index: 1; background: var(--back); border-bottom: 1px solid var(--line);
  display: flex; flex-wrap: wrap; align-items: center; gap: 0 1.5rem; padding-block: 0.5rem; }
.sticky p { margin: 0; font-variant-numeric: tabular-nums; }
.slide { display: flex; align-items: center; gap: 0.75rem; flex: 1 1 16rem; min-width: 0; max-width: 36rem; }
.slide input { flex: 1; min-width: 0; height: 2rem; accent-color: var(--value); }
.slide output { white-space: nowrap; font-variant-numeric: tabular-nums; }
.chips { display: flex; flex-wrap: wrap; gap: 0.35rem; list-style: none; padding: 0; max-width: none; }
.chip { display: inline-flex; align-items: baseline; gap: 0.4rem; max-width: 100%; padding: 0.05rem 0.45rem; border: 1px solid var(--line);
  border-radius: 6px; background: var(--band); }
.chip .text { font-family: ui-monospace, monospace; white-space: pre-wrap; }
.chip.answer, .chip.picked { background: var(--answer); border-color: var(--good); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; color: var(--dim); font-size: 0.85rem; }
th, td { padding: 0.2rem 0.9rem 0.2rem 0; white-space: nowrap; }
td:last-child, th:last-child { padding-right: 0; }
#moved td:nth-child(1), #moved td:nth-child(3) { white-space: normal; overflow-wrap: anywhere; }
#moved td { vertical-align: top; } #moved code { font-size: 0.85rem; }
.bar { display: block; width: 100%; min-width: 4rem; height: 0.7rem; }
td:has(> .bar) { width: 55%; }
.track { fill: var(--band); } rect.value { fill: var(--value); } rect.good { fill: var(--good); } rect.error { fill: var(--error); }
canvas { image-rendering: pixelated; background: var(--band); }
.strip { display: block; width: 100%; min-width: 6rem; height: 1rem; }
td:has(> .strip) { width: 70%; }
.gallery { display: flex; flex-wrap: wrap; gap: 0.5rem; }
.gallery canvas { display: block; width: 7.5rem; height: 7.5rem; margin-bottom: 0.25rem; }
button, select { font: inherit; color: inherit; background: var(--band); border: 1px solid var(--line); border-radius: 6px;
  padding: 0.3rem 0.6rem; max-width: 100%; }
button { cursor: pointer; }
button[aria-pressed="true"] { border-color: var(--value); box-shadow: inset 0 0 0 1px var(--value); }
.link { border: 0; background: none; padding: 0; text-decoration: underline; overflow-wrap: anywhere; text-align: left; }
.links { display: flex; flex-wrap: wrap; gap: 0 0.75rem; }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; }
.controls { display: flex; flex-wrap: wrap; gap: 0.5rem; margin: 0.5rem 0 0.75rem; }
.controls label { max-width: 100%; }
.verdict { font-weight: 600; } .verdict, .change { overflow-wrap: anywhere; white-space: pre-wrap; }
.formula { font-family: ui-monospace, monospace; overflow-wrap: anywhere; }
.prediction + .prediction { border-top: 1px solid var(--line); padding-top: 0.75rem; }
figure { margin: 0; max-width: 30rem; } figcaption { color: var(--dim); font-size: 0.9rem; }
.curve { display: block; width: 100%; }
.curve polyline { fill: none; stroke: var(--value); stroke-width: 2; vector-effect: non-scaling-stroke; }
.mark { fill: var(--error); } .mark.after { fill: var(--good); }
.up { color: var(--value); } .down { color: var(--error); }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 0.15rem 0.9rem; margin: 0.25rem 0; }
dt { color: var(--dim); } dd { margin: 0; overflow-wrap: anywhere; }
.hashes { font-size: 0.85rem; }
.split { display: grid; gap: 1rem; }
@media (min-width: 60rem) { .split { grid-template-columns: minmax(0, 1fr) 19rem; } }
.graph { display: block; width: 100%; height: 30rem; border: 1px solid var(--line); border-radius: 8px; background: var(--back); }
.graph text { fill: var(--front); font: 13px ui-monospace, monospace; pointer-events: none; }
.graph .shape { fill: var(--dim); font-size: 11px; } .graph .band-name { fill: var(--dim); font-size: 12px; }
.band { fill: var(--band); }
.node rect { fill: var(--card); stroke: var(--dim); } .node { cursor: pointer; }
.node.parameter rect, .node.input rect { stroke-dasharray: 3 2; }
.node.selected rect { stroke: var(--focus); stroke-width: 3; stroke-dasharray: none; }
.edge { fill: none; stroke: var(--value); opacity: 0.7; marker-end: url(#arrow); } #arrow path { fill: var(--value); }
.back .edge { stroke: var(--error); marker: none; marker-start: url(#arrow); } .back #arrow path { fill: var(--error); }
.back .edge.still { stroke: var(--line); marker: none; }
.meter { fill: var(--value); } .back .meter { fill: var(--error); }
`;
