/** A point of a curve; x rises. */
export interface PlotPoint {
  readonly x: number;
  readonly y: number;
}

export interface PlotOptions {
  /** Characters of the field of points, without the axes. */
  readonly width: number;
  readonly height: number;
  /** What stands at the left of a value of y: the highest, the middle and the lowest. */
  readonly label: (y: number) => string;
  /** Values of x and what stands below them. */
  readonly ticks: readonly { readonly x: number; readonly text: string }[];
  /** A value of x with a line through the field, and what stands at its foot. */
  readonly mark: { readonly x: number; readonly text: string } | null;
  /** Values above are drawn at the upper edge. */
  readonly most: number;
}

/** A curve in characters, a point a column: the mean of what falls into it. */
export function plot(points: readonly PlotPoint[], options: PlotOptions): string {
  const { width, height, label, ticks, mark, most } = options;
  const [left, right] = [points[0].x, points[points.length - 1].x];
  const column = (x: number) =>
    Math.min(width - 1, Math.max(0, Math.round(((x - left) / (right - left || 1)) * (width - 1))));
  const columns = Array.from({ length: width }, (): number[] => []);
  for (const { x, y } of points) columns[column(x)].push(Number.isFinite(y) ? Math.min(y, most) : most);
  const means = columns.map((values) =>
    values.length === 0 ? null : values.reduce((sum, y) => sum + y, 0) / values.length,
  );
  const known = means.filter((y) => y !== null);
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const row = (y: number) => Math.round(((high - y) / (high - low || 1)) * (height - 1));
  const marked = mark === null ? -1 : column(mark.x);
  const labels = new Map([high, (high + low) / 2, low].map((y) => [row(y), label(y)]));
  const margin = Math.max(...[...labels.values()].map((text) => text.length));
  const field = Array.from({ length: height }, (_, at) => {
    const cells = means.map((y, x) => (y !== null && row(y) === at ? '●' : x === marked ? '┊' : ' '));
    const text = labels.get(at);
    return `${(text ?? '').padStart(margin)} ${text === undefined ? '│' : '┤'}${cells.join('').trimEnd()}`;
  });
  const ticked = new Set(ticks.map(({ x }) => column(x)));
  const axis = Array.from({ length: width }, (_, x) => (ticked.has(x) ? '┴' : '─')).join('');
  const below = (texts: readonly { readonly x: number; readonly text: string }[]) =>
    texts.reduce((line, { x, text }) => {
      const at = Math.max(line.length, margin + 2 + column(x) - Math.floor(text.length / 2));
      return line.padEnd(at) + text;
    }, '');
  return [
    ...field,
    `${' '.repeat(margin)} └${axis}`,
    ...(ticks.length === 0 ? [] : [below(ticks)]),
    ...(mark === null ? [] : [`${' '.repeat(margin + 2 + marked)}▲ ${mark.text}`]),
  ].join('\n');
}
