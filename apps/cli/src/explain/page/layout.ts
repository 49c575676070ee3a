import type { GraphNode } from './picture.js';

/** Where a node of the graph is drawn. */
export interface Place {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface Layout {
  readonly places: ReadonlyMap<number, Place>;
  /** Bands behind the operations of one block. */
  readonly bands: readonly { readonly block: number; readonly top: number; readonly bottom: number }[];
  readonly height: number;
}

/** Width of every drawing: parameters at the left, operations in the middle, bars at the right. */
export const WIDTH = 560;
export const BARS = { x: 450, width: 100 } as const;
const operationBox = { x: 245, width: 150, height: 40 } as const;
const leafBox = { x: 10, width: 205, height: 26 } as const;
const GAP = 26;

export function isLeaf({ operation }: GraphNode): boolean {
  return operation === 'parameter' || operation === 'input';
}

/** Operations one below the other as they were computed, each with what it read for the first time beside it. */
export function layOut(graph: readonly GraphNode[]): Layout {
  const byId = new Map(graph.map((node) => [node.id, node]));
  const places = new Map<number, Place>();
  const bands: { block: number; top: number; bottom: number }[] = [];
  let y = 10;
  for (const node of graph) {
    if (isLeaf(node)) continue;
    const leaves = node.inputs.filter((id) => {
      const input = byId.get(id);
      return input !== undefined && isLeaf(input) && !places.has(id);
    });
    const row = Math.max(operationBox.height, leaves.length * (leafBox.height + 6) - 6);
    leaves.forEach((id, i) => {
      places.set(id, { ...leafBox, y: y + i * (leafBox.height + 6) });
    });
    places.set(node.id, { ...operationBox, y: y + (row - operationBox.height) / 2 });
    if (node.block !== null) {
      const band = bands[bands.length - 1];
      if (band?.block === node.block) band.bottom = y + row;
      else bands.push({ block: node.block, top: y, bottom: y + row });
    }
    y += row + GAP;
  }
  return { places, bands, height: y };
}

/** The line from a node to one that reads it: straight to the next, around the others. */
export function edgePath(from: Place, to: Place): string {
  const [fromMiddle, toMiddle] = [from.y + from.height / 2, to.y + to.height / 2];
  if (from.x !== to.x) {
    const start = from.x + from.width;
    if (Math.abs(fromMiddle - toMiddle) < 120) return `M${start} ${fromMiddle}L${to.x} ${toMiddle}`;
    return `M${start} ${fromMiddle}C${start + 20} ${fromMiddle} ${start + 12} ${toMiddle} ${to.x} ${toMiddle}`;
  }
  const middle = from.x + from.width / 2;
  const gap = to.y - from.y - from.height;
  if (gap < 2 * GAP + 12) return `M${middle} ${from.y + from.height}L${middle} ${to.y}`;
  const side = from.x + from.width;
  const out = side + Math.min(42, 16 + gap / 16);
  return `M${side} ${fromMiddle}C${out} ${fromMiddle} ${out} ${toMiddle} ${side} ${toMiddle}`;
}
