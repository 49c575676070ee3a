import { createWriteStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { TraceEvent } from './events.js';
import { endTrace } from './recorder.js';

/** Events that are written at once: a whole trace would make one text of a hundred megabytes. */
const PIECE = 4096;

/**
 * Ends the recording of this thread and writes it in Chrome's trace format, which ui.perfetto.dev and
 * chrome://tracing open.
 * @throws a system error where the file cannot be written
 */
export async function writeTrace(file: string): Promise<void> {
  await writeEvents(file, endTrace());
}

/**
 * Puts the events of several traces into one; `file` may be among `files`.
 * @throws a system error where a file cannot be read or written, TypeError where one is no trace
 */
export async function mergeTraces(files: readonly string[], file: string): Promise<void> {
  const all: TraceEvent[][] = [];
  for (const one of files) all.push(await readEvents(one));
  await writeEvents(file, all.flat());
}

async function readEvents(file: string): Promise<TraceEvent[]> {
  const trace: unknown = JSON.parse(await readFile(file, 'utf8'));
  const events = typeof trace === 'object' && trace !== null && 'traceEvents' in trace && trace.traceEvents;
  if (!Array.isArray(events)) throw new TypeError(`${file} is no trace: it has no list of traceEvents`);
  return events;
}

async function writeEvents(file: string, events: readonly TraceEvent[]): Promise<void> {
  await pipeline(Readable.from(pieces(events)), createWriteStream(file));
}

function* pieces(events: readonly TraceEvent[]): Generator<string> {
  yield '{"traceEvents":[\n';
  for (let from = 0; from < events.length; from += PIECE) {
    const lines = events.slice(from, from + PIECE).map((event) => JSON.stringify(event));
    yield `${from === 0 ? '' : ',\n'}${lines.join(',\n')}`;
  }
  yield '\n]}\n';
}
