export type { TraceArguments, TraceEvent } from './events.js';
export { mergeTraces, writeTrace } from './file.js';
export { addTrace, span, startTrace, takeTrace, tracing } from './recorder.js';
