import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { noSoftwareGpu, softwareGpuEnvironment } from '../gpu/software-gpu.js';

describe('gpt2-tiny on gpujs webgpu', { skip: noSoftwareGpu ?? false }, () => {
  it('agrees with PyTorch in logits, gradients, ten AdamW steps and greedy text', async () => {
    const child = fileURLToPath(new URL('on-webgpu.js', import.meta.url));
    const env = await softwareGpuEnvironment();
    const { stdout } = await promisify(execFile)(process.execPath, [child], { env });
    const info = JSON.parse(stdout);
    assert.equal(info.backend, 'gpujs');
    assert.equal(info.mode, 'webgpu');
  });
});
