import { show, UserError } from '../config/index.js';
import { fillNormal } from '../numeric/index.js';
import { gpt2 } from './gpt2.js';
import { llama } from './llama.js';
import type {
  Architecture,
  Layout,
  Model,
  ModelConfig,
  ModelShape,
  Parameter,
  ParameterRow,
} from './types.js';

/** Every architecture. To add one: a file like its neighbours, a line here, its name in ModelConfig. */
export const architectures: Readonly<Record<ModelConfig['arch'], Architecture>> = { gpt2, llama };

/** A whole config from the part that a person chooses: the MLP's width and the like follow the architecture. */
export function resolveModelConfig(shape: ModelShape): ModelConfig {
  return architectures[shape.arch].resolve(shape);
}

/**
 * The table of a model's parameters: names and shapes as in Hugging Face's files, offsets into one flat array.
 * @throws UserError where the config cannot be a transformer
 */
export function createModel(config: ModelConfig): Model {
  check(config);
  return { config, ...layOut(architectures[config.arch].parameters(config)) };
}

/**
 * A table of parameters, one after the other in a flat array.
 * @throws UserError where that array would be too long
 */
export function layOut(rows: readonly ParameterRow[]): Layout {
  let offset = 0;
  const parameters = rows.map((row): Parameter => {
    const size = row.shape.reduce((product, extent) => product * extent, 1);
    const parameter = { ...row, offset, size, decay: row.shape.length >= 2 };
    offset += size;
    return parameter;
  });
  if (offset > 2 ** 31) {
    throw new UserError(`The model has ${offset} parameters, but one flat array holds at most ${2 ** 31}.`);
  }
  return { parameters, size: offset };
}

/**
 * The weights of a new model, flat: a pure function of the model and the seed. Parameter number n draws from the
 * random stream with the key (seed, n), so its values do not depend on the other parameters' sizes.
 */
export function initialWeights(model: Layout, seed: number): Float32Array {
  const weights = new Float32Array(model.size);
  for (const [number, { initial, offset, size }] of model.parameters.entries()) {
    const values = weights.subarray(offset, offset + size);
    if ('value' in initial) values.fill(initial.value);
    else fillNormal(values, initial.deviation, seed, number);
  }
  return weights;
}

/** config.json of a Hugging Face model directory. */
export function toHuggingFace(config: ModelConfig): Record<string, unknown> {
  return {
    ...architectures[config.arch].toHuggingFace(config),
    // Their defaults are ids of the original tokenizers, of no meaning in another vocabulary.
    bos_token_id: null,
    eos_token_id: null,
    torch_dtype: 'float32',
  };
}

/**
 * Reads a parsed config.json of GPT2LMHeadModel or LlamaForCausalLM; keys without influence on the computation are
 * ignored, absent ones have Hugging Face's defaults.
 * @throws UserError with one sentence: another architecture, a missing key, a variant that is not computed here
 */
export function fromHuggingFace(json: unknown): ModelConfig {
  const type = typeof json === 'object' && json !== null ? Reflect.get(json, 'model_type') : undefined;
  const architecture = Object.values(architectures).find(({ modelType }) => modelType === type);
  if (architecture === undefined) {
    const known = Object.values(architectures).map(({ modelType }) => modelType);
    throw new UserError(`config.json: model_type is ${show(type)}, but must be one of ${known.join(', ')}.`);
  }
  const config = architecture.fromHuggingFace(json);
  check(config);
  return config;
}

function check(config: ModelConfig): void {
  const { arch, heads, kvHeads, channels, dropout } = config;
  const demand = (holds: boolean, key: keyof ModelConfig, allowed: string) => {
    if (!holds) throw new UserError(`The model's ${key} is ${show(config[key])}, but must be ${allowed}.`);
  };
  for (const key of ['layers', 'heads', 'kvHeads', 'channels', 'hidden', 'context', 'vocab'] as const) {
    demand(Number.isSafeInteger(config[key]) && config[key] > 0, key, 'a whole number above 0');
  }
  demand(channels % heads === 0, 'channels', `a multiple of its ${heads} heads`);
  demand(dropout >= 0 && dropout < 1, 'dropout', 'from 0 up to, but not including, 1');
  demand(config.epsilon > 0, 'epsilon', 'a number above 0');
  switch (arch) {
    case 'gpt2':
      demand(kvHeads === heads, 'kvHeads', `${heads}, its number of heads: GPT-2 does not group its queries`);
      break;
    case 'llama':
      demand(heads % kvHeads === 0, 'kvHeads', `a divisor of its ${heads} heads`);
      demand(
        (channels / heads) % 2 === 0,
        'channels',
        `an even multiple of its ${heads} heads: pairs are rotated`,
      );
      demand(config.ropeTheta > 0, 'ropeTheta', 'a number above 0');
      break;
    default:
      arch satisfies never;
  }
}
