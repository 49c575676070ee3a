import { palette } from '../../apps/cli/dist/page/palette.js';

/** The look of the report: the runs side by side, one below the other on a phone. */
export const style = `
${palette}* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--front); font: 16px/1.5 system-ui, sans-serif; }
header, main { max-width: 80rem; margin: 0 auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 1.5rem 0 0.5rem; }
h2 { font-size: 1.2rem; margin: 0; overflow-wrap: anywhere; }
h3 { font-size: 1rem; margin: 1.25rem 0 0.25rem; }
p { margin: 0.25rem 0 0.75rem; max-width: 46rem; }
.dim, small, figcaption { color: var(--dim); }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1rem; margin: 1rem 0; min-width: 0; }
.runs { display: grid; gap: 0 1rem; grid-template-columns: minmax(0, 1fr); }
@media (min-width: 60rem) { .runs { grid-template-columns: repeat(auto-fit, minmax(28rem, 1fr)); } }
.verdict { font-size: 1.1rem; font-weight: 600; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; color: var(--dim); font-size: 0.85rem; }
th, td { padding: 0.2rem 0.9rem 0.2rem 0; vertical-align: top; }
td { overflow-wrap: anywhere; }
.scores th, .scores td { white-space: nowrap; vertical-align: middle; }
.scores td:last-child { width: 55%; padding-right: 0; }
.bar { display: block; width: 100%; min-width: 4rem; height: 0.7rem; }
.track { fill: var(--band); } rect.value { fill: var(--value); } rect.good { fill: var(--good); }
code, .said { font-family: ui-monospace, monospace; font-size: 0.9rem; overflow-wrap: anywhere; }
figure { margin: 0; max-width: 36rem; } figcaption { font-size: 0.9rem; }
.curve { display: block; width: 100%; height: auto; }
.curve text { fill: var(--dim); font: 11px system-ui, sans-serif; font-variant-numeric: tabular-nums; }
.curve .axis { stroke: var(--line); stroke-width: 1; }
polyline { fill: none; stroke-width: 2; stroke-linejoin: round; }
polyline.training { stroke: var(--value); } polyline.validation { stroke: var(--error); stroke-dasharray: 6 3; }
.legend { display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; list-style: none; padding: 0; margin: 0.25rem 0 0.5rem; font-size: 0.9rem; }
.legend li { display: inline-flex; align-items: center; gap: 0.4rem; }
.grid { display: flex; flex-wrap: wrap; gap: 0.6rem 0.75rem; }
.block { display: grid; grid-template-columns: 1rem repeat(10, minmax(0, 1fr)); flex: 1 1 12.5rem; max-width: 17rem; gap: 1px; align-items: center; justify-items: center; }
.block small { font-size: 0.65rem; line-height: 1; }
.cell { width: 100%; aspect-ratio: 1; padding: 0; border: 1px solid; border-radius: 3px; font: 700 0.72rem/1 system-ui, sans-serif;
  position: relative; display: grid; place-items: center; color: inherit; background: none; cursor: pointer; }
.legend .cell { width: 1.05rem; cursor: default; }
.cell.right { border-color: var(--good); color: var(--good); }
.cell.wrong { border-color: var(--error); color: var(--error); }
.cell.seen.right { background: var(--good); color: var(--card); }
.cell.seen.wrong { background: var(--error); color: var(--card); }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; }
.cell:focus, .cell[aria-current="true"] { outline: 3px solid var(--focus); outline-offset: 1px; z-index: 1; }
.told { position: sticky; bottom: 0; margin: 0.5rem 0 0; padding: 0.5rem 0; background: var(--card); border-top: 1px solid var(--line); min-height: 4.9em; }
@media (max-width: 30rem) { .block { flex: 1 0 100%; max-width: none; } .told { min-height: 6.4em; }
  .differ tr { display: flex; flex-wrap: wrap; } .differ th, .differ td { flex: 1 1 40%; min-width: 0; }
  .differ tr > :first-child { flex: 1 0 100%; padding-top: 0.5rem; color: var(--dim); } .differ td { padding-block: 0; } }
.mark.right { color: var(--good); } .mark.wrong { color: var(--error); }
.hash { font-size: 0.85rem; }
`;
