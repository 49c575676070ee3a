/** Seconds as `8 s`, `2:05` or `1:02:05`. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '–';
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  const two = (value: number) => String(value).padStart(2, '0');
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

/** A whole number with its thousands apart: `12,345`. */
export function count(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

/** Bytes in powers of 1000: `1.2 MB`. */
export function bytes(value: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB'];
  const power = value < 1000 ? 0 : Math.min(4, Math.floor(Math.log10(value) / 3));
  return `${power === 0 ? value : (value / 1000 ** power).toPrecision(3)} ${units[power]}`;
}

/** A share in two digits: `0.00031%`, `4.2%`, `98%`. */
export function percent(share: number): string {
  return `${Number((100 * share).toPrecision(2))}%`;
}

/** A learning rate in two digits: `0.0032`, `4.5e-7`. */
export function rate(value: number): string {
  return String(Number(value.toPrecision(2)));
}

/** `1 worker`, `3 workers`. */
export function plural(value: number, noun: string): string {
  return `${count(value)} ${noun}${value === 1 ? '' : 's'}`;
}

/** A text in quotes with its line ends and control characters visible. */
export function quote(text: string): string {
  return JSON.stringify(text);
}

/** A word as a POSIX shell takes it: left alone where it is plain, in single quotes otherwise. */
export function shellWord(word: string): string {
  return /^[\w./:=@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** A loss in four digits, `–` where there is none. */
export function loss(value: number | null): string {
  return value === null ? '–' : value.toFixed(4);
}

/**
 * Breaks lines that are longer than `width` between words; what follows is indented as the line itself. Escape
 * sequences for colour take no room.
 */
export function wrap(text: string, width: number): string {
  return text
    .split('\n')
    .map((line) => wrapLine(line, width))
    .join('\n');
}

function wrapLine(line: string, width: number): string {
  const indent = /^ */.exec(line)?.[0] ?? '';
  const lines: string[] = [];
  let current = indent;
  for (const word of line.slice(indent.length).match(/[^ ]+ */g) ?? []) {
    if (current !== indent && visibleLength(current + word.trimEnd()) > width) {
      lines.push(current.trimEnd());
      current = indent;
    }
    current += word;
  }
  return [...lines, current].join('\n');
}

function visibleLength(text: string): number {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: a terminal's own sequence
  return text.replaceAll(/\x1b\[\d*m/g, '').length;
}
