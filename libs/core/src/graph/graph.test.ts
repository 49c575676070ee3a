import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createReferenceKernels, type Kernels } from '../kernels/index.js';
import { Graph, type Node, type OperationName, printDot, printText, toJson } from './index.js';

type Leaf = readonly number[];
interface Case {
  /** Shapes of the parameters that the operation takes. */
  readonly parameters: readonly Leaf[];
  /** The operation on them, over a graph that may add inputs of its own. */
  readonly run: (graph: Graph, parameters: readonly Node[]) => Node;
}

const indices = (graph: Graph, name: string, values: number[]) =>
  graph.input(name, graph.kernels.indices(Int32Array.from(values)));

const attention = { batch: 2, time: 3, heads: 2, kvHeads: 1, headDim: 2 };

/** Each operation that has a gradient, on small odd shapes. */
const cases: Record<Exclude<OperationName, 'cachedAttention' | 'headLoss'>, Case> = {
  embedding: {
    parameters: [[4, 3]],
    run: (graph, [table]) => graph.embedding(table, indices(graph, 'ids', [2, 0, 2, 2, 3])),
  },
  linear: { parameters: [[5, 3], [3, 4], [4]], run: (graph, [x, w, b]) => graph.linear(x, w, b, 'inOut') },
  layerNorm: { parameters: [[3, 5], [5], [5]], run: (graph, [x, w, b]) => graph.layerNorm(x, w, b, 1e-5) },
  rmsNorm: { parameters: [[3, 5], [5]], run: (graph, [x, w]) => graph.rmsNorm(x, w, 1e-5) },
  activation: { parameters: [[3, 5]], run: (graph, [x]) => graph.activation(x, 'gelu_new') },
  swiglu: {
    parameters: [
      [3, 5],
      [3, 5],
    ],
    run: (graph, [gate, up]) => graph.swiglu(gate, up),
  },
  rope: {
    parameters: [[5, 8]],
    run: (graph, [x]) =>
      graph.rope(x, indices(graph, 'positions', [0, 1, 2, 3, 7]), { heads: 2, headDim: 4, theta: 100 }),
  },
  attention: { parameters: [[6, 8]], run: (graph, [qkv]) => graph.attention(qkv, attention) },
  add: {
    parameters: [
      [3, 2],
      [3, 2],
    ],
    run: (graph, [a, b]) => graph.add(a, b),
  },
  concat: {
    parameters: [
      [3, 2],
      [3, 4],
      [3, 1],
    ],
    run: (graph, parts) => graph.concat(parts),
  },
  dropout: {
    parameters: [[6, 5]],
    run: (graph, [x]) => graph.dropout(x, 0.4, { seed: 1, step: 2, microBatch: 3, layer: 4 }),
  },
  crossEntropy: {
    parameters: [[4, 5]],
    run: (graph, [logits]) => graph.crossEntropy(logits, indices(graph, 'targets', [4, -1, 0, 2])),
  },
  rows: { parameters: [[5, 3]], run: (graph, [x]) => graph.rows(x, 1, 3) },
};

const size = (shape: Leaf) => shape.reduce((product, extent) => product * extent, 1);

/** Values in −1 … 1 without a pattern, in float64. */
function numbers(count: number, salt: number): Float64Array {
  return Float64Array.from({ length: count }, (_, i) => Math.sin(1 + 12.9898 * i + 78.233 * salt));
}

/** The sum over the output of operation(parameters) ⊙ fixed numbers, so that every entry's gradient differs. */
async function evaluate(kernels: Kernels, { parameters, run }: Case, values: readonly Float64Array[]) {
  const graph = new Graph(kernels);
  const nodes = parameters.map((shape, i) => graph.parameter(`p${i}`, kernels.tensor(values[i], shape)));
  const output = run(graph, nodes);
  return { graph, nodes, output };
}

/** Σ over rows of a linear map of the output: differentiable, and it weighs every entry differently. */
function weigh(graph: Graph, output: Node): Node {
  const shape = output.output.shape;
  if (shape.length === 1) return output;
  const weight = graph.kernels.tensor(numbers(shape[1] * 2, 99), [shape[1], 2]);
  return graph.crossEntropy(
    graph.linear(output, graph.input('weigher', weight), null, 'inOut'),
    indices(
      graph,
      'answers',
      Array.from({ length: shape[0] }, (_, i) => i % 2),
    ),
  );
}

describe('every operation sends its gradient back', () => {
  for (const [name, one] of Object.entries(cases)) {
    it(`${name}: as finite differences have it`, async () => {
      const kernels = createReferenceKernels();
      const values = one.parameters.map((shape, i) => numbers(size(shape), i));
      const lossOf = async () => {
        const { graph, output } = await evaluate(kernels, one, values);
        const losses = await kernels.read(weigh(graph, output).output);
        let sum = 0;
        for (const loss of losses) sum += loss;
        return sum;
      };
      const { graph, nodes, output } = await evaluate(kernels, one, values);
      graph.backward(weigh(graph, output));
      for (const [p, node] of nodes.entries()) {
        assert.ok(node.gradient);
        assert.deepEqual(node.gradient.shape, node.output.shape);
        const gradient = await kernels.read(node.gradient);
        for (let i = 0; i < gradient.length; i++) {
          const before = values[p][i];
          const step = 1e-5;
          values[p][i] = before + step;
          const above = await lossOf();
          values[p][i] = before - step;
          const below = await lossOf();
          values[p][i] = before;
          const expected = (above - below) / (2 * step);
          assert.ok(Math.abs(gradient[i] - expected) < 1e-8, `p${p}[${i}]: ${gradient[i]}, ${expected}`);
        }
      }
    });
  }
});

