import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Network } from '../chaos/network.js';
import { manyhands, start } from '../cli/command-line.js';
import { sampleText, temporaryFolder } from './cluster.js';

/* A run is found on a network, by the commands that people type. */

const folder = temporaryFolder(after);
writeFileSync(join(folder, 'text.txt'), sampleText(20_000));
const config = join(folder, 'run.yaml');
writeFileSync(
  config,
  `model: { layers: 1, heads: 2, channels: 32, context: 32 }
data: { sources: [{ path: ${join(folder, 'text.txt')}, weight: 1 }], tokenizer: char }
run: { steps: 2, evalEvery: 0 }
`,
);

test('a worker of another machine joins by the token alone', {
  skip: Network.missing() ?? false,
}, async (context) => {
  const network = new Network(1);
  context.after(() => network.close());
  const [ip, ...route] = [...network.withinWorker(0), 'ip', 'route', 'add', 'default', 'dev', 'e0'];
  assert.equal(spawnSync(ip, route).status, 0);
  const out = join(folder, 'run');
  const coordinator = start(
    ['coordinator', '--config', config, '--out', out, '--listen', `${network.address}:0`, '--discover'],
    { within: network.withinCoordinator },
  );
  await coordinator.said(/listening on/);
  const { token } = JSON.parse(readFileSync(join(out, 'join-token'), 'utf8'));
  const worker = start(['worker', '--discover', '--threads', '1'], {
    within: network.withinWorker(0),
    env: { MANYHANDS_JOIN: token },
  });
  const ends = await Promise.all([worker.ended, coordinator.ended]);
  for (const { status, stderr } of ends) {
    assert.equal(status, 0, stderr);
    assert.ok(!stderr.includes(token), stderr);
  }
  assert.match(ends[0].stderr, /looking for the run on this network\nconnecting to 10\.213\.77\.1:\d+\n/);
});

test('what cannot be found or announced is said in a sentence', async () => {
  const plain = ['coordinator', '--config', config, '--out', join(folder, 'plain'), '--discover'];
  for (const [args, complaint] of [
    [[...plain, '--listen', '127.0.0.1:0'], /--discover needs TLS, which 127\.0\.0\.1:0 has not/],
    [['worker', '--discover'], /--join is missing/],
    [['worker', '--discover', '--join', 'a token'], /--discover: the join URL cannot be read/],
  ] as const) {
    const { status, stderr } = await manyhands(args);
    assert.equal(status, 2, stderr);
    assert.match(stderr, complaint);
  }
});
