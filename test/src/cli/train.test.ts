import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { manyhands, start, temporaryFolder, tiny } from './command-line.js';

/** Processes are found in /proc. A hang is a failure after two minutes. */
const onLinux = { skip: existsSync('/proc/self/stat') ? false : 'there is no /proc', timeout: 120_000 };

/** A folder with a text, and the options of a run on it. */
function workplace(context: Parameters<typeof temporaryFolder>[0], steps: number) {
  const folder = temporaryFolder(context);
  const lines = Array.from(
    { length: 400 },
    (_, i) => `line ${i}: the ${i % 7} hands of ${i % 11} machines\n`,
  );
  writeFileSync(path.join(folder, 'text.txt'), lines.join(''));
  const args = [
    'train',
    '--data',
    'text.txt',
    '--steps',
    String(steps),
    '--out',
    'run',
    '--seed',
    '5',
    ...tiny,
  ];
  return { folder, args };
}

function shaOf(stdout: string): string {
  return /weights sha256 ([0-9a-f]{64})/.exec(stdout)?.[1] ?? assert.fail(`no hash in ${stdout}`);
}

function jsonLines(file: string): Record<string, unknown>[] {
  return readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}

test('train with two workers leaves a run that inspect, generate, eval and explain read', async (context) => {
  const { folder, args } = workplace(context, 6);
  const every = ['--set', 'run.evalEvery=3', '--set', 'run.checkpointEvery=3'];
  const trained = await manyhands([...args, '--workers', '2', ...every], { cwd: folder });
  assert.equal(trained.status, 0, trained.stderr);
  const sha = shaOf(trained.stdout);
  assert.match(trained.stderr, /validation loss \d/);
  assert.match(
    trained.stderr,
    /^this needs [\d.]+ MB for each of 2 threads and [\d.]+ MB for the coordinator, /m,
  );

  const inspected = JSON.parse((await manyhands(['inspect', 'run', '--json'], { cwd: folder })).stdout);
  assert.equal(inspected.weightsSha256, sha);
  assert.equal(inspected.step, 6);
  assert.deepEqual(inspected.checkpoints, [6, 3]);
  assert.ok(inspected.memoryBytes.thread > 0 && inspected.memoryBytes.coordinator > 0);

  const metrics = jsonLines(path.join(folder, 'run/metrics.jsonl'));
  const steps = metrics.filter(({ kind }) => kind === 'train').map(({ step }) => step);
  assert.deepEqual(steps, [1, 2, 3, 4, 5, 6]);

  const generate = [
    'generate',
    '--model',
    'run',
    '--prompt',
    'line',
    '--max-tokens',
    '12',
    '--json',
    '--seed',
    '3',
  ];
  const first = JSON.parse((await manyhands(generate, { cwd: folder })).stdout);
  const again = JSON.parse((await manyhands(generate, { cwd: folder })).stdout);
  assert.equal(first.tokens.length, 12);
  assert.equal(first.finishReason, 'length');
  assert.deepEqual([again.text, again.tokens], [first.text, first.tokens]);
  const stopped = await manyhands([...generate, '--stop', first.text.slice(2, 5)], { cwd: folder });
  const { text, finishReason } = JSON.parse(stopped.stdout);
  assert.deepEqual(
    [text, finishReason],
    [first.text.slice(0, first.text.indexOf(first.text.slice(2, 5))), 'stop'],
  );

  const endless = start(['generate', '--model', 'run', '--max-tokens', '1000000000'], { cwd: folder });
  await once(endless.child.stdout ?? assert.fail(), 'data');
  endless.child.kill('SIGINT');
  assert.equal((await endless.ended).status, 130, 'a signal ends the text');

  const evaluated = await manyhands(['eval', '--model', 'run', '--data', 'text.txt', '--json'], {
    cwd: folder,
  });
  const scores = JSON.parse(evaluated.stdout);
  assert.ok(Math.abs(scores.perplexity - Math.exp(scores.loss)) < 1e-9 * scores.perplexity);
  assert.deepEqual(Object.keys(scores.sources), ['text.txt']);
  // Every character of the text but the first is predicted, and each is one byte.
  assert.equal(scores.tokens, readFileSync(path.join(folder, 'text.txt')).length - 1);
  assert.ok(Math.abs(scores.bitsPerByte - scores.loss / Math.LN2) < 1e-12);

  const twice = await manyhands(['eval', '--model', 'run', '--data', 'text.txt', './text.txt'], {
    cwd: folder,
  });
  assert.equal(twice.status, 2);
  assert.match(twice.stderr, /--data names \.\/text\.txt twice/);

  const finished = await manyhands(['train', '--resume', '--out', 'run'], { cwd: folder });
  assert.equal(finished.status, 2);
  assert.match(finished.stderr, /run is at step 6 already.* give --steps above 6/);

  const told = await manyhands(['explain', '--model', 'run', '--prompt', 'the 5 ', '--answer', 'hands'], {
    cwd: folder,
  });
  assert.equal(told.status, 0, told.stderr);
  for (const part of ['"h"', 'layerNorm', 'wte.weight', 'The known answer "hands"']) {
    assert.ok(told.stdout.includes(part), `${part} is not in\n${told.stdout}`);
  }
});

