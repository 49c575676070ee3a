/**
 * A model directory is a Hugging Face model directory: config.json, model.safetensors, generation_config.json
 * and, where there is one, tokenizer.json. `transformers` opens what is written here.
 */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { show, UserError } from '../config/index.js';
import {
  createModel,
  createValueModel,
  fromHuggingFace,
  isLanguageModel,
  type Layout,
  type Model,
  type ModelConfig,
  type Parameter,
  toHuggingFace,
  VALUE_MODEL_TYPE,
  type ValueModel,
  valueFromJson,
  valueToJson,
} from '../model/index.js';
import { sha256 } from '../numeric/index.js';
import { openSafetensors, type SafetensorsFile, safetensorsParts } from './safetensors.js';

export interface LoadedModel<Kind extends Layout = Model> {
  readonly model: Kind;
  /** All weights in one array, each parameter at its offset. */
  readonly weights: Float32Array;
  readonly weightsSha256: string;
  readonly tokenizerJson: string | null;
}

/** sha256 over the float32 weights, little-endian, in the model's parameter order: what two equal runs share. */
export function weightsSha256(weights: Float32Array): string {
  return sha256(weights);
}

/** The files of a model directory by name, each as its bytes in order. */
export function modelFiles(
  model: Model | ValueModel,
  weights: Float32Array,
  tokenizerJson: string | null,
): Map<string, Uint8Array[]> {
  if (weights.length !== model.size)
    throw new RangeError(`${weights.length} weights for ${model.size} places`);
  const tensors = model.parameters.map((parameter) => ({
    name: isLanguageModel(model) ? writtenName(model.config, parameter) : parameter.name,
    shape: parameter.shape,
    data: weights.subarray(parameter.offset, parameter.offset + parameter.size),
  }));
  const tensorFile = ['model.safetensors', safetensorsParts(tensors, { format: 'pt' })] as const;
  if (!isLanguageModel(model)) {
    return new Map([['config.json', [json(valueToJson(model.config))]], tensorFile]);
  }
  const endOfText = tokenizerJson === null ? null : endOfTextId(tokenizerJson);
  const generation = { bos_token_id: endOfText, eos_token_id: endOfText };
  const files = new Map([
    ['config.json', [json({ ...toHuggingFace(model.config), ...generation })]],
    tensorFile,
    ['generation_config.json', [json(generation)]],
  ]);
  if (tokenizerJson !== null) files.set('tokenizer.json', [new TextEncoder().encode(tokenizerJson)]);
  return files;
}

/**
 * Loads a model directory, ours or one saved by `transformers` (gpt2 and llama; float32, float16, bfloat16).
 *
 * @throws UserError that names the file and what is missing or wrong in it
 */
export function loadModel(directory: string): LoadedModel {
  const json = readConfigJson(directory);
  if (isValueModel(json)) {
    throw new UserError(
      `${directory} values positions of a game and knows no tokens: give the directory of a language model.`,
    );
  }
  return loadWeights(directory, createModel(named(directory, () => fromHuggingFace(json))));
}

/**
 * Loads a language model, or one that values positions.
 * @throws UserError that names the file and what is missing or wrong in it
 */
export function loadAnyModel(directory: string): LoadedModel<Model | ValueModel> {
  const json = readConfigJson(directory);
  return isValueModel(json)
    ? loadWeights(directory, createValueModel(named(directory, () => valueFromJson(json))))
    : loadModel(directory);
}

function loadWeights<Kind extends Model | ValueModel>(directory: string, model: Kind): LoadedModel<Kind> {
  const weights = readWeights(join(directory, 'model.safetensors'), model);
  return {
    model,
    weights,
    weightsSha256: weightsSha256(weights),
    tokenizerJson: readTokenizerJson(directory),
  };
}

function isValueModel(json: unknown): boolean {
  return typeof json === 'object' && json !== null && Reflect.get(json, 'model_type') === VALUE_MODEL_TYPE;
}

