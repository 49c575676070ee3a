import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { manyhands, temporaryFolder, tiny } from './command-line.js';

/** Makes Node find no onnxruntime, in every process and thread that gets these options. */
const WITHOUT = `
const Module = require('node:module');
const resolve = Module._resolveFilename;
Module._resolveFilename = function (name, ...rest) {
  if (!name.startsWith('onnxruntime')) return resolve.call(this, name, ...rest);
  throw Object.assign(new Error("Cannot find module '" + name + "'"), { code: 'MODULE_NOT_FOUND' });
};`;

function workplace(context: TestContext) {
  const folder = temporaryFolder(context);
  writeFileSync(path.join(folder, 'without.cjs'), WITHOUT);
  writeFileSync(path.join(folder, 'text.txt'), 'with or without the library of others\n'.repeat(200));
  const without = { NODE_OPTIONS: `--require ${path.join(folder, 'without.cjs')}` };
  const train = (out: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) =>
    manyhands(['train', '--data', 'text.txt', '--steps', '3', '--out', out, ...tiny, ...args], {
      cwd: folder,
      env,
    });
  return { folder, without, train };
}

const shaOf = (stdout: string) => /weights sha256 ([0-9a-f]{64})/.exec(stdout)?.[1] ?? assert.fail(stdout);

test('without the native library, doctor says how to come by it and train says so once', async (context) => {
  const { folder, without, train } = workplace(context);
  const report = JSON.parse((await manyhands(['doctor', '--json'], { cwd: folder, env: without })).stdout);
  assert.match(report.nativeLibrary.missing, /^onnxruntime-node .*is not installed$/);
  assert.doesNotMatch(report.cpu.mode, /native/);
  const words = await manyhands(['doctor'], { cwd: folder, env: without });
  assert.match(
    words.stdout,
    /native library +onnxruntime-node .*is not installed; `npm install onnxruntime-node/,
  );

  const { status, stderr } = await train('run', ['--workers', '2'], without);
  assert.equal(status, 0, stderr);
  assert.equal(stderr.match(/onnxruntime-node .*is not installed/g)?.length, 1, stderr);
});

test('a reproducible run says that it leaves the library out, and has the same weights without it', async (context) => {
  const { without, train } = workplace(context);
  const [there, missing] = [
    await train('a', ['--reproducible']),
    await train('b', ['--reproducible'], without),
  ];
  for (const { status, stderr } of [there, missing]) {
    assert.equal(status, 0, stderr);
    assert.match(stderr, /^reproducible: matrix products in WebAssembly alone/m);
  }
  assert.equal(shaOf(there.stdout), shaOf(missing.stdout));
});
