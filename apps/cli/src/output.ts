import pc from 'picocolors';

type Stream = NodeJS.WriteStream;

/** Whether escape sequences for colour belong on this stream: a terminal, and no NO_COLOR (no-color.org). */
function wantsColor(stream: Stream): boolean {
  const { NO_COLOR, TERM } = process.env;
  return stream.isTTY === true && !NO_COLOR && TERM !== 'dumb';
}

/** Colours for standard output, and for standard error; plain text where the stream is no terminal. */
export const colors = pc.createColors(wantsColor(process.stdout));
export const noteColors = pc.createColors(wantsColor(process.stderr));

/** A result, on standard output. */
export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** The one JSON object of a command with `--json`. Numbers that JSON lacks (NaN, infinity) become null. */
export function printJson(value: object): void {
  print(JSON.stringify(value));
}

/** A word beside the result, on standard error. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

/**
 * A reader that goes away (`manyhands … | head`) ends the command in silence; standard error that goes away does
 * not stop a run.
 */
export function tolerateClosedPipes(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
  process.stderr.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
}
