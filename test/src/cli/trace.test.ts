import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { manyhands, start, temporaryFolder, tiny } from './command-line.js';

interface Event {
  readonly name: string;
  readonly ph: string;
  readonly ts: number;
  readonly dur: number;
  readonly pid: number;
  readonly tid: number;
  readonly args?: { readonly name?: string };
}

function workplace(context: TestContext, steps: number) {
  const folder = temporaryFolder(context);
  writeFileSync(path.join(folder, 'text.txt'), 'one step of many hands at a time\n'.repeat(200));
  const args = ['train', '--data', 'text.txt', '--out', 'run', '--steps', String(steps), ...tiny];
  return { folder, args: [...args, '--trace', 'trace.json'] };
}

interface Process {
  readonly spans: readonly Event[];
  /** By their numbers, '' for a thread that told no name. */
  readonly threads: ReadonlyMap<number, string>;
}

/** Each process by its name. */
function readTrace(file: string): Map<string, Process> {
  const { traceEvents }: { traceEvents: Event[] } = JSON.parse(readFileSync(file, 'utf8'));
  for (const { ph, ts, dur, pid, tid } of traceEvents) {
    assert.ok(ph === 'M' || (ph === 'X' && ts > 0 && dur >= 0), `${ph} at ${ts} for ${dur}`);
    assert.ok(Number.isInteger(pid) && Number.isInteger(tid));
  }
  const processes = new Map<string, Process>();
  for (const { name, pid, args } of traceEvents) {
    if (name !== 'process_name' || args?.name === undefined) continue;
    const spans = traceEvents.filter((event) => event.ph === 'X' && event.pid === pid);
    const nameOf = (tid: number) =>
      traceEvents.find((event) => event.name === 'thread_name' && event.pid === pid && event.tid === tid);
    const threads = new Map(spans.map(({ tid }) => [tid, nameOf(tid)?.args?.name ?? '']));
    processes.set(args.name, { spans, threads });
  }
  return processes;
}

const count = (spans: readonly Event[], name: string) => spans.filter((span) => span.name === name).length;

test('train --trace writes one file with the spans of coordinator, workers and threads on one clock', async (context) => {
  const { folder, args } = workplace(context, 3);
  // Neither begins alone, and there is a micro-batch for each.
  const shared = ['--workers', '2', '--set', 'batch.microBatch=2', '--set', 'cluster.minWorkers=2'];
  const began = Date.now() * 1000;
  const { status, stderr } = await manyhands([...args, ...shared], { cwd: folder });
  const ended = Date.now() * 1000;
  assert.equal(status, 0, stderr);
  assert.deepEqual(readdirSync(folder).sort(), ['run', 'text.txt', 'trace.json'], 'no part is left behind');

  const processes = readTrace(path.join(folder, 'trace.json'));
  const workers = [...processes.keys()].filter((name) => name.startsWith('worker'));
  assert.equal(workers.length, 2, [...processes.keys()].join(', '));
  const coordinator = processes.get('coordinator') ?? assert.fail('no coordinator');
  assert.equal(count(coordinator.spans, 'optimiser'), 3);
  for (const name of ['receive', 'publish', 'evaluate', 'save']) {
    assert.ok(count(coordinator.spans, name) > 0, `no ${name}`);
  }
  for (const name of workers) {
    const { spans, threads } = processes.get(name) ?? assert.fail(name);
    assert.ok(threads.size >= 2, 'a thread computes, another talks');
    assert.ok(![...threads.values()].includes(''), 'every thread has told its name');
    for (const span of ['weights in', 'sum', 'send', 'forward+backward']) {
      assert.ok(count(spans, span) > 0, `${name} has no ${span}`);
    }
  }
  const all = [...processes.values()].flatMap(({ spans }) => spans);
  // The wall clock may be put right meanwhile, but not by a minute.
  const outside = all.filter(({ ts, dur }) => ts < began - 60e6 || ts + dur > ended + 60e6);
  assert.deepEqual(outside, []);
});

test('a run that is interrupted leaves its trace too', async (context) => {
  const { folder, args } = workplace(context, 1_000_000);
  const running = start(args, { cwd: folder });
  await running.said(/step \d+\/1,000,000/);
  running.child.kill('SIGINT');
  const { status, stderr } = await running.ended;
  assert.equal(status, 130, stderr);
  const names = [...readTrace(path.join(folder, 'trace.json')).keys()];
  assert.equal(names.length, 2, names.join(', '));
});

test('a trace that cannot be written is refused before the work', async (context) => {
  const { folder, args } = workplace(context, 3);
  const wrong = await manyhands([...args.slice(0, -1), 'nowhere/trace.json'], { cwd: folder });
  assert.equal(wrong.status, 2);
  assert.match(
    wrong.stderr,
    /--trace nowhere\/trace\.json cannot be written: make the folder nowhere first\./,
  );
  const dry = await manyhands([...args, '--dry-run'], { cwd: folder });
  assert.equal(dry.status, 2);
  assert.match(dry.stderr, /--trace needs a whole run: leave --dry-run out\./);
});