test('Ctrl-C saves and exits with 130; --resume goes on to the same weights as without it', async (context) => {
  const { folder, args } = workplace(context, 200);
  const straight = await manyhands([...args, '--out', 'straight'], { cwd: folder });
  assert.equal(straight.status, 0, straight.stderr);

  const interrupted = start(args, { cwd: folder });
  await interrupted.said(/step \d+\/200/);
  interrupted.child.kill('SIGINT');
  const first = await interrupted.ended;
  assert.equal(first.status, 130, first.stderr);
  assert.match(first.stdout, /next: npx manyhands train --resume --out run/);
  const saved = JSON.parse((await manyhands(['inspect', 'run', '--json'], { cwd: folder })).stdout);
  assert.ok(saved.step > 0 && saved.step < 200, `it was at step ${saved.step}`);

  const resumed = await manyhands(['train', '--resume', '--out', 'run', ...tiny.slice(-4)], { cwd: folder });
  assert.equal(resumed.status, 0, resumed.stderr);
  assert.equal(shaOf(resumed.stdout), shaOf(straight.stdout));
});

test(
  'a worker that is killed is reported and started again, and the weights are the same',
  onLinux,
  async (context) => {
    const { folder, args } = workplace(context, 200);
    const running = start([...args, '--workers', '2'], { cwd: folder });
    await running.said(/step \d+\/200/);
    const victim = childrenOf(running.child.pid ?? 0)[0];
    process.kill(victim, 'SIGKILL');
    const { status, stdout, stderr } = await running.ended;
    assert.equal(status, 0, stderr);
    assert.match(stderr, /worker-\d ended with SIGKILL; its work goes to others, and it is started again/);
    const calm = await manyhands([...args, '--out', 'calm'], { cwd: folder });
    assert.equal(shaOf(stdout), shaOf(calm.stdout));
  },
);

/** Process ids of a process's children. */
function childrenOf(parent: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      const file = `/proc/${pid}/stat`;
      if (!existsSync(file)) return false;
      const stat = readFileSync(file, 'utf8');
      return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === parent;
    });
}

test('Ctrl-C before the first step says that nothing was trained, and leaves a run that resumes', async (context) => {
  const { folder, args } = workplace(context, 3);
  const interrupted = start([...args, '--tokenizer', 'bpe'], { cwd: folder });
  await interrupted.said(/run directory run/);
  interrupted.child.kill('SIGINT');
  const { status, stderr } = await interrupted.ended;
  assert.equal(status, 130, stderr);
  assert.match(
    stderr,
    /interrupted: nothing was trained yet; go on with npx manyhands train --resume --out run/,
  );
  const resumed = await manyhands(['train', '--resume', '--out', 'run', ...tiny.slice(-4)], { cwd: folder });
  assert.equal(resumed.status, 0, resumed.stderr);
});

