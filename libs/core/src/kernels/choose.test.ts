import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { chooseBetween, createKernels, type Trial } from './choose.js';
import { cacheFolder } from './choose-cache.js';
import { createCpuKernels } from './cpu/cpu-kernels.js';
import { createGpuKernels } from './gpujs/index.js';
import { KernelError, type Kernels } from './kernels.js';

const folder = mkdtempSync(join(tmpdir(), 'manyhands-choose-'));
after(() => rmSync(folder, { recursive: true }));

test('a backend that is asked for by name is the one that comes', async () => {
  const { kernels, reason } = await createKernels('cpu', { maximumBytes: 2 ** 24 });
  assert.equal(kernels.info.backend, 'cpu');
  assert.match(reason, /^asked for$/);
  assert.throws(() => kernels.zeros([2 ** 23]), /may use 17 MB/, 'with its options');
});

test('auto takes a backend that computes, and says why', async () => {
  const { kernels, reason } = await createKernels('auto');
  const x = kernels.tensor(Float32Array.of(1, 2), [1, 2]);
  const out = kernels.linear(x, kernels.tensor(Float32Array.of(3, 4), [2, 1]), null, 'inOut');
  assert.deepEqual([...(await kernels.read(out))], [11]);
  assert.match(reason, /no GPU answers|of a small layer|the GPU failed/);
  await kernels.dispose();
});

test('auto keeps to a reproducible backend where the run has to be, and tries nothing', async () => {
  const trial = { key: 'model', measure: () => assert.fail('measured') };
  const { kernels } = await createKernels('auto', { reproducible: true, trial });
  assert.ok(kernels.info.reproducible);
});

describe('the choice between a processor and a GPU', () => {
  /** gpu.js without a GPU stands in for one. `speeds`: what is measured of cpu and gpujs. */
  async function choose(key: string, speeds: readonly [number, number], place = folder) {
    const [cpu, gpu] = [await createCpuKernels(), await createGpuKernels({ mode: 'webasm' })];
    const tried: Kernels[] = [];
    const trial: Trial = {
      key,
      async measure(kernels) {
        tried.push(kernels);
        kernels.zeros([3]);
        return speeds[kernels === gpu ? 1 : 0];
      },
    };
    const { kernels, reason } = await chooseBetween(cpu, gpu, trial, place);
    if (kernels === cpu) assert.throws(() => gpu.zeros([1]), /disposed/);
    const { device } = gpu.info;
    return { backend: kernels.info.backend, reason: reason.replace(device, 'NAME'), tried: tried.length };
  }

  test('falls on the faster one, in words, and is remembered', async () => {
    assert.deepEqual(await choose('faster', [6400.4, 12_000]), {
      backend: 'gpujs',
      reason: 'gpujs (webasm, NAME) 12,000 tokens/s, cpu 6,400: takes gpujs',
      tried: 2,
    });
    assert.deepEqual(await choose('faster', [1, 1]), {
      backend: 'gpujs',
      reason: 'gpujs (webasm, NAME) 12,000 tokens/s, cpu 6,400, measured before: takes gpujs',
      tried: 0,
    });
    const { backend, tried } = await choose('slower', [6400, 100]);
    assert.deepEqual({ backend, tried }, { backend: 'cpu', tried: 2 }, 'another model is another trial');
  });

  test('is measured again where what was kept is damaged, foreign or out of reach', async () => {
    const place = join(folder, 'damaged');
    await choose('model', [1, 2], place);
    const [name] = readdirSync(place);
    const file = join(place, name);
    const entry: object = JSON.parse(readFileSync(file, 'utf8'));
    const contents = [
      '',
      'null',
      '[1]',
      '{"key":',
      JSON.stringify({ ...entry, key: 'of another' }),
      JSON.stringify({ ...entry, cpu: '1' }),
      JSON.stringify({ ...entry, gpujs: -1 }),
      JSON.stringify({ ...entry, cpu: null }),
      `${JSON.stringify(entry)}${' '.repeat(100_000)}`,
    ];
    for (const content of contents) {
      writeFileSync(file, content);
      const { backend, tried } = await choose('model', [4, 3], place);
      assert.deepEqual({ backend, tried }, { backend: 'cpu', tried: 2 }, content.slice(0, 60));
    }
    assert.deepEqual(readdirSync(place), [name], 'and nothing unfinished is left');
    writeFileSync(join(folder, 'a-file'), '');
    assert.equal((await choose('model', [4, 3], join(folder, 'a-file', 'below'))).backend, 'cpu');
  });

  test('falls on the processor where the GPU fails, and on an error of the trial itself on none', async () => {
    const kernels = async () =>
      [await createCpuKernels(), await createGpuKernels({ mode: 'webasm' })] as const;
    const [cpu, gpu] = await kernels();
    const failing = async (it: Kernels) => {
      if (it === gpu) throw new KernelError('the GPU refused a command');
      return 1;
    };
    const chosen = await chooseBetween(cpu, gpu, { key: 'fails', measure: failing }, folder);
    assert.equal(chosen.kernels, cpu);
    assert.equal(chosen.reason, 'the GPU failed in a trial (the GPU refused a command)');
    const wrong = { key: 'wrong', measure: () => Promise.reject(new TypeError('a bug')) };
    await assert.rejects(chooseBetween(...(await kernels()), wrong, folder), TypeError);
  });

  test('is kept where the user keeps caches', () => {
    const { XDG_CACHE_HOME, HOME } = process.env;
    process.env.XDG_CACHE_HOME = '/caches';
    process.env.HOME = '/home/somebody';
    assert.equal(cacheFolder(), join('/caches', 'manyhands', 'backends'));
    process.env.XDG_CACHE_HOME = 'relative';
    assert.equal(cacheFolder(), join('/home/somebody', '.cache', 'manyhands', 'backends'));
    Object.assign(process.env, { XDG_CACHE_HOME, HOME });
    if (XDG_CACHE_HOME === undefined) delete process.env.XDG_CACHE_HOME;
  });
});
