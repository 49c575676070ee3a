type Child = Node | string;
type Attributes = Readonly<Record<string, string | number>>;

/** An element of HTML. Text is always text: nothing here parses markup. */
export function h(tag: string, attributes: Attributes = {}, ...children: Child[]): HTMLElement {
  return fill(document.createElement(tag), attributes, children);
}

/** An element of SVG. */
export function s(tag: string, attributes: Attributes = {}, ...children: Child[]): SVGElement {
  return fill(document.createElementNS('http://www.w3.org/2000/svg', tag), attributes, children);
}

function fill<E extends Element>(element: E, attributes: Attributes, children: readonly Child[]): E {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

/** A part of the page that follows the step that is looked at. */
export interface Part {
  readonly element: HTMLElement;
  /** @param step from 0 */
  show(step: number): void;
}

/** A section with its heading and a sentence on what it shows. */
export function section(id: string, title: string, about: string, ...children: Child[]): HTMLElement {
  const heading = h('h2', { id: `${id}-title` }, title);
  return h('section', { id, 'aria-labelledby': `${id}-title` }, heading, h('p', {}, about), ...children);
}

/** A choice from a list, by its number. */
export function choose(label: string, names: readonly string[], chosen: (at: number) => void): HTMLElement {
  const select = h(
    'select',
    {},
    ...names.map((name, at) => h('option', { value: at }, name)),
  ) as HTMLSelectElement;
  select.addEventListener('change', () => chosen(select.selectedIndex));
  return h('label', {}, `${label} `, select);
}

/** A range of whole numbers 1 … most, whose value is told in words. */
export function slide(id: string, label: string, most: number, moved: (value: number) => void): HTMLElement {
  const range = h('input', { id, type: 'range', min: 1, max: most, value: 1, step: 1 }) as HTMLInputElement;
  const told = h('output', { for: id }, '');
  const tell = () => {
    told.textContent = `${range.value} of ${most}`;
    range.setAttribute('aria-valuetext', `${label} ${told.textContent}`);
    moved(Number(range.value));
  };
  range.addEventListener('input', tell);
  queueMicrotask(tell);
  return h('div', { class: 'slide' }, h('label', { for: id }, label), range, told);
}

/** A bar for a share from 0 to 1. */
export function bar(share: number, kind = ''): SVGElement {
  const width = Math.max(0, Math.min(1, share)) * 100;
  return s(
    'svg',
    { class: 'bar', viewBox: '0 0 100 10', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
    s('rect', { class: 'track', width: 100, height: 10 }),
    s('rect', { class: kind, width, height: 10 }),
  );
}

/** Cells as colours: blue above zero, orange below, stronger the further from it. `value` is from −1 to 1. */
export function heat(
  canvas: HTMLCanvasElement,
  rows: number,
  columns: number,
  value: (r: number, c: number) => number,
): void {
  canvas.width = columns;
  canvas.height = rows;
  const context = canvas.getContext('2d');
  if (context === null) return;
  const image = context.createImageData(columns, rows);
  for (let r = 0, at = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++, at += 4) {
      const strength = value(r, c);
      image.data.set(strength < 0 ? [224, 112, 32] : [48, 120, 224], at);
      image.data[at + 3] = Math.round(Math.min(1, Math.abs(strength)) * 255);
    }
  }
  context.putImageData(image, 0, 0);
}

/** A share in two digits: `0.00031%`, `4.2%`, `98%`. */
export function percent(share: number): string {
  return `${Number((100 * share).toPrecision(2))}%`;
}

/** How many places three digits that count need. */
export function placesOf(value: number): number {
  return value === 0 ? 2 : Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
}

/** Three digits that count, or so many places, with a real minus sign: `0.00123`, `−4.57`, `1.20e−9`. */
export function decimal(value: number, places = placesOf(value)): string {
  const size = Math.abs(value);
  const text = places > 9 ? size.toExponential(2) : size.toFixed(places);
  return `${value < 0 ? '−' : ''}${text.replace('-', '−')}`;
}

export function signed(value: number): string {
  return value < 0 ? decimal(value) : `+${decimal(value)}`;
}

export function quoted(text: string): string {
  return `“${text}”`;
}

/** A token as a chip, its number small beside it. */
export function chip({ id, text }: { id: number; text: string }, kind = ''): HTMLElement {
  return h('span', { class: `chip ${kind}` }, h('span', { class: 'text' }, text), h('small', {}, String(id)));
}

/** Rows of a table below its headings, in a box that scrolls by itself. */
export function table(headings: readonly string[], rows: readonly (readonly Child[])[]): HTMLElement {
  const head = h('tr', {}, ...headings.map((text) => h('th', { scope: 'col' }, text)));
  const body = rows.map((cells) => h('tr', {}, ...cells.map((cell) => h('td', {}, cell))));
  return h('table', {}, h('thead', {}, head), h('tbody', {}, ...body));
}
