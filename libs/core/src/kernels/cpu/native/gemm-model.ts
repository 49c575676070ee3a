import protobuf from 'protobufjs';

/** The part of ONNX's format (onnx/onnx.proto, IR version 8) that a graph of one node needs. */
const { Root } = protobuf;
const message = (fields: Record<string, readonly [type: string, id: number, rule?: 'repeated']>) => ({
  fields: Object.fromEntries(
    Object.entries(fields).map(([name, [type, id, rule]]) => [name, { type, id, ...(rule && { rule }) }]),
  ),
});
const Model = Root.fromJSON({
  nested: {
    Model: message({ irVersion: ['int64', 1], graph: ['Graph', 7], opsetImport: ['Opset', 8, 'repeated'] }),
    Opset: message({ domain: ['string', 1], version: ['int64', 2] }),
    Graph: message({
      node: ['Node', 1, 'repeated'],
      name: ['string', 2],
      input: ['Value', 11, 'repeated'],
      output: ['Value', 12, 'repeated'],
    }),
    Node: message({
      input: ['string', 1, 'repeated'],
      output: ['string', 2, 'repeated'],
      opType: ['string', 4],
      attribute: ['Attribute', 5, 'repeated'],
    }),
    Attribute: message({ name: ['string', 1], i: ['int64', 3], type: ['int32', 20] }),
    Value: message({ name: ['string', 1], type: ['Type', 2] }),
    Type: message({ tensorType: ['TensorType', 1] }),
    TensorType: message({ elemType: ['int32', 1], shape: ['Shape', 2] }),
    Shape: message({ dim: ['Dimension', 1, 'repeated'] }),
    Dimension: message({ dimParam: ['string', 2] }),
  },
}).lookupType('Model');

const FLOAT = 1;
const INTEGER_ATTRIBUTE = 2;

export interface GemmKind {
  /** Whether the factors lie transposed in memory. */
  readonly transA: boolean;
  readonly transB: boolean;
  /** What the product is added to: nothing, one row for all (a bias), or a whole matrix. */
  readonly added: 'nothing' | 'row' | 'matrix';
}

/** A model of one Gemm, y = a · b (+ c), of any sizes. */
export function gemmModel({ transA, transB, added }: GemmKind): Uint8Array {
  const value = (name: string, ...dimensions: readonly string[]) => ({
    name,
    type: { tensorType: { elemType: FLOAT, shape: { dim: dimensions.map((dimParam) => ({ dimParam })) } } },
  });
  const flag = (name: string, on: boolean) => ({ name, i: on ? 1 : 0, type: INTEGER_ATTRIBUTE });
  const input = [
    value('a', ...(transA ? ['k', 'n'] : ['n', 'k'])),
    value('b', ...(transB ? ['m', 'k'] : ['k', 'm'])),
  ];
  if (added === 'row') input.push(value('c', 'm'));
  if (added === 'matrix') input.push(value('c', 'n', 'm'));
  const node = {
    input: input.map(({ name }) => name),
    output: ['y'],
    opType: 'Gemm',
    attribute: [flag('transA', transA), flag('transB', transB)],
  };
  return Model.encode(
    Model.fromObject({
      irVersion: 8,
      opsetImport: [{ domain: '', version: 13 }],
      graph: { name: 'gemm', node: [node], input, output: [value('y', 'n', 'm')] },
    }),
  ).finish();
}
