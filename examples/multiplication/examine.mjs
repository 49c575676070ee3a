import { existsSync } from 'node:fs';
import path from 'node:path';
import { loadModel, readJournal, readRunConfig, resolveModelDirectory } from '@manyhands/core/checkpoint';
import { UserError } from '@manyhands/core/config';
import { openTokenData } from '@manyhands/core/data';
import { generate } from '@manyhands/core/inference';
import { createCpuKernels } from '@manyhands/core/kernels';
import { fromJson } from '@manyhands/tokenizer';
import { pairs, question, ways } from './lines.mjs';

/** Tokens of a split that are read: far more than data.mjs writes. */
const mostTokens = 1 << 23;

/**
 * What a run was taught and what it answers: every pair is asked once, and the likeliest token is taken each time.
 * An answer is right where it equals what data.mjs writes to the last character.
 *
 * @param run the run's directory
 * @param options `best`: the checkpoint of the lowest validation loss instead of the newest
 * @throws UserError for a directory that is missing, holds no run, or a run of other data
 */
export async function examine(run, { best = false } = {}) {
  const directory = resolveModelDirectory(run, { best });
  if (!existsSync(path.join(run, 'data')) || !existsSync(path.join(run, 'config.yaml')))
    throw new UserError(`${run} is no run, which has its config and its data with it: give a run directory.`);
  const { model, weights, weightsSha256, tokenizerJson } = loadModel(directory);
  if (tokenizerJson === null)
    throw new UserError(`${directory} has no tokenizer.json: give a run as it was made.`);
  const config = readRunConfig(run);
  const data = await openTokenData(path.join(run, 'data'));
  try {
    const tokenizer = fromJson(tokenizerJson);
    if (tokenizer.hash !== data.vocabHash)
      throw new UserError(
        `${directory} has another vocabulary than the data of ${run}: give a run directory as it was made.`,
      );
    const taught = linesOf(data, 'train', tokenizer, run);
    const kept = linesOf(data, 'validation', tokenizer, run);
    const way = wayOf([...taught, ...kept], run);
    const kernels = await createCpuKernels();
    const cells = [];
    for (const pair of pairs) {
      const asked = question(pair);
      const answer = ways[way](pair);
      const ids = [data.endOfText, ...tokenizer.encode(asked)];
      const said = await reply({
        kernels,
        model,
        weights,
        ids,
        tokenizer,
        endOfText: data.endOfText,
        most: answer.length + 8,
      });
      cells.push({
        ...pair,
        seen: taught.has(asked + answer),
        kept: kept.has(asked + answer),
        said,
        answer,
        right: said === answer,
      });
    }
    await kernels.dispose();
    return {
      name: run,
      checkpoint: path.basename(directory),
      weightsSha256,
      parameters: model.size,
      config,
      way,
      cells,
      chance: chanceOf(cells),
      curve: readJournal(path.join(run, 'metrics.jsonl'))
        .filter(({ kind }) => kind === 'eval')
        .map(({ step, trainLoss, validationLoss }) => ({ step, trainLoss, validationLoss })),
    };
  } finally {
    data.close();
  }
}

/** Right answers among those to pairs that were seen, or were never seen. */
export function score(cells, seen) {
  const asked = cells.filter((cell) => cell.seen === seen);
  return { right: asked.filter(({ right }) => right).length, asked: asked.length };
}

/** The different documents of a split. */
function linesOf(data, split, tokenizer, run) {
  const lines = new Set();
  for (const [source, { [split]: part }] of data.sources.entries()) {
    if (part.tokens > mostTokens) throw otherData(run);
    const line = [];
    for (const id of data.tokens({ split, source, offset: 0 }, Math.max(0, part.tokens - 1))) {
      if (id !== data.endOfText) line.push(id);
      else lines.add(tokenizer.decode(line.splice(0)));
    }
    if (line.length > 0) lines.add(tokenizer.decode(line));
  }
  return lines;
}

function otherData(run) {
  return new UserError(
    `${run} did not learn from lines of data.mjs: give a run of memory.yaml or rule.yaml.`,
  );
}

/** How the run's lines write a product. */
function wayOf(lines, run) {
  const found = Object.keys(ways).find((way) => {
    const known = new Set(pairs.map((pair) => question(pair) + ways[way](pair)));
    return lines.length > 0 && lines.every((line) => known.has(line));
  });
  if (found === undefined) throw otherData(run);
  return found;
}

async function reply({ kernels, model, weights, ids, tokenizer, endOfText, most }) {
  const said = [];
  for await (const { id } of generate(kernels, model, weights, ids, {
    maxTokens: most,
    temperature: 0,
    endOfText,
  })) {
    if (id !== endOfText) said.push(id);
  }
  return tokenizer.decode(said);
}

/** How often an answer to a pair never seen would be right if it were drawn from those that were taught. */
function chanceOf(cells) {
  const taught = cells.filter(({ seen }) => seen).map(({ x, y }) => x * y);
  const asked = cells.filter(({ seen }) => !seen);
  const hits = asked.map(({ x, y }) => taught.filter((known) => known === x * y).length / taught.length);
  return hits.reduce((sum, hit) => sum + hit, 0) / Math.max(1, asked.length);
}
