import { z } from 'zod';
import { firstProblem, show, UserError } from '../config/index.js';
import { Graph, type Node } from '../graph/index.js';
import type { Kernels, Program, Tensor } from '../kernels/index.js';
import { math } from '../numeric/index.js';
import { layOut } from './model.js';
import { parameterNodes, type WeightTensors } from './parameters.js';
import type { Layout, Model, ParameterRow } from './types.js';

/** A model that values positions of a game: numbers that describe one → its value for the side to move, in log-odds of winning. */
export interface ValueConfig {
  /** A weighted sum of the inputs, or one hidden layer between them and the value. */
  readonly arch: 'linear' | 'network';
  /** Numbers that describe a position. */
  readonly inputs: number;
  /** Width of the hidden layer; 0 where there is none. */
  readonly hidden: number;
}

export interface ValueModel extends Layout {
  readonly config: ValueConfig;
}

/** Whether a model reads tokens, not positions. */
export function isLanguageModel(model: Model | ValueModel): model is Model {
  return 'layers' in model.config;
}

/** In config.json, where a language model has the name of its architecture. */
export const VALUE_MODEL_TYPE = 'manyhands_value';

const width = z.int().max(65536);

export const valueConfig = z.discriminatedUnion('arch', [
  z.strictObject({ arch: z.literal('linear'), inputs: width.min(1), hidden: z.literal(0) }),
  z.strictObject({ arch: z.literal('network'), inputs: width.min(1), hidden: width.min(1) }),
]) satisfies z.ZodType<ValueConfig>;

/** Weights of a sum start small: an untrained one tells positions apart, and knows nothing. */
const DEVIATION = 0.1;

export function createValueModel(config: ValueConfig): ValueModel {
  const { arch, inputs, hidden } = config;
  const normal = (fan: number) => ({ deviation: 1 / Math.sqrt(fan) });
  const network: ParameterRow[] = [
    { name: 'hidden.weight', shape: [hidden, inputs], kind: 'matrix', group: 'mlp', initial: normal(inputs) },
    { name: 'hidden.bias', shape: [hidden], kind: 'vector', group: 'mlp', initial: { value: 0 } },
    { name: 'value.weight', shape: [1, hidden], kind: 'embedding', group: 'head', initial: normal(hidden) },
  ];
  const linear: ParameterRow[] = [
    {
      name: 'value.weight',
      shape: [1, inputs],
      kind: 'embedding',
      group: 'head',
      initial: { deviation: DEVIATION },
    },
  ];
  return { config, ...layOut(arch === 'network' ? network : linear) };
}

/** A value model's config.json. */
export function valueToJson(config: ValueConfig): Record<string, unknown> {
  return { model_type: VALUE_MODEL_TYPE, ...config };
}

/** @throws UserError where a parsed config.json is not one of a value model */
export function valueFromJson(json: unknown): ValueConfig {
  const { model_type: type = null, ...config } = z.looseObject({}).catch({}).parse(json);
  const parsed = valueConfig.safeParse(config);
  if (parsed.success && type === VALUE_MODEL_TYPE) return parsed.data;
  if (parsed.success)
    throw new UserError(`config.json: model_type is ${show(type)}, but must be ${VALUE_MODEL_TYPE}.`);
  throw new UserError(`config.json is not that of a value model: ${firstProblem(parsed.error)}.`);
}

/** Forward and backward over rows of positions, ready to be run on any. */
export interface ValueProgram {
  /** [rows, inputs], to be overwritten before a run */
  readonly inputs: Tensor;
  /** [1, rows]: the derivative of each row's loss by its value; 0 where there is no row. */
  readonly errors: Tensor;
  readonly program: Program<Tensor>;
}

/**
 * The gradient of a sum of losses that are functions of the values, by the chain rule: Σ error · ∂value/∂weights. In
 * temporal-difference learning the error is value − target, and nothing flows back through the target (Sutton 1988).
 * @param take see trainingProgram
 */
export function valueProgram(
  kernels: Kernels,
  model: ValueModel,
  weights: WeightTensors,
  rows: number,
  take: (parameter: string, gradient: Tensor) => void,
): ValueProgram {
  const inputs = kernels.zeros([rows, model.config.inputs]);
  const errors = kernels.zeros([1, rows]);
  const program = kernels.compile(() => {
    const graph = new Graph(kernels);
    const values = forwardValues(graph, model, parameterNodes(graph, weights), graph.input('inputs', inputs));
    const sum = graph.linear(graph.input('errors', errors), values, null, 'inOut');
    graph.backward(sum, ({ name, gradient }) => {
      if (name === undefined || gradient === null) return;
      kernels.hook([gradient], () => take(name, gradient));
    });
    return sum.output;
  });
  return { inputs, errors, program };
}

/** inputs [N,I] → values [N,1] */
export function forwardValues(
  graph: Graph,
  { config }: ValueModel,
  parameter: (name: string) => Node,
  inputs: Node,
): Node {
  if (config.arch === 'linear') return graph.linear(inputs, parameter('value.weight'), null, 'outIn');
  const before = graph.linear(inputs, parameter('hidden.weight'), parameter('hidden.bias'), 'outIn');
  return graph.linear(graph.activation(before, 'silu'), parameter('value.weight'), null, 'outIn');
}

/**
 * The same value off the device, one position at a time, for a search that asks for thousands: float64 in a fixed order and
 * our own exp, so that equal weights make equal moves on every machine.
 * @param weights flat; copied
 */
export function valueFunction(model: ValueModel, weights: Float32Array): (inputs: Float32Array) => number {
  const { arch, inputs: width, hidden } = model.config;
  const own = Float64Array.from(weights);
  if (arch === 'linear') {
    return (inputs) => {
      let value = 0;
      for (let i = 0; i < width; i++) value += own[i] * inputs[i];
      return value;
    };
  }
  const bias = own.subarray(hidden * width, hidden * (width + 1));
  const out = own.subarray(hidden * (width + 1));
  const sums = new Float64Array(hidden);
  // Of a board's squares most are zero: the weights of an input lie together.
  const columns = new Float64Array(hidden * width);
  for (let unit = 0; unit < hidden; unit++) {
    for (let i = 0; i < width; i++) columns[i * hidden + unit] = own[unit * width + i];
  }
  return (inputs) => {
    sums.set(bias);
    for (let i = 0; i < width; i++) {
      const input = inputs[i];
      if (input === 0) continue;
      for (let unit = 0, at = i * hidden; unit < hidden; unit++, at++) sums[unit] += input * columns[at];
    }
    let value = 0;
    for (let unit = 0; unit < hidden; unit++) value += (out[unit] * sums[unit]) / (1 + math.exp(-sums[unit]));
    return value;
  };
}
