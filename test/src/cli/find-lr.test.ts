import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { sampleText } from '../cluster/cluster.js';
import { manyhands, start, temporaryFolder, tiny } from './command-line.js';

const folder = temporaryFolder({ after });
writeFileSync(path.join(folder, 'text.txt'), sampleText(20_000));
writeFileSync(
  path.join(folder, 'run.yaml'),
  `model: {layers: 1, channels: 16, heads: 2, context: 16}
data: {sources: text.txt}
batch: {sequences: 8}
run: {steps: 150, seed: 7, reproducible: true}
cluster: {listen: "127.0.0.1:0"}
`,
);
const temporary = path.join(folder, 'temporary');
mkdirSync(temporary);
const place = { cwd: folder, env: { TMPDIR: temporary } };
const config = ['--config', 'run.yaml'];
const before = readdirSync(folder);

const found = await manyhands(['train', ...config, '--find-lr', '--threads', '1'], place);
const proposal = Number(/^optimizer\.lr ([\d.e-]+): /m.exec(found.stdout)?.[1]);

/** A native library may leave files of its own. */
const leftovers = () => readdirSync(temporary).filter((name) => name.startsWith('manyhands'));

function nothingIsLeft() {
  assert.deepEqual(leftovers(), []);
  assert.deepEqual(readdirSync(folder), before);
}

test('train --find-lr proposes a rate with its reasons and a plot, and leaves nothing behind', () => {
  assert.equal(found.status, 0, found.stderr);
  const sentence =
    /^optimizer\.lr \S+: the loss keeps falling from \S+ up to there, fastest at \S+, and it diverged at \S+ \(the config has 0\.001\)$/m;
  assert.match(found.stdout, sentence);
  assert.match(found.stdout, new RegExp(`^ *▲ ${proposal}$`, 'm'));
  assert.ok(found.stdout.split('●').length > 30);
  assert.match(found.stdout, new RegExp(`--set optimizer\\.lr=${proposal} `));
  assert.doesNotMatch(found.stderr, /warning|diverged/, 'that it diverges is no trouble');
  nothingIsLeft();
});

test('the proposed rate learns more than one that is 30 times higher or lower', async () => {
  const lossAt = async (lr: number) => {
    const out = `at-${lr}`;
    const set = ['--set', `optimizer.lr=${lr}`];
    const { stdout, stderr } = await manyhands(['train', ...config, ...set, '--out', out], place);
    return Number(/validation loss ([\d.]+)/.exec(stdout)?.[1] ?? assert.fail(stderr));
  };
  const [low, right, high] = [
    await lossAt(proposal / 30),
    await lossAt(proposal),
    await lossAt(proposal * 30),
  ];
  assert.ok(right + 0.1 < low && right + 0.1 < high, `${low} ${right} ${high}`);
});

test('asked again, of two workers, and of a cluster, the answer is the same to the last character', async () => {
  const [again, cluster] = [
    await manyhands(
      ['train', ...config, '--find-lr', '--workers', '2', '--threads', '1', '--plot', 'curve.svg'],
      place,
    ),
    start(['coordinator', ...config, '--find-lr'], place),
  ];
  assert.equal(again.stdout, found.stdout, again.stderr);
  const join = await new Promise<string>((resolve) => {
    let text = '';
    cluster.child.stdout?.on('data', (chunk: string) => {
      text += chunk;
      const [, url] = /^manyhands worker --join '?([^\s']+)'?\n/.exec(text) ?? [];
      if (url !== undefined) resolve(url);
    });
  });
  const worker = await manyhands(['worker', '--join', join, '--threads', '1', '--backend', 'cpu'], place);
  const { status, stderr, stdout } = await cluster.ended;
  assert.equal(status, 0, stderr);
  assert.ok(stdout.endsWith(found.stdout), stdout);
  assert.equal(worker.status, 0, worker.stderr);
  assert.deepEqual(leftovers(), []);
});

test('--plot draws the same as SVG: every step, the range and the proposal', () => {
  const svg = readFileSync(path.join(folder, 'curve.svg'), 'utf8');
  assert.ok(svg.startsWith('<svg xmlns="http://www.w3.org/2000/svg"') && svg.endsWith('</svg>\n'));
  const [, steps] = />(\d+) steps, diverged at [\d.e-]+</.exec(svg) ?? assert.fail(svg.slice(0, 2000));
  const dots = [
    ...svg.matchAll(/<circle cx="([\d.]+)" cy="([\d.]+)"[^>]*><title>rate (\S+), loss (\S+)<\/title>/g),
  ];
  assert.equal(dots.length, Number(steps) - 1);
  const across = dots.map(([, cx]) => Number(cx));
  assert.deepEqual(
    across,
    across.toSorted((a, b) => a - b),
  );
  // Where two losses differ, the lower one is drawn lower.
  const [first, lowest] = [dots[0], dots.reduce((a, b) => (Number(b[4]) < Number(a[4]) ? b : a))];
  assert.ok(Number(lowest[2]) > Number(first[2]));
  const [, at] = /<line class="rate" x1="([\d.]+)"/.exec(svg) ?? assert.fail();
  const [near] = dots.toSorted(
    (a, b) => Math.abs(Number(a[1]) - Number(at)) - Math.abs(Number(b[1]) - Number(at)),
  );
  assert.ok(Math.abs(Math.log(Number(near[3]) / proposal)) < 0.1, `${near[3]} is where ${proposal} is drawn`);
  assert.doesNotMatch(svg, /NaN|Infinity|undefined/);
  rmSync(path.join(folder, 'curve.svg'));
});

test('interrupted, it leaves nothing behind either', async () => {
  const running = start(['train', ...config, '--find-lr', '--threads', '1'], place);
  await running.said(/step 1\/160/);
  running.child.kill('SIGINT');
  const { status, stdout } = await running.ended;
  assert.deepEqual([status, stdout], [130, '']);
  assert.deepEqual(leftovers(), []);
});

for (const [options, option] of [
  [['--resume', '--out', 'at'], '--resume'],
  [['--trace', 'trace.json'], '--trace'],
  [['--dry-run'], '--dry-run'],
  [['--plot', 'no/such/curve.svg'], '--plot'],
  [['--plot', '.'], '--plot'],
] as const) {
  test(`${option} beside --find-lr is refused in a sentence`, async () => {
    const { status, stderr } = await manyhands(['train', ...config, '--find-lr', ...options], place);
    assert.equal(status, 2, stderr);
    assert.match(stderr, new RegExp(`^manyhands: [^\\n]*${option}[^\\n]*\\.\\n$`));
  });
}

test('--plot without --find-lr is refused in a sentence, of a run here and of a cluster', async () => {
  for (const command of ['train', 'coordinator']) {
    const { status, stderr } = await manyhands([command, ...config, '--plot', 'curve.svg'], place);
    assert.equal(status, 2, stderr);
    assert.equal(stderr, 'manyhands: --plot draws what --find-lr finds: give --find-lr too.\n');
  }
});

test('data of which nothing can be learned are no reason for a proposal', async () => {
  writeFileSync(path.join(folder, 'same.txt'), 'a'.repeat(5000));
  const args = ['train', '--data', 'same.txt', '--find-lr', ...tiny];
  const { status, stderr } = await manyhands(args, place);
  assert.equal(status, 1, stderr);
  assert.match(
    stderr,
    /^manyhands: No learning rate can be proposed: in \d+ steps none made the loss fall surely/m,
  );
});