test('a second Ctrl-C leaves at once', async (context) => {
  const { folder, args } = workplace(context, 1_000_000);
  const running = start(args, { cwd: folder });
  await running.said(/step \d+\/1,000,000/);
  running.child.kill('SIGINT');
  running.child.kill('SIGTERM');
  const { status, stdout } = await running.ended;
  assert.equal(status, 130);
  assert.equal(stdout, '', 'it did not wait for the step to be saved');
});

test('train shares memory with its workers where the system has it', onLinux, async (context) => {
  const { folder, args } = workplace(context, 2);
  // One worker: of two, the other might do all the work before the first one says what it computes with.
  const { status, stderr } = await manyhands([...args, '--workers', '1'], { cwd: folder });
  assert.equal(status, 0, stderr);
  assert.match(stderr, /worker-1.* computes with .*; weights and sums are in shared memory/);
});

test('workers do not outlive a train process that is killed', onLinux, async (context) => {
  const { folder, args } = workplace(context, 1_000_000);
  const running = start([...args, '--workers', '2'], { cwd: folder });
  await running.said(/step \d+\/1,000,000/);
  const workers = childrenOf(running.child.pid ?? 0);
  assert.equal(workers.length, 2);
  running.child.kill('SIGKILL');
  await running.ended;
  while (workers.some((pid) => existsSync(`/proc/${pid}`))) await delay(50);
});

test('a worker of train that finds its parent gone leaves without a word', async () => {
  const join = `manyhands://127.0.0.1:1?token=${'a'.repeat(32)}`;
  const { status, stderr } = await manyhands(['worker', '--join', join], {
    env: { MANYHANDS_OF_TRAIN: '1' },
  });
  assert.deepEqual([status, stderr], [0, '']);
});

test('--dry-run says what the run will cost and leaves nothing behind', async (context) => {
  const { folder, args } = workplace(context, 5000);
  const { status, stdout, stderr } = await manyhands([...args, '--dry-run'], { cwd: folder });
  assert.equal(status, 0, stderr);
  for (const line of [/^all good/, /^model +[\d,]+ parameters/m, /^run +5,000 steps, 320,000 tokens/m]) {
    assert.match(stdout, line);
  }
  for (const line of [/^time +about /m, /^memory +about /m, /^disk +about /m]) assert.match(stdout, line);
  assert.deepEqual(readdirSync(folder), ['text.txt']);
});

test('a coordinator prints the line to paste; a worker that runs it does the work and ends with it', async (context) => {
  const { folder } = workplace(context, 0);
  const config = [
    'model: {layers: 1, channels: 16, heads: 2, context: 16}',
    'data: {sources: [text.txt]}',
    'batch: {sequences: 4}',
    'run: {steps: 4, evalEvery: 0}',
  ];
  writeFileSync(path.join(folder, 'run.yaml'), config.join('\n'));
  const coordinator = start(['coordinator', '--config', 'run.yaml', '--out', 'run'], { cwd: folder });
  await coordinator.said(/listening on/);
  const line = await firstLine(coordinator.child.stdout);
  const [, url] = /^manyhands worker --join '?(manyhands:\/\/[^']+)'?$/.exec(line) ?? assert.fail(line);
  const worker = await manyhands([
    'worker',
    '--join',
    url,
    '--threads',
    '1',
    '--backend',
    'cpu',
    '--name',
    'laptop',
  ]);
  assert.equal(worker.status, 0, worker.stderr);
  const { status, stdout, stderr } = await coordinator.ended;
  assert.equal(status, 0, stderr);
  assert.match(stderr, /laptop/);
  assert.match(stdout, /step 4 of 4/);
});

function firstLine(stream: NodeJS.ReadableStream | null): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    stream?.on('data', (chunk) => {
      text += chunk;
      if (text.includes('\n')) resolve(text.slice(0, text.indexOf('\n')));
    });
  });
}

test('a worker whose coordinator is not there says so and ends with status 1', async () => {
  const join = `manyhands://127.0.0.1:1?token=${'a'.repeat(32)}`;
  const { status, stderr } = await manyhands([
    'worker',
    '--join',
    join,
    '--threads',
    '1',
    '--backend',
    'cpu',
  ]);
  assert.equal(status, 1, stderr);
  assert.match(stderr, /manyhands: The coordinator at 127\.0\.0\.1:1 is .*gave up/);
});
