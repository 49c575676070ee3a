// Draws one step of a trace as SVG on standard output: node scripts/draw-step.mjs trace.json [step] > docs/step.svg
import { readFileSync } from 'node:fs';

const [file, wanted = '6'] = process.argv.slice(2);
if (file === undefined) {
  console.error('usage: node scripts/draw-step.mjs TRACE [STEP]');
  process.exit(2);
}
const { traceEvents } = JSON.parse(readFileSync(file, 'utf8'));
const colours = {
  optimiser: '#b35900',
  publish: '#e0a060',
  receive: '#c9d7e8',
  reduce: '#4f7cac',
  'weights in': '#9bbf85',
  weights: '#9bbf85',
  sum: '#e4e4e4',
  send: '#c8b6d9',
  'forward+backward': '#3d7a4e',
};
const spans = traceEvents.filter((event) => event.ph === 'X');
const names = new Map(
  traceEvents
    .filter((event) => event.ph === 'M' && event.name === 'process_name')
    .map((event) => [event.pid, event.args.name]),
);
const optimiser = (step) => spans.find((span) => span.name === 'optimiser' && span.args?.step === step);
const [before, after] = [optimiser(Number(wanted) - 1), optimiser(Number(wanted))];
if (before === undefined || after === undefined) {
  console.error(`the trace has no step ${wanted} with one before it`);
  process.exit(1);
}
const [from, to] = [before.ts, after.ts + after.dur];
const shown = spans.filter((span) => colours[span.name] && span.ts < to && span.ts + span.dur > from);
const lanes = [...new Set(shown.map((span) => `${span.pid} ${span.tid} ${laneOf(span)}`))].sort();

const [width, height, left] = [1000, 26, 190];
const x = (ts) => left + ((Math.min(Math.max(ts, from), to) - from) / (to - from)) * (width - left - 10);
const rows = lanes.map((lane, i) => {
  const [pid, tid, name] = lane.split(' ');
  const title = `${names.get(Number(pid)) ?? pid}${name === 'thread' ? `, thread ${Number(tid) - 1}` : `, ${name}`}`;
  const bars = shown
    .filter((span) => `${span.pid} ${span.tid} ${laneOf(span)}` === lane)
    .map((span) => {
      const [a, b] = [x(span.ts), x(span.ts + span.dur)];
      const label = b - a > 60 ? `<text x="${a + 4}" y="${i * height + 32}">${span.name}</text>` : '';
      return `<rect x="${a.toFixed(1)}" y="${i * height + 18}" width="${Math.max(0.5, b - a).toFixed(1)}" height="20" fill="${colours[span.name]}"/>${label}`;
    });
  return `<text x="4" y="${i * height + 32}">${title}</text>${bars.join('')}`;
});
const milliseconds = (to - from) / 1000;
const ticks = Array.from({ length: 10 }, (_, i) => {
  const at = from + ((to - from) * i) / 10;
  return `<text x="${x(at).toFixed(0)}" y="12" text-anchor="middle">${((milliseconds * i) / 10).toFixed(0)} ms</text>`;
});
console.log(
  `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${lanes.length * height + 24}" font-family="sans-serif" font-size="11"><title>Step ${wanted}, by process and thread</title><rect width="100%" height="100%" fill="white"/>${ticks.join('')}${rows.join('')}</svg>`,
);

/** Spans of one thread that overlap lie in rows of their own. */
function laneOf({ name }) {
  if (name === 'forward+backward' || name === 'weights') return 'thread';
  if (name === 'optimiser' || name === 'publish') return 'stepping';
  if (name === 'receive' || name === 'reduce') return 'receiving';
  return name === 'send' ? 'sending' : name === 'sum' ? 'computing' : 'weights';
}
