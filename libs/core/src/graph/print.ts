import type { Graph, Node } from './graph.js';

/** The graph as a table, a line a node: number, operation, shape, inputs, and its name or attributes. */
export function printText(graph: Graph): string {
  const rows = graph.nodes.map((node) => [
    String(node.id),
    node.operation,
    shapeText(node),
    node.inputs.map((input) => input.name ?? `#${input.id}`).join(', '),
    node.name ?? attributesText(node),
  ]);
  const table = [['#', 'operation', 'shape', 'inputs', 'name or attributes'], ...rows];
  const widths = table[0].map((_, column) => Math.max(...table.map((row) => row[column].length)));
  return table
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** The graph in Graphviz' DOT language: parameters as boxes, inputs as ellipses, arrows the way values flow. */
export function printDot(graph: Graph): string {
  const lines = graph.nodes.flatMap((node) => {
    const label = [node.name ?? node.operation, shapeText(node)].join('\\n');
    const shape = node.operation === 'parameter' ? 'box' : node.operation === 'input' ? 'ellipse' : 'plain';
    return [
      `  n${node.id} [shape=${shape}, label="${label.replaceAll('"', '\\"')}"];`,
      ...node.inputs.map((input) => `  n${input.id} -> n${node.id};`),
    ];
  });
  return ['digraph "compute graph" {', '  rankdir=BT;', ...lines, '}'].join('\n');
}

export interface NodeJson {
  readonly id: number;
  readonly operation: string;
  readonly name?: string;
  readonly shape: readonly number[];
  readonly inputs: readonly number[];
  readonly attributes: object;
  readonly hasGradient: boolean;
}

/** The graph as plain values for JSON.stringify; `inputs` are ids of earlier nodes. */
export function toJson(graph: Graph): { nodes: NodeJson[] } {
  const nodes = graph.nodes.map(
    (node): NodeJson => ({
      id: node.id,
      operation: node.operation,
      ...(node.name === undefined ? {} : { name: node.name }),
      shape: node.output.shape,
      inputs: node.inputs.map((input) => input.id),
      attributes: node.attributes,
      hasGradient: node.gradient !== null,
    }),
  );
  return { nodes };
}

function shapeText(node: Node): string {
  return `[${node.output.shape.join(',')}]`;
}

function attributesText(node: Node): string {
  return Object.entries(node.attributes)
    .map(([key, value]) => `${key}=${typeof value === 'object' ? JSON.stringify(value) : value}`)
    .join(' ');
}
