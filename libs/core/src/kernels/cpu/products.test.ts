import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { randomStream } from '../../numeric/index.js';
import { KernelError, type Kernels } from '../kernels.js';
import { createCpuKernels } from './cpu-kernels.js';
import { machineKind } from './native/machine-kind.js';
import { nativeLibrary } from './native/onnxruntime.js';

const present = 'version' in nativeLibrary();
const normal = (purpose: number, size: number) => {
  const stream = randomStream(9, purpose);
  return Float32Array.from({ length: size }, () => stream.nextNormal());
};

/** A linear layer and the way back through it, on shapes that fit no tile. */
async function products(kernels: Kernels): Promise<number[]> {
  const [n, k, m] = [37, 53, 71];
  const x = kernels.tensor(normal(1, n * k), [n, k]);
  const weight = kernels.tensor(normal(2, k * m), [k, m]);
  const bias = kernels.tensor(normal(3, m), [m]);
  const gradient = kernels.tensor(normal(4, n * m), [n, m]);
  const out = kernels.linear(x, weight, bias, 'inOut');
  const back = kernels.linearBackward(gradient, x, weight, true, 'inOut');
  const read = await Promise.all([out, back.x, back.weight].map((tensor) => kernels.read(tensor)));
  return read.flatMap((values) => [...values]);
}

const shapes = ['37x71x53 NN row', '37x53x71 NT nothing', '53x71x37 TN nothing'].map(
  (shape) => `product ${shape}`,
);
const all = (engine: string) => shapes.map((shape) => `${shape} ${engine}`).join('\n');

describe('the choice of what multiplies', () => {
  test('is measured once a shape and can be told to another process', async () => {
    const first = await createCpuKernels();
    const values = await products(first);
    const choices = first.choices();
    const lines = choices.split('\n').filter((line) => line !== '');
    if (present)
      assert.deepEqual(lines.map((line) => line.slice(0, line.lastIndexOf(' '))).sort(), [...shapes].sort());
    else assert.deepEqual(lines, []);
    const second = await createCpuKernels({ choices });
    assert.deepEqual(await products(second), values);
    assert.equal(second.choices(), choices);
  });

  test('is not made for shapes that come after it was told: they compute in WebAssembly', async () => {
    const kernels = await createCpuKernels({ choices: '' });
    assert.deepEqual(
      await products(kernels),
      await products(await createCpuKernels({ choices: all('wasm') })),
    );
    assert.equal(kernels.choices(), '');
  });

  test('decides what is computed: every engine gives the same numbers, with a rounding of its own', {
    skip: !present,
  }, async () => {
    const exact = await products(await createCpuKernels({ reproducible: true }));
    const seen = new Set<string>();
    const transposed = all('native').replace('TN nothing native', 'TN nothing transposed');
    for (const choices of [all('native'), transposed, all('wasm')]) {
      const kernels = await createCpuKernels({ choices });
      assert.equal(kernels.choices(), choices);
      const values = await products(kernels);
      for (const [i, value] of values.entries()) {
        assert.ok(Math.abs(value - exact[i]) < 1e-4, `[${i}]: ${value} instead of ${exact[i]}`);
      }
      seen.add(values.join());
    }
    assert.ok(seen.size >= 2, 'native code rounds as WebAssembly does');
  });

  test('of a reproducible run is WebAssembly, whatever is installed', async () => {
    const kernels = await createCpuKernels({ reproducible: true, choices: all('native') });
    assert.deepEqual(await products(kernels), await products(await createCpuKernels({ reproducible: true })));
    assert.equal(kernels.info.reproducible, true);
  });

  test('is refused where it is not what was told', async () => {
    for (const choices of [
      'product 37x71x53 NN row gpu',
      'product 37x71x53 NN row transposed',
      'attention 1x2x3x4x5 transposed',
      'x',
      'product 1x1 NN row wasm',
      'product 37x71x53 NN row native extra',
      'product 1e9x1x1 NN row wasm',
    ]) {
      await assert.rejects(createCpuKernels({ choices }), KernelError);
    }
    await fc.assert(
      fc.asyncProperty(fc.string(), async (choices) => {
        await createCpuKernels({ choices }).catch((error) => assert.ok(error instanceof KernelError));
      }),
      { numRuns: 30 },
    );
  });

  test('holds for machines of one kind', () => {
    assert.equal(machineKind(), machineKind());
    assert.match(machineKind(), /^onnxruntime \S+ [\x20-\x7e]+$/);
    assert.ok(machineKind().length <= 200);
  });
});

describe('head and loss in one', () => {
  test('give the numbers of the logits and their loss, in blocks of rows where the vocabulary is large', async () => {
    const [n, c, v] = [70, 2, 140_000];
    const targets = Int32Array.from({ length: n }, (_, i) => (i % 9 === 0 ? -1 : (i * 3571) % v));
    for (const reproducible of [true, false]) {
      const kernels = await createCpuKernels({ reproducible });
      const x = kernels.tensor(normal(5, n * c), [n, c]);
      const weight = kernels.tensor(normal(6, v * c), [v, c]);
      const wanted = kernels.indices(targets);
      const { program, bytes } = planned(kernels, () => kernels.headLoss(x, weight, wanted, true));
      // A block of logits, perhaps turned once more for a product, and the gradients.
      assert.ok(bytes < 4 * (2 * 64 * v + v * c + 4 * n * c + 4096), `${bytes} bytes`);
      const head = program();
      assert.ok(head.x && head.weight);
      const [losses, dx, dw] = await Promise.all(
        [head.losses, head.x, head.weight].map((tensor) => kernels.read(tensor)),
      );
      const logits = kernels.linear(x, weight, null, 'outIn');
      const whole = kernels.crossEntropy(logits, wanted);
      const ones = kernels.tensor(new Float32Array(n).fill(1), [n]);
      const slopes = kernels.crossEntropyBackward(ones, logits, wanted, whole.logSumExp);
      const back = kernels.linearBackward(slopes, x, weight, false, 'outIn');
      const near = async (values: ArrayLike<number>, expected: Promise<ArrayLike<number>>) => {
        const right = await expected;
        for (let i = 0; i < values.length; i++)
          assert.ok(Math.abs(values[i] - right[i]) < 1e-5, `[${i}]: ${values[i]}, ${right[i]}`);
      };
      await near(losses, kernels.read(whole.losses));
      await near(dx, kernels.read(back.x));
      await near(dw, kernels.read(back.weight));
      await kernels.dispose();
    }
  });
});

function planned<T>(kernels: Kernels, build: () => T): { program: () => T; bytes: number } {
  const program = kernels.compile(build);
  return { program: () => program.run(), bytes: program.bytes };
}
