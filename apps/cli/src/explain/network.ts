import type { Graph, Node } from '@manyhands/core/graph';
import type { GraphNode, NodeValues, Statistics } from './page/picture.js';

/** A node of the compute graph, as the explanation needs it. */
export interface NodeReport extends GraphNode, NodeValues {}

/** Reads the values and the gradient of every node of a graph that was walked back. `asked` turns the sum's gradient into the mean's. */
export async function reportGraph(graph: Graph, asked: number): Promise<NodeReport[]> {
  const blocks = blocksOf(graph.nodes);
  const reports: NodeReport[] = [];
  for (const node of graph.nodes) {
    const gradient = node.gradient === null ? null : await graph.kernels.read(node.gradient);
    reports.push({
      id: node.id,
      operation: node.operation,
      name: node.name ?? null,
      shape: node.output.shape,
      inputs: node.inputs.map((input) => input.id),
      block: blocks.get(node.id) ?? null,
      output: statistics(await graph.kernels.read(node.output)),
      gradientNorm: gradient === null ? null : norm(gradient) / asked,
    });
  }
  return reports;
}

/** Of all entries, in float64. */
function statistics(values: ArrayLike<number>): Statistics {
  const { length } = values;
  let [sum, least, greatest] = [0, values[0], values[0]];
  for (let i = 0; i < length; i++) {
    sum += values[i];
    least = Math.min(least, values[i]);
    greatest = Math.max(greatest, values[i]);
  }
  const mean = sum / length;
  let squares = 0;
  for (let i = 0; i < length; i++) squares += (values[i] - mean) ** 2;
  return { mean, deviation: Math.sqrt(squares / length), least, greatest };
}

/** Euclidean norm, in float64. */
export function norm(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i] * values[i];
  return Math.sqrt(sum);
}

/**
 * The block of each operation: the one that its parameters are named after (`h.3.…`, `model.layers.3.…`); an
 * operation without parameters belongs where the one before it does.
 */
function blocksOf(nodes: readonly Node[]): Map<number, number> {
  const blocks = new Map<number, number>();
  let current: number | null = null;
  for (const node of nodes) {
    const parameters = [node, ...node.inputs].filter((part) => part.operation === 'parameter');
    const found = parameters.map(({ name }) => /(?:^|\.)(?:h|layers)\.(\d+)\./.exec(name ?? '')?.[1]);
    const block = found.find((number) => number !== undefined);
    if (node.operation === 'parameter') {
      if (block !== undefined) blocks.set(node.id, Number(block));
      continue;
    }
    if (node.operation === 'input') continue;
    if (block !== undefined) current = Number(block);
    else if (parameters.length > 0) current = null; // the embeddings, the last norm, the head
    if (current !== null) blocks.set(node.id, current);
  }
  return blocks;
}
