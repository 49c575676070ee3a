import { microBatchCount, microBatchSize, parseConfig } from '@manyhands/core/config';
import { createModel, flopsPerToken, parameterCount, resolveModelConfig } from '@manyhands/core/model';
import { memoryNeed } from '../memory.js';
import { vocabularySizes } from '../vocabulary.js';
import { figureOf } from './figure.js';
import { Measuring } from './measuring.js';
import { Team } from './team.js';
import type { BenchCase, BenchEffort, BenchResult } from './types.js';

/** The vocabulary where the preset's tokenizer learns one from the text: nanoGPT's Shakespeare has 65 characters. */
const CHARACTERS = 65;

/** Tokens of a sum beyond which more of them would only take longer. */
const TOKENS_OF_A_SUM = 1024;

/**
 * Measures gradients, matrix products and generation of a preset's model in this process. Training and products take
 * turns, since others may be busy on the machine at any time.
 * @throws RunError where the backend is not available here
 */
export async function measure(bench: BenchCase, { rounds, seconds }: BenchEffort): Promise<BenchResult> {
  const { preset, backend, threads, reproducible } = bench;
  const config = parseConfig({}, preset);
  const { tokenizer } = config.data;
  const named = tokenizer === 'r50k_base' ? vocabularySizes[tokenizer] : CHARACTERS;
  const model = resolveModelConfig({ ...config.model, vocab: config.model.vocab ?? named });
  const microBatch = microBatchSize(config);
  const share = Math.ceil(microBatchCount(config) / threads);
  const fitting = Math.floor(TOKENS_OF_A_SUM / (microBatch * model.context));
  const microBatches = Math.max(1, Math.min(share, fitting));
  const team = await Team.start({ backend, reproducible, model, microBatch, microBatches, seconds }, threads);
  try {
    await team.together('train');
    const residentBytes = process.resourceUsage().maxRSS * 1024;
    await team.together('peak');
    const perToken = flopsPerToken(model);
    const measuring = await Measuring.start(config, model, threads);
    const found: { tokens: number; peak: number; generated: number; measuring: number }[] = [];
    while (found.length < rounds) {
      const before = await team.together('peak');
      const tokens = await team.together('train');
      const after = await team.together('peak');
      const generated = await team.alone('generate');
      const seconds = (config.batch.sequences * model.context) / tokens;
      found.push({
        tokens,
        peak: (before + after) / 2,
        generated,
        measuring: (await measuring.seconds()) / seconds,
      });
    }
    const figure = (of: (round: (typeof found)[number]) => number) => figureOf(found.map(of));
    return {
      ...bench,
      mode: team.info.mode,
      device: team.info.device,
      parameters: parameterCount(model),
      vocab: model.vocab,
      microBatch: [microBatch, model.context],
      tokensPerSecond: figure(({ tokens }) => tokens),
      gflops: figure(({ tokens }) => (tokens * perToken) / 1e9),
      peakGflops: figure(({ peak }) => peak / 1e9),
      mfu: figure(({ tokens, peak }) => (tokens * perToken) / peak),
      measuring: figure(({ measuring }) => measuring),
      generateTokensPerSecond: figure(({ generated }) => generated),
      workspaceBytes: memoryNeed(createModel(model), config, { workers: 1, threads, backend }).workspace,
      residentBytes,
    };
  } finally {
    await team.end();
  }
}
