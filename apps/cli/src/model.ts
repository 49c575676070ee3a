import { type LoadedModel, loadAnyModel, loadModel, resolveModelDirectory } from '@manyhands/core/checkpoint';
import { UserError } from '@manyhands/core/config';
import type { Model } from '@manyhands/core/model';
import type { Task } from '@manyhands/tasks';
import { fromJson, type Tokenizer } from '@manyhands/tokenizer';
import type { Picture } from './explain/page/picture.js';
import { note } from './output.js';

/** A model as a command opened it: the directory that it was really read from stands beside it. */
export interface OpenModel extends LoadedModel {
  readonly directory: string;
}

/** As `openModel`, whatever the task was that the model learned. */
export function openAnyModel(
  path: string,
  options: { readonly best?: boolean | undefined },
): LoadedModel<Task['model']> & { readonly directory: string } {
  const directory = resolveModelDirectory(path, { best: options.best ?? false, warn: note });
  return { ...loadAnyModel(directory), directory };
}

/** What a page says of a model. */
export function sizesOf({ config, size }: Model): Picture['model'] {
  const { arch, layers, heads, channels, context, vocab } = config;
  return { arch, layers, heads, channels, context, vocab, parameters: size };
}

/**
 * Opens what `--model` names: a model directory, or of a run its newest whole or its best checkpoint.
 * @throws UserError that names what is missing or damaged
 */
export function openModel(path: string, options: { readonly best?: boolean | undefined }): OpenModel {
  const directory = resolveModelDirectory(path, { best: options.best ?? false, warn: note });
  return { ...loadModel(directory), directory };
}

/**
 * The tokenizer that a model was trained with.
 * @throws UserError where the directory has none, or one whose tokens the model does not have
 */
export function tokenizerOf({ directory, tokenizerJson, model }: OpenModel): Tokenizer {
  if (tokenizerJson === null) {
    throw new UserError(
      `${directory} has no tokenizer.json: put the one that the model was trained with there.`,
    );
  }
  const tokenizer = fromJson(tokenizerJson);
  const { vocab } = model.config;
  if (tokenizer.vocabSize > vocab) {
    throw new UserError(
      `${directory}/tokenizer.json has ${tokenizer.vocabSize} tokens, but the model has ${vocab}: it belongs to another model.`,
    );
  }
  return tokenizer;
}
