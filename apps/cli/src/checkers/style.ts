import { palette } from '../page/palette.js';

/** The look of the page to play on: the board beside what the machine thinks, above it on a phone. */
export const style = `
${palette}* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--front); font: 16px/1.5 system-ui, sans-serif; }
header, main { max-width: 72rem; margin: 0 auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; line-height: 1.2; margin: 1rem 0 0.5rem; }
h2 { font-size: 1.15rem; margin: 0 0 0.25rem; }
p { margin: 0.25rem 0 0.5rem; max-width: 46rem; }
small, .dim, th { color: var(--dim); }
.text { overflow-wrap: anywhere; }
.error { color: var(--error); overflow-wrap: anywhere; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1rem; margin: 0 0 1rem; min-width: 0; }
.game { display: grid; gap: 1rem; grid-template-columns: minmax(0, 1fr); }
@media (min-width: 56rem) { .game { grid-template-columns: minmax(0, 34rem) minmax(0, 1fr); } }
#status { font-weight: 600; min-height: 1.5em; }
#board { display: grid; grid-template-columns: repeat(8, minmax(0, 1fr)); border: 3px solid #3d2f21; border-radius: 6px; overflow: hidden; }
.light { background: #ead9b5; aspect-ratio: 1; }
.square { position: relative; aspect-ratio: 1; min-width: 0; padding: 0; border: 0; border-radius: 0; background: #6f8f5f; color: #10150d; cursor: pointer; }
.square small { position: absolute; left: 3px; top: 1px; font-size: clamp(0.55rem, 1.6vw, 0.75rem); line-height: 1.2; color: #10150d; }
.square.last { background: #8fae58; }
.square.movable { box-shadow: inset 0 0 0 3px #f6e27a; }
.square.entered { background: #d9a92f; }
.square.target::after { content: ""; position: absolute; inset: 34%; border-radius: 50%; background: #f6e27a; border: 2px solid #10150d; }
.piece { position: absolute; inset: 12%; border-radius: 50%; display: grid; place-items: center; font-weight: 700;
  font-size: clamp(0.8rem, 3vw, 1.4rem); border: 2px solid; box-shadow: 0 2px 3px #0006; }
.piece.black { background: #23262b; border-color: #0b0c0e; color: #f3d36b; outline: 1px solid #8c929b; outline-offset: -6px; }
.piece.white { background: #f7f3e8; border-color: #b9b09b; color: #8c2f14; outline: 1px solid #b9b09b; outline-offset: -6px; }
.controls { display: flex; flex-wrap: wrap; gap: 0.5rem; margin: 0.5rem 0 0.75rem; align-items: center; }
.controls label { max-width: 100%; }
.controls button, select, input { font: inherit; color: inherit; background: var(--band); border: 1px solid var(--line); border-radius: 6px;
  padding: 0.3rem 0.6rem; max-width: 100%; min-height: 2.4rem; }
.controls button { cursor: pointer; }
.setting input { flex: 1 1 12rem; min-width: 0; font-family: ui-monospace, monospace; font-size: 0.9rem; }
#value { font-size: 1.3rem; font-weight: 600; margin: 0; }
#line { font-family: ui-monospace, monospace; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; font-size: 0.85rem; }
th, td { padding: 0.2rem 0.9rem 0.2rem 0; white-space: nowrap; vertical-align: top; }
td:first-child { white-space: normal; width: 60%; }
td small { display: block; line-height: 1.3; }
td:last-child, th:last-child { padding-right: 0; }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; }
.square:focus-visible { outline: 3px solid #ffffff; outline-offset: -4px; box-shadow: inset 0 0 0 6px #7a3ff2; }
`;
