import { bar, decimal, h, type Part, s, section, table } from './dom.js';
import { BARS, edgePath, isLeaf, layOut, WIDTH } from './layout.js';
import type { GraphNode, NodeValues, Picture } from './picture.js';
import { createView } from './view.js';

/** The compute graph: zoomed by + − 0, walked by the arrow keys, with what each node did in the step. */
export function graphPart({ graph, steps }: Picture): Part {
  const { places, bands, height } = layOut(graph);
  const numberOf = new Map(graph.map(({ id }, at) => [id, at]));
  const svg = s('svg', { class: 'graph', tabindex: 0, role: 'application' });
  svg.setAttribute('aria-label', 'compute graph: arrow keys walk it, plus and minus zoom, 0 shows all of it');
  const detail = h('div', { class: 'detail', 'aria-live': 'polite' });
  const view = createView(svg, WIDTH, height);
  const drawn = draw(svg, graph, { places, bands, height });
  let [step, selected, back] = [0, graph.length - 1, true];

  const values = (at: number): NodeValues => steps[step].nodes[at];
  const select = (at: number) => {
    drawn[selected].box.classList.remove('selected');
    selected = at;
    drawn[at].box.classList.add('selected');
    const place = places.get(graph[at].id);
    if (place !== undefined) view.reveal(place.y, place.y + place.height);
    detail.replaceChildren(...describe(graph, at, values(at), (id) => select(numberOf.get(id) ?? at)));
  };
  const measure = () => {
    svg.classList.toggle('back', back);
    const sizes = graph.map((_, at) => (back ? (values(at).gradientNorm ?? 0) : values(at).output.deviation));
    const positive = sizes.filter((size) => size > 0).map(Math.log10);
    const [low, high] = [Math.min(...positive) - 0.5, Math.max(...positive)];
    const share = (size: number) => (size > 0 ? (Math.log10(size) - low) / (high - low) : 0);
    drawn.forEach(({ meter, edges }, at) => {
      meter?.setAttribute('width', String(BARS.width * share(sizes[at])));
      for (const edge of edges) {
        edge.setAttribute('stroke-width', String(1 + 3 * share(sizes[at])));
        edge.classList.toggle('still', back && values(at).gradientNorm === null); // nothing goes back to token ids
      }
    });
  };

  drawn.forEach(({ box }, at) => {
    box.addEventListener('click', () => select(at));
  });
  const keys: Record<string, () => void> = {
    ArrowDown: () => select(neighbour(graph, selected, 1)),
    ArrowUp: () => select(neighbour(graph, selected, -1)),
    ArrowLeft: () => select(numberOf.get(graph[selected].inputs.at(-1) ?? -1) ?? selected),
    ArrowRight: () => {
      const reader = graph.findIndex(({ inputs }) => inputs.includes(graph[selected].id));
      if (reader >= 0) select(reader);
    },
    Home: () => select(neighbour(graph, -1, 1)),
    End: () => select(graph.length - 1),
    '+': () => view.zoom(1.4),
    '-': () => view.zoom(1 / 1.4),
    '0': () => view.whole(),
  };
  svg.addEventListener('keydown', (event) => {
    const act = keys[event.key];
    if (act === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act();
  });
  const button = (name: string, act: () => void) => {
    const made = h('button', { type: 'button' }, name);
    made.addEventListener('click', act);
    return made;
  };
  const directions = (['values forward', 'error back'] as const).map((name, at) =>
    button(name, () => {
      back = at === 1;
      press();
      measure();
    }),
  );
  const press = () => {
    directions.forEach((made, at) => {
      made.setAttribute('aria-pressed', String((at === 1) === back));
    });
  };
  press();
  const stations = h('div', { class: 'scroll' });
  const element = section(
    'graph',
    'The compute graph, and the way back',
    'Every operation remembers what it did, so that the error can be sent back through it: how much would the loss change if this value changed a little? That slope is the gradient.',
    h(
      'div',
      { class: 'controls' },
      ...directions,
      button('zoom in', () => view.zoom(1.4)),
      button('zoom out', () => view.zoom(1 / 1.4)),
      button('whole', () => view.whole()),
    ),
    h('div', { class: 'split' }, svg, detail),
    h('h3', {}, 'How the error flows back'),
    stations,
  );
  return {
    element,
    show(at) {
      step = at;
      measure();
      select(selected);
      stations.replaceChildren(errorTable(graph, steps[step].nodes));
    },
  };
}

/** The next operation in a direction; a leaf's neighbour is the operation beside it. */
function neighbour(graph: readonly GraphNode[], at: number, by: 1 | -1): number {
  for (let next = at + by; next >= 0 && next < graph.length; next += by)
    if (!isLeaf(graph[next])) return next;
  return Math.max(at, 0);
}

interface Drawn {
  readonly box: SVGElement;
  readonly meter: SVGElement | null;
  /** Lines to those that read it. */
  readonly edges: SVGElement[];
}

function draw(
  svg: SVGElement,
  graph: readonly GraphNode[],
  { places, bands }: ReturnType<typeof layOut>,
): readonly Drawn[] {
  const tip = s('path', { d: 'M0 0L8 4L0 8z' });
  const arrow = { id: 'arrow', viewBox: '0 0 8 8', refX: 8, refY: 4, orient: 'auto-start-reverse' };
  const size = { markerWidth: 8, markerHeight: 8, markerUnits: 'userSpaceOnUse' };
  svg.append(s('defs', {}, s('marker', { ...arrow, ...size }, tip)));
  for (const { block, top, bottom } of bands) {
    svg.append(
      s('rect', { class: 'band', x: 0, y: top - 12, width: WIDTH, height: bottom - top + 24, rx: 8 }),
      s('text', { class: 'band-name', x: WIDTH - 8, y: top + 2, 'text-anchor': 'end' }, `block ${block}`),
    );
  }
  const edges = new Map<number, SVGElement[]>(graph.map(({ id }) => [id, []]));
  for (const node of graph) {
    const to = places.get(node.id);
    for (const id of node.inputs) {
      const from = places.get(id);
      if (from === undefined || to === undefined) continue;
      const edge = s('path', { class: 'edge', d: edgePath(from, to) });
      edges.get(id)?.push(edge);
      svg.append(edge);
    }
  }
  return graph.map((node): Drawn => {
    const place = places.get(node.id);
    if (place === undefined) return { box: s('g'), meter: null, edges: [] };
    const { x, y, width, height } = place;
    const leaf = isLeaf(node);
    const label = leaf ? (node.name ?? node.operation).split('.').slice(-3).join('.') : node.operation;
    const box = s(
      'g',
      { class: `node ${node.operation}` },
      s('rect', { x, y, width, height, rx: 6 }),
      s('text', { x: x + 8, y: y + 17 }, label),
    );
    if (!leaf) box.append(s('text', { class: 'shape', x: x + 8, y: y + 33 }, `[${node.shape.join('×')}]`));
    const meter = leaf
      ? null
      : s('rect', { class: 'meter', x: BARS.x, y: y + height / 2 - 5, height: 10, rx: 2 });
    svg.append(box, ...(meter === null ? [] : [meter]));
    return { box, meter, edges: edges.get(node.id) ?? [] };
  });
}

function describe(
  graph: readonly GraphNode[],
  at: number,
  { output, gradientNorm }: NodeValues,
  go: (id: number) => void,
): Node[] {
  const { id, operation, name, shape, inputs } = graph[at];
  const links = inputs.map((input) => {
    const node = graph.find((other) => other.id === input);
    const link = h('button', { type: 'button', class: 'link' }, node?.name ?? `#${input} ${node?.operation}`);
    link.addEventListener('click', () => go(input));
    return link;
  });
  const rows: [string, Node | string][] = [
    ['operation', operation],
    ...(name === null ? [] : ([['name', name]] as [string, string][])),
    ['shape', `[${shape.join(', ')}]`],
    ['inputs', links.length === 0 ? 'none' : h('span', { class: 'links' }, ...links)],
    ['mean', decimal(output.mean)],
    ['deviation', decimal(output.deviation)],
    ['least', decimal(output.least)],
    ['greatest', decimal(output.greatest)],
    ['gradient length', gradientNorm === null ? 'none: nothing here can learn' : decimal(gradientNorm)],
  ];
  return [
    h('h3', {}, `#${id} ${operation}`),
    h('dl', {}, ...rows.flatMap(([term, value]) => [h('dt', {}, term), h('dd', {}, value)])),
  ];
}

/** From the loss to the embeddings: the gradient at the end of each part. */
function errorTable(graph: readonly GraphNode[], nodes: readonly NodeValues[]): HTMLElement {
  const operations = graph.flatMap((node, at) =>
    isLeaf(node) ? [] : [{ ...node, size: nodes[at].gradientNorm ?? 0 }],
  );
  const lastOf = new Map(operations.map((node) => [node.block, node]));
  const blocks = [...lastOf.keys()].filter((block) => block !== null).sort((a, b) => b - a);
  const firstBlock = operations.findIndex(({ block }) => block !== null);
  const stations: [string, number][] = [
    ['the scores of all tokens', operations.findLast(({ operation }) => operation === 'linear')?.size ?? 0],
    ...blocks.map((block): [string, number] => [`after block ${block}`, lastOf.get(block)?.size ?? 0]),
    ['the embeddings', operations[firstBlock - 1]?.size ?? 0],
  ];
  const most = Math.max(...stations.map(([, size]) => size));
  return table(
    ['place', 'gradient', ''],
    stations.map(([name, size]) => [name, decimal(size), bar(size / most, 'error')]),
  );
}
