import { isMainThread, threadId } from 'node:worker_threads';
import type { TraceArguments, TraceEvent } from './events.js';

/** Events that a thread keeps at most, some 100 bytes each; what comes later is only counted. */
export const MAXIMUM_EVENTS = 1_000_000;

/** Viewers take thread 0 for the idle one. */
const tid = threadId + 1;

interface Recording {
  /** Told with the first events, for an answer that holds none may be thrown away. */
  names: readonly TraceEvent[];
  events: TraceEvent[];
  readonly maximum: number;
  dropped: number;
  /** When the first event was dropped, as performance.now(). */
  fullSince: number;
}

let recording: Recording | null = null;

/**
 * From now on this thread records. `name` names the process in a main thread, the thread in any other. A recording
 * that was under way is forgotten.
 */
export function startTrace(name: string, maximum = MAXIMUM_EVENTS): void {
  const names = isMainThread
    ? [naming('process_name', name), naming('thread_name', 'main')]
    : [naming('thread_name', name)];
  recording = { names, events: [], maximum, dropped: 0, fullSince: 0 };
}

/** Whether this thread records. */
export function tracing(): boolean {
  return recording !== null;
}

/** Records what this thread did from `from`, a performance.now() of its own, until now. */
export function span(name: string, from: number, args?: TraceArguments): void {
  if (recording !== null) keep(recording, complete(name, from, args));
}

/** What was recorded so far, and forgets it: a thread hands it to its process with an answer. */
export function takeTrace(): TraceEvent[] {
  return recording === null || recording.events.length === 0 ? [] : take(recording);
}

/** Takes over what a thread recorded; where this thread does not record, nothing is kept. */
export function addTrace(events: readonly TraceEvent[]): void {
  if (recording !== null) for (const event of events) keep(recording, event);
}

/** Ends the recording and gives what it had. */
export function endTrace(): TraceEvent[] {
  const events = recording === null ? [] : take(recording);
  recording = null;
  return events;
}

function take(from: Recording): TraceEvent[] {
  const { names, events, dropped, fullSince } = from;
  if (dropped > 0) events.push(complete('the trace is full', fullSince, { droppedEvents: dropped }));
  Object.assign(from, { names: [], events: [], dropped: 0 });
  return [...names, ...events];
}

function keep(into: Recording, event: TraceEvent): void {
  if (into.events.length < into.maximum) into.events.push(event);
  else if (into.dropped++ === 0) into.fullSince = performance.now();
}

/** Both ends are rounded, not the length: a span within another stays within it. */
function complete(name: string, from: number, args: TraceArguments | undefined): TraceEvent {
  const ts = microseconds(from);
  const dur = microseconds(performance.now()) - ts;
  return { name, ph: 'X', ts, dur, pid: process.pid, tid, ...(args === undefined ? {} : { args }) };
}

function microseconds(now: number): number {
  return Math.round((performance.timeOrigin + now) * 1000);
}

function naming(name: 'process_name' | 'thread_name', text: string): TraceEvent {
  return { name, ph: 'M', pid: process.pid, tid, args: { name: text } };
}
