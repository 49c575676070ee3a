import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createReferenceKernels } from '../kernels/index.js';
import { createModel, initialWeights, resolveModelConfig } from '../model/index.js';
import { generate, longestRecital, recite, reciteBy } from './index.js';

const kernels = createReferenceKernels();

const shared = { layers: 2, heads: 2, channels: 8, context: 7, vocab: 11, dropout: 0 };
const models = {
  gpt2: createModel(resolveModelConfig({ ...shared, arch: 'gpt2', kvHeads: 2, tieEmbeddings: true })),
  llama: createModel(resolveModelConfig({ ...shared, arch: 'llama', kvHeads: 1, tieEmbeddings: false })),
};

/** What the model itself writes after a beginning, token by token. */
async function continued(
  name: keyof typeof models,
  seed: number,
  beginning: readonly number[],
  count: number,
) {
  const model = models[name];
  const weights = initialWeights(model, seed);
  const ids: number[] = [...beginning];
  const options = { maxTokens: count, temperature: 0 };
  for await (const { id } of generate(kernels, model, weights, beginning, options)) ids.push(id);
  return { model, weights, ids };
}

for (const name of ['gpt2', 'llama'] as const) {
  test(`${name}: what comes out word for word is what generating token by token would give`, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(fc.nat(10), { minLength: 4, maxLength: 4 }), { minLength: 1, maxLength: 5 }),
        fc.nat(99),
        fc.array(fc.nat(3), { minLength: 5, maxLength: 5 }),
        async (beginnings, seed, spoilt) => {
          const windows: Int32Array[] = [];
          let verbatim = 0;
          for (const [index, beginning] of beginnings.entries()) {
            const { ids } = await continued(name, seed, beginning, 4);
            // Some texts differ from what the model would write, in one token.
            const place = spoilt[index];
            if (place > 0) ids[8 - place] = (ids[8 - place] + 1) % 11;
            else verbatim += 1;
            windows.push(Int32Array.from(ids));
          }
          const { model, weights } = await continued(name, seed, [1], 0);
          const found = await recite(kernels, model, weights, windows);
          assert.deepEqual([found.windows, found.verbatim], [windows.length, verbatim]);
          assert.equal(found.tokens, 4 * windows.length);
          assert.ok(found.right >= 4 * verbatim && found.right <= found.tokens);
        },
      ),
      { numRuns: 20 },
    );
  });
}

test('a table of followers recites its own walk and nothing else', async () => {
  const next = [1, 2, 3, 0, -1];
  const windows = [Int32Array.of(0, 1, 2, 3), Int32Array.of(9, 0, 1, 3), Int32Array.of(0, 4, 0, 1)];
  const { windows: tried, verbatim, tokens, right } = await reciteBy(next, windows);
  assert.deepEqual({ tried, verbatim, tokens, right }, { tried: 3, verbatim: 1, tokens: 6, right: 4 });
});

test('half a context is recited, 32 tokens at most', () => {
  assert.deepEqual([1, 7, 16, 63, 64, 1024].map(longestRecital), [1, 4, 8, 32, 32, 32]);
});
