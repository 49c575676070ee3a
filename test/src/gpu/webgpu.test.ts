import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { noSoftwareGpu, softwareGpuEnvironment } from './software-gpu.js';

const kernels = import.meta.resolve('@manyhands/core/kernels');

describe('on a GPU, by WebGPU', { skip: noSoftwareGpu ?? false }, () => {
  it('every kernel of the gpujs backend conforms, and runs where it says', async () => {
    await runsOnSoftwareGpu(new URL('gpujs/testing/webgpu.js', kernels));
  });

  it('models train, alone and beside a processor', async () => {
    await runsOnSoftwareGpu(new URL('training.js', import.meta.url));
  });
});

/** Runs a file of tests in a process that finds the software GPU: no test may fail or be skipped, and some must pass. */
async function runsOnSoftwareGpu(file: URL): Promise<void> {
  const { NODE_TEST_CONTEXT: _, ...environment } = await softwareGpuEnvironment();
  const child = spawn(process.execPath, ['--test-reporter=tap', fileURLToPath(file)], { env: environment });
  const exit = new Promise<number | null>((resolve) => child.on('close', resolve));
  const [output, errors, status] = await Promise.all([text(child.stdout), text(child.stderr), exit]);
  const count = (what: string) =>
    Number(new RegExp(`^# ${what} (\\d+)$`, 'm').exec(output)?.[1] ?? Number.NaN);
  const counts = { fail: count('fail'), cancelled: count('cancelled'), skipped: count('skipped') };
  const report = `${output}\n${errors}`;
  assert.deepEqual({ status, ...counts }, { status: 0, fail: 0, cancelled: 0, skipped: 0 }, report);
  assert.ok(count('pass') > 0, report);
}
