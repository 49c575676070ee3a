/** Run by webgpu.test.ts in a process that finds the software GPU; prints what computed. */
import { createGpuKernels } from '@manyhands/core/kernels';
import { checkParity } from './parity.js';

const kernels = await createGpuKernels({ mode: 'webgpu' });
await checkParity(kernels, 'gpt2-tiny');
console.log(JSON.stringify(kernels.info));
await kernels.dispose();