export function isModelDirectory(directory: string): boolean {
  return existsSync(join(directory, 'config.json'));
}

export function readTokenizerJson(directory: string): string | null {
  const path = join(directory, 'tokenizer.json');
  return existsSync(path) ? readText(path, 1 << 28) : null;
}

function readConfigJson(directory: string): unknown {
  const path = join(directory, 'config.json');
  const text = readText(path, 1 << 20);
  try {
    return JSON.parse(text);
  } catch {
    throw new UserError(`${path} is not JSON.`);
  }
}

/** What is wrong with a config.json, with the directory that it lies in. */
function named<T>(directory: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new UserError(`${directory}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function readWeights(path: string, model: Model | ValueModel): Float32Array {
  if (!existsSync(path) && existsSync(`${path}.index.json`)) {
    throw new UserError(
      `${path} is split into several files: save the model as one with transformers first.`,
    );
  }
  const file = openSafetensors(path);
  try {
    const names = namesInFile(file, model, path);
    const named = model.parameters.map((parameter) => {
      const name = names.get(parameter.name) ?? parameter.name;
      const shape = file.tensors.get(name)?.shape ?? [];
      if (shape.length !== parameter.shape.length || shape.some((side, i) => side !== parameter.shape[i])) {
        throw new UserError(`${path}: ${name} is [${shape}], but config.json makes it [${parameter.shape}].`);
      }
      return { ...parameter, name };
    });
    // Not before config.json is known to ask for no more than the file holds.
    const weights = new Float32Array(model.size);
    for (const { name, offset, size } of named) file.read(name, weights.subarray(offset, offset + size));
    return weights;
  } finally {
    file.close();
  }
}

/** What each parameter is called in the file: the base model and the model with its head are saved differently. */
function namesInFile(file: SafetensorsFile, model: Model | ValueModel, path: string): Map<string, string> {
  const names = new Map<string, string>();
  const spare = new Set(file.tensors.keys());
  for (const { name } of model.parameters) {
    const found = [name, `transformer.${name}`, name.replace(/^model\./, '')].find((known) =>
      spare.delete(known),
    );
    if (found === undefined)
      throw new UserError(`${path} has no tensor ${name}, which config.json asks for.`);
    names.set(name, found);
  }
  for (const name of spare) {
    if (isLanguageModel(model) && model.config.tieEmbeddings && name === 'lm_head.weight') continue; // the embedding once more
    if (/(^|\.)attn\.(masked_)?bias$|rotary_emb\.inv_freq$/.test(name)) continue; // constants, not weights
    throw new UserError(
      `${path} has the tensor ${show(name)}, which a ${model.config.arch} model does not have.`,
    );
  }
  return names;
}

/** transformers takes GPT-2 without its prefix only as long as no lm_head stands beside it. */
function writtenName(config: ModelConfig, { name }: Parameter): string {
  const prefixed = config.arch === 'gpt2' && !config.tieEmbeddings && name !== 'lm_head.weight';
  return prefixed ? `transformer.${name}` : name;
}

const addedTokens = z.object({
  added_tokens: z.array(z.object({ id: z.int().min(0), content: z.string() })),
});

/** The id of the special token <|endoftext|> in a tokenizer.json, where transformers should stop generating. */
function endOfTextId(tokenizerJson: string): number | null {
  const parsed = addedTokens.safeParse(JSON.parse(tokenizerJson));
  const token = parsed.data?.added_tokens.find(({ content }) => content === '<|endoftext|>');
  return token?.id ?? null;
}

function json(value: unknown): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`);
}

function readText(path: string, maximumBytes: number): string {
  try {
    const { size } = statSync(path);
    if (size > maximumBytes) throw new UserError(`${path} has ${size} bytes, more than ${maximumBytes}.`);
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof UserError) throw error;
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    throw new UserError(`${path} cannot be read (${code === 'ENOENT' ? 'no such file' : code}).`);
  }
}
