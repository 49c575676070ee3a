import type { Graph, Node } from '../graph/index.js';
import type { Kernels, Tensor } from '../kernels/index.js';
import type { Layout } from './types.js';

/** A model's weights in parameter order; float64 only where gradients are checked against finite differences. */
export type FlatWeights = Float32Array | Float64Array;

/** A model's weights on a device, a tensor for each parameter. */
export type WeightTensors = ReadonlyMap<string, Tensor>;

/** Uploads flat weights; they stay until the caller's mark is released. */
export function uploadWeights(kernels: Kernels, model: Layout, weights: FlatWeights): WeightTensors {
  return new Map(
    model.parameters.map(({ name, shape, offset, size }) => [
      name,
      kernels.tensor(weights.subarray(offset, offset + size), shape),
    ]),
  );
}

/** Overwrites uploaded weights; nodes and tensors that refer to them stay valid. */
export function writeWeights(
  kernels: Kernels,
  model: Layout,
  tensors: WeightTensors,
  weights: FlatWeights,
): void {
  for (const { name, offset, size } of model.parameters) {
    kernels.write(tensorOf(tensors, name), weights.subarray(offset, offset + size));
  }
}

/** The parameters as nodes of `graph`, made as `forward` asks for them, once each. */
export function parameterNodes(graph: Graph, tensors: WeightTensors): (name: string) => Node {
  const nodes = new Map<string, Node>();
  return (name) => {
    const known = nodes.get(name) ?? graph.parameter(name, tensorOf(tensors, name));
    nodes.set(name, known);
    return known;
  };
}

/**
 * Reads the gradients of a graph that was walked back into the model's flat order: zero for a parameter that nothing
 * asked for, and on entries that the table calls inert.
 * @throws RangeError where `into` has another size than the model
 */
export async function readGradients(graph: Graph, model: Layout, into: Float32Array): Promise<void> {
  if (into.length !== model.size) {
    throw new RangeError(`the model has ${model.size} gradients, not ${into.length}`);
  }
  const nodes = new Map(graph.nodes.map((node) => [node.operation === 'parameter' ? node.name : null, node]));
  for (const { name, offset, size, inert } of model.parameters) {
    const gradient = nodes.get(name)?.gradient ?? null;
    if (gradient === null) into.fill(0, offset, offset + size);
    else await graph.kernels.readInto(gradient, into.subarray(offset, offset + size));
    if (inert) into.fill(0, offset + inert.first, offset + inert.first + inert.count);
  }
}

function tensorOf(tensors: WeightTensors, name: string): Tensor {
  const tensor = tensors.get(name);
  if (tensor === undefined) throw new RangeError(`the model has no parameter ${name}`);
  return tensor;
}
