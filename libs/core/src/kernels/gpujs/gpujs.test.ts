import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type GpuJs, installedLibraries, type Libraries } from './foreign.js';
import { GpuKernels } from './gpu-kernels.js';
import { holdsInMode } from './testing/modes.js';

holdsInMode('webasm');
holdsInMode('cpu');

describe('gpu.js that is not all there', () => {
  const absent = () => Promise.reject(new Error("Cannot find package 'x'"));

  it('names the package that is missing', async () => {
    await assert.rejects(GpuKernels.create('webasm', { ...installedLibraries, gpuJs: absent }), {
      name: 'KernelError',
      message: /needs the npm package gpu\.js, which cannot be loaded: .*Cannot find package 'x'/,
    });
    await assert.rejects(GpuKernels.create('webgpu', { ...installedLibraries, webGpu: absent }), {
      name: 'KernelError',
      message: /mode webgpu needs the npm package webgpu/,
    });
  });

  it('says that no GPU answered where webgpu is asked for, and takes webasm where nothing is', async () => {
    const libraries: Libraries = {
      ...installedLibraries,
      webGpu: async () => ({ create: () => ({ requestAdapter: async () => null }) }),
    };
    await assert.rejects(GpuKernels.create('webgpu', libraries), {
      name: 'KernelError',
      message: /mode webgpu needs a GPU .* and none answered/,
    });
    const kernels = await GpuKernels.create(undefined, libraries);
    assert.equal(kernels.info.mode, 'webasm');
    await kernels.dispose();
  });

  it('refuses a result that gpu.js computed in another mode than asked for', async () => {
    const { default: real } = await installedLibraries.gpuJs();
    const degrading: GpuJs = {
      ...real,
      GPU: class extends real.GPU {
        constructor() {
          super({ mode: 'cpu' });
        }
      },
    };
    const kernels = await GpuKernels.create('webasm', {
      ...installedLibraries,
      gpuJs: async () => ({ default: degrading }),
    });
    const ones = kernels.zeros([2]);
    await assert.rejects(kernels.read(kernels.add(ones, ones)), {
      name: 'KernelError',
      message: 'kernel sum ran in mode cpu instead of webasm (no reason given)',
    });
    await kernels.dispose();
  });
});
