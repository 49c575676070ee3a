import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { installedLibraries } from '../foreign.js';
import { createGpuKernels } from '../index.js';
import { holdsInMode, withKernels } from './modes.js';

// No test file by its name: test/src/gpu runs it in a process of its own, which finds the software GPU.

holdsInMode('webgpu');

describe('the software GPU', () => {
  it('is what answers', () =>
    withKernels('webgpu', async ({ info }) => {
      assert.match(info.device, /SwiftShader/);
    }));

  it('is given back with the last of the kernels that share it', async () => {
    const [one, other] = [
      await createGpuKernels({ mode: 'webgpu' }),
      await createGpuKernels({ mode: 'webgpu' }),
    ];
    const device = await sharedDevice();
    await one.dispose();
    assert.deepEqual(await other.read(other.zeros([1])), new Float32Array(1));
    await other.dispose();
    assert.equal((await device.lost).reason, 'destroyed');
  });

  it('has no more memory taken after a release than before, however much was computed', () =>
    withKernels('webgpu', async (kernels) => {
      const weights = kernels.tensor(new Float32Array(4_000), [10, 400]);
      const memory = countBytes(await sharedDevice());
      const bytesAfter = async (additions: number) => {
        const mark = kernels.mark();
        let sum = weights;
        for (let i = 0; i < additions; i++) sum = kernels.add(sum, weights);
        await kernels.read(sum);
        const peak = memory.bytes;
        kernels.release(mark);
        await kernels.read(weights);
        return { peak, after: memory.bytes };
      };
      const few = await bytesAfter(5);
      const many = await bytesAfter(50);
      assert.equal(many.after, few.after);
      assert.ok(many.peak >= many.after + 49 * 16_000, `${many.peak} bytes at most, ${many.after} after`);
    }));

  it('is heard where it refuses a command, which WebGPU itself answers with zeros', () =>
    withKernels('webgpu', async (kernels) => {
      const zeros = kernels.zeros([2]);
      (await sharedDevice()).createBuffer({ size: 2 ** 45, usage: 128 });
      await assert.rejects(kernels.read(zeros), {
        name: 'KernelError',
        message: /^the GPU refused a command: .*exceeds the max buffer size/,
      });
    }));
});

interface Buffer {
  readonly size: number;
  destroy(): void;
}

interface GpuDevice {
  readonly lost: Promise<{ readonly reason: string }>;
  createBuffer(description: { size: number; usage: number }): Buffer;
}

/** The one WebGPU device of this thread, which gpu.js shares among all its kernels. */
async function sharedDevice(): Promise<GpuDevice> {
  const { default: gpuJs } = await installedLibraries.gpuJs();
  const context: object = await gpuJs.WebGPUContext.acquire();
  return Reflect.get(context, 'device');
}

/** Counts what is allocated from now on and not destroyed. */
function countBytes(device: GpuDevice): { readonly bytes: number } {
  const memory = { bytes: 0 };
  const create = device.createBuffer.bind(device);
  device.createBuffer = (description) => {
    const buffer = create(description);
    const destroy = buffer.destroy.bind(buffer);
    memory.bytes += description.size;
    buffer.destroy = () => {
      memory.bytes -= description.size;
      buffer.destroy = destroy;
      destroy();
    };
    return buffer;
  };
  return memory;
}
