import { describe, it } from 'node:test';
import {
  createCpuKernels,
  createGpuKernels,
  createReferenceKernels,
  type Kernels,
} from '@manyhands/core/kernels';
import {
  checkGradients,
  checkGreedy,
  checkInert,
  checkLogits,
  checkTenSteps,
  checkUnequalMicroBatches,
  type Fixture,
  fixtureNames,
  readFixture,
} from './parity.js';

const backends: Record<string, () => Promise<Kernels>> = {
  reference: async () => createReferenceKernels(),
  cpu: () => createCpuKernels(),
  'cpu, reproducible': () => createCpuKernels({ reproducible: true }),
  'gpujs webasm': () => createGpuKernels({ mode: 'webasm' }),
};

const checks: Record<string, (kernels: Kernels, fixture: Fixture) => Promise<void>> = {
  'in its logits': checkLogits,
  'in its loss and every gradient': checkGradients,
  'that the bias of keys has no gradient': checkInert,
  'when the batch is summed from micro-batches of unequal length': checkUnequalMicroBatches,
  'in the losses and weights of ten AdamW steps': checkTenSteps,
  'in what it generates greedily, over the cache': checkGreedy,
};

for (const [backend, create] of Object.entries(backends)) {
  for (const name of fixtureNames) {
    describe(`${name} on ${backend} agrees with PyTorch`, () => {
      const fixture = readFixture(name);
      for (const [what, check] of Object.entries(checks)) {
        it(what, async () => {
          const kernels = await create();
          try {
            await check(kernels, fixture);
          } finally {
            await kernels.dispose();
          }
        });
      }
    });
  }
}
