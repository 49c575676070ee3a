import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { installedLibraries } from '../foreign.js';
import { createGpuKernels } from '../index.js';
import { holdsInMode } from './modes.js';
import { noise } from './programs.js';
import { withKernels } from './with-kernels.js';

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
      assert.ok(many.after < few.after + 16_000, 'no sum is left, only small buffers for the next calls');
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

describe('a program on the software GPU', () => {
  it('is one submission, and reads nothing back that nobody asks for', () =>
    withKernels('webgpu', async (kernels) => {
      const x = kernels.tensor(noise(64, 1), [8, 8]);
      const total = kernels.zeros([8, 8]);
      const program = kernels.compile(() => {
        let sum = kernels.linear(x, x, null, 'inOut');
        for (let i = 0; i < 10; i++) sum = kernels.activation(sum, 'gelu');
        kernels.accumulate(total, sum);
        return kernels.rows(sum, 0, 1);
      });
      await kernels.read(program.run());
      const counts = countCommands(await sharedDevice());
      program.run();
      await kernels.read(total);
      assert.deepEqual(counts, { submissions: 1, readBacks: 1, buffers: 1 });
    }));

  it('shares its memory with programs that run at other times', () =>
    withKernels('webgpu', async (kernels) => {
      const x = kernels.tensor(noise(4_000, 1), [10, 400]);
      const chain = (length: number) => () => {
        let sum = x;
        for (let i = 0; i < length; i++) sum = kernels.add(sum, x);
        return sum;
      };
      const long = kernels.compile(chain(50));
      assert.equal(long.bytes, 2 * 16_000, 'each sum takes the place of the one before the last');
      await kernels.read(long.run());
      const memory = countBytes(await sharedDevice());
      const short = kernels.compile(chain(20));
      await kernels.read(short.run());
      assert.ok(memory.bytes < 16_000, `${memory.bytes} bytes more`);
    }));
});

interface Buffer {
  readonly size: number;
  destroy(): void;
}

interface GpuDevice {
  readonly lost: Promise<{ readonly reason: string }>;
  readonly queue: { submit(commands: object[]): void };
  createBuffer(description: { size: number; usage: number }): Buffer;
}

/** The one WebGPU device of this thread, which gpu.js shares among all its kernels. */
async function sharedDevice(): Promise<GpuDevice> {
  const { default: gpuJs } = await installedLibraries.gpuJs();
  const context: object = await gpuJs.WebGPUContext.acquire();
  return Reflect.get(context, 'device');
}

/** Counts what is handed to the GPU and what comes back from now on; a buffer for reading back is mapped once. */
function countCommands(device: GpuDevice) {
  const counts = { submissions: 0, readBacks: 0, buffers: 0 };
  const { createBuffer, queue } = device;
  const { submit } = queue;
  device.createBuffer = (description) => {
    counts.buffers += 1;
    if ((description.usage & 1) !== 0) counts.readBacks += 1;
    return createBuffer.call(device, description);
  };
  Object.getPrototypeOf(queue).submit = function counted(this: object, commands: object[]) {
    counts.submissions += 1;
    submit.call(this, commands);
  };
  return counts;
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