describe('a graph', () => {
  const kernels = createReferenceKernels();
  const vector = (...values: number[]) => kernels.tensor(Float64Array.from(values), [1, values.length]);

  it('adds up the gradients of a value that is used more than once', async () => {
    const graph = new Graph(kernels);
    const x = graph.parameter('x', vector(1, 2));
    const twice = graph.add(x, x);
    graph.backward(graph.add(graph.add(twice, x), twice)); // 5x
    assert.ok(x.gradient);
    assert.deepEqual([...(await kernels.read(x.gradient))], [5, 5]);
  });

  it('gives no gradient to inputs, to what only inputs lead to, and to parameters that do not matter', () => {
    const graph = new Graph(kernels);
    const input = graph.input('x', vector(1, 2));
    const constant = graph.add(input, input);
    const used = graph.parameter('used', vector(3, 4));
    const unused = graph.parameter('unused', vector(5, 6));
    const aside = graph.add(unused, constant);
    graph.backward(graph.add(constant, used));
    assert.ok(used.gradient);
    for (const node of [input, constant, unused, aside]) assert.equal(node.gradient, null);
  });

  it('without recording computes the same and keeps nothing', async () => {
    const values: Float64Array[] = [];
    for (const record of [true, false]) {
      const graph = new Graph(kernels, { record });
      const x = graph.parameter('x', vector(1, 2, 3));
      const y = graph.activation(graph.add(x, x), 'silu');
      values.push(Float64Array.from(await kernels.read(y.output)));
      assert.equal(graph.nodes.length, record ? 3 : 0);
      assert.equal(y.inputs.length, record ? 1 : 0);
      if (!record) assert.throws(() => graph.backward(y), { name: 'GraphError', message: /does not record/ });
    }
    assert.deepEqual(values[0], values[1]);
  });

  it('refuses a loss that is not its own, that no parameter leads to, and a second walk', () => {
    const graph = new Graph(kernels);
    const input = graph.input('x', vector(1));
    assert.throws(() => graph.backward(input), /no parameter leads/);
    const loss = graph.add(graph.parameter('w', vector(1)), input);
    assert.throws(() => new Graph(kernels).backward(loss), /not a node of this graph/);
    graph.backward(loss);
    assert.throws(() => graph.backward(loss), /walked back already/);
  });

  it('has no way back through a cache', () => {
    const graph = new Graph(kernels);
    const qkv = graph.parameter('qkv', kernels.zeros([2, 6]));
    const cache = graph.input('cache', kernels.zeros([4, 6]));
    const shape = { batch: 1, time: 2, heads: 1, kvHeads: 1, headDim: 2, first: 0 };
    const out = graph.cachedAttention(qkv, cache, shape);
    assert.throws(() => graph.backward(out), { name: 'GraphError', message: /no gradient/ });
  });

  it('is printed as a table, as DOT and as JSON', () => {
    const graph = new Graph(kernels);
    const x = graph.input('x', vector(1, 2));
    const w = graph.parameter('a "b"', kernels.zeros([2, 3]));
    const y = graph.linear(x, w, null, 'inOut');
    graph.backward(graph.activation(y, 'silu'));
    assert.equal(
      printText(graph),
      [
        '#  operation   shape  inputs    name or attributes',
        '0  input       [1,2]            x',
        '1  parameter   [2,3]            a "b"',
        '2  linear      [1,3]  x, a "b"  layout=inOut',
        '3  activation  [1,3]  #2        kind=silu',
      ].join('\n'),
    );
    assert.equal(
      printDot(graph),
      [
        'digraph "compute graph" {',
        '  rankdir=BT;',
        '  n0 [shape=ellipse, label="x\\n[1,2]"];',
        '  n1 [shape=box, label="a \\"b\\"\\n[2,3]"];',
        '  n2 [shape=plain, label="linear\\n[1,3]"];',
        '  n0 -> n2;',
        '  n1 -> n2;',
        '  n3 [shape=plain, label="activation\\n[1,3]"];',
        '  n2 -> n3;',
        '}',
      ].join('\n'),
    );
    const { nodes } = JSON.parse(JSON.stringify(toJson(graph)));
    assert.deepEqual(nodes[2], {
      id: 2,
      operation: 'linear',
      shape: [1, 3],
      inputs: [0, 1],
      attributes: { layout: 'inOut' },
      hasGradient: true,
    });
    assert.deepEqual([nodes[0].name, nodes[0].hasGradient], ['x', false]);
  });
});
