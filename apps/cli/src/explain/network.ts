import type { Graph, Node } from '@manyhands/core/graph';

/** A node of the compute graph, as the explanation needs it. */
export interface NodeReport {
  readonly id: number;
  readonly operation: string;
  readonly name: string | null;
  readonly shape: readonly number[];
  readonly inputs: readonly number[];
  /** The number of the transformer block that it belongs to; null before the first and after the last. */
  readonly block: number | null;
  /** Euclidean norm of the gradient of the mean loss with respect to its output; null where there is none. */
  readonly gradientNorm: number | null;
}

/** Reads the gradient of every node of a graph that was walked back. `asked` turns the sum's gradient into the mean's. */
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
      gradientNorm: gradient === null ? null : norm(gradient) / asked,
    });
  }
  return reports;
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
