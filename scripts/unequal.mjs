// What unequal, slow and dying machines cost, measured on one: each worker process gets its share of a core from a control
// group (cgroup v1, so root on Linux), as if it were a machine of its own. A Markdown table on standard output.
//   node scripts/unequal.mjs [--preset small] [--seconds 120] [--only both,straggler,kills]
// Build first; see docs/performance.md.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const GROUPS = '/sys/fs/cgroup/cpu';
const PERIOD_MICROSECONDS = 20_000;
const KILL_EVERY_SECONDS = 20;
const main = fileURLToPath(new URL('../apps/cli/dist/main.js', import.meta.url));

const USAGE = `usage: node scripts/unequal.mjs [--preset nano|small] [--seconds 120] [--only both,straggler,kills]`;
if (process.argv.includes('--help')) {
  console.log(USAGE);
  process.exit(0);
}
const { values: options } = parseArgs({
  options: {
    preset: { type: 'string', default: 'small' },
    seconds: { type: 'string', default: '120' },
    only: { type: 'string', default: 'both,straggler,kills' },
  },
});
const seconds = Number(options.seconds);
const models = {
  nano: { layers: 4, heads: 4, channels: 128, context: 64 },
  small: { layers: 6, heads: 6, channels: 384, context: 256 },
};
if (!existsSync(path.join(GROUPS, 'cpu.cfs_quota_us'))) {
  console.error(`${GROUPS} has no control groups (cgroup v1): nothing is measured.`);
  process.exit(2);
}
const folder = mkdtempSync(path.join(tmpdir(), 'manyhands-unequal-'));
const running = new Set();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(130));

/** A process of the command, in a group of its own where it has a quota of a core. */
function launch(args, group) {
  const child = spawn(process.execPath, [main, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (text) => (said = (said + text).slice(-4000)));
  running.add(child);
  child.ended = new Promise((resolve) =>
    child.once('close', (status) => {
      running.delete(child);
      resolve({ status, said });
    }),
  );
  if (group)
    for (const place of [group, accountOf(group)])
      writeFileSync(path.join(place, 'cgroup.procs'), String(child.pid));
  return child;
}

function makeGroup(name, cores) {
  const group = path.join(GROUPS, `manyhands-${process.pid}-${name}`);
  mkdirSync(group);
  mkdirSync(accountOf(group), { recursive: true }); // where both controllers are mounted as one, it is there already
  writeFileSync(path.join(group, 'cpu.cfs_period_us'), String(PERIOD_MICROSECONDS));
  writeFileSync(path.join(group, 'cpu.cfs_quota_us'), String(Math.round(cores * PERIOD_MICROSECONDS)));
  return group;
}

/** The same group where time is counted. */
function accountOf(group) {
  return group.replace(GROUPS, '/sys/fs/cgroup/cpuacct');
}

/** Nanoseconds of processor time. */
const used = (group) => Number(readFileSync(path.join(accountOf(group), 'cpuacct.usage'), 'utf8'));

const lines = (file) =>
  existsSync(file)
    ? readFileSync(file, 'utf8')
        .split('\n')
        .filter((line) => line.endsWith('}'))
        .map((line) => JSON.parse(line))
    : [];

async function until(what) {
  while (!what()) await delay(50);
}

/**
 * A run whose workers have so many cores each, measured for some seconds once its speeds have settled.
 * @returns steps a second, and each worker's processor time as a share of what it may use
 */
async function measure(name, cores, { kill = false, skip = 8 } = {}) {
  const out = path.join(folder, name);
  const config = path.join(folder, `${name}.yaml`);
  const text = path.join(folder, 'text.txt');
  const words = 'the whale and the sea and the ship of a white captain who said to his crew\n';
  writeFileSync(text, words.repeat(20_000));
  const sections = {
    model: models[options.preset],
    data: { tokenizer: 'char', sources: [{ path: text, weight: 1 }] },
    batch: { sequences: 24, microBatch: 1 },
    run: { steps: 1_000_000, evalEvery: 0, checkpointEvery: 0 },
    cluster: { minWorkers: cores.length },
  };
  writeFileSync(config, JSON.stringify(sections)); // JSON is YAML
  const coordinator = launch(['coordinator', '--config', config, '--out', out, '--listen', '127.0.0.1:0']);
  const failed = coordinator.ended.then(({ status, said }) => {
    if (!coordinator.wanted) throw new Error(`the coordinator ended with status ${status}: ${said}`);
  });
  failed.catch((error) => {
    console.error(error.message);
    process.exit(1);
  });
  await until(() => existsSync(path.join(out, 'join-url')));
  const groups = cores.map((share, i) => makeGroup(`${name}-${i}`, share));
  const start = (group) =>
    launch(
      ['worker', '--join-file', path.join(out, 'join-url'), '--threads', '1', '--backend', 'cpu'],
      group,
    );
  const workers = groups.map(start);
  const metrics = path.join(out, 'metrics.jsonl');
  await until(() => lines(metrics).length >= skip);
  const reached = [];
  const look = setInterval(() => {
    const steps = lines(metrics).length;
    if (steps !== reached.at(-1)?.steps) reached.push({ steps, at: performance.now() });
  }, 20);
  const [before, began] = [groups.map(used), performance.now()];
  const end = began + seconds * 1000;
  for (let turn = 0; performance.now() < end; turn++) {
    await delay(
      Math.min(kill ? KILL_EVERY_SECONDS * 1000 : Number.POSITIVE_INFINITY, end - performance.now()),
    );
    if (end - performance.now() < 1000) break;
    const i = turn % workers.length;
    workers[i].kill('SIGKILL');
    await workers[i].ended;
    workers[i] = start(groups[i]); // as its supervisor would
  }
  clearInterval(look);
  const nanoseconds = 1e6 * (performance.now() - began);
  const busy = groups.map((group, i) => (used(group) - before[i]) / nanoseconds / cores[i]);
  const [first, last] = [reached[1], reached.at(-1)];
  const stepsPerSecond = (1000 * (last.steps - first.steps)) / (last.at - first.at);
  coordinator.wanted = true;
  coordinator.kill('SIGTERM');
  await coordinator.ended;
  for (const worker of workers) worker.kill('SIGKILL');
  await Promise.all(workers.map((worker) => worker.ended));
  for (const group of groups) {
    rmdirSync(group);
    if (existsSync(accountOf(group))) rmdirSync(accountOf(group));
  }
  return { stepsPerSecond, busy };
}

const percent = (value) => `${(100 * value).toFixed(0)} %`;
const rows = [];
for (const what of options.only.split(',')) {
  if (what === 'both') {
    const { busy } = await measure('both', [0.9, 0.2]);
    rows.push(['0.9 and 0.2 of a core: busy', busy.map(percent).join(' and ')]);
  } else if (what === 'straggler') {
    const calm = await measure('even', [0.5, 0.5, 0.5]);
    const slow = await measure('straggler', [0.5, 0.5, 0.05]);
    const worth = (0.5 + 0.5 + 0.05) / 1.5;
    const cost = (calm.stepsPerSecond * worth) / slow.stepsPerSecond - 1;
    rows.push(['one of three at a tenth: a step beyond what its share is worth', percent(cost)]);
  } else if (what === 'kills') {
    const calm = await measure('calm', [0.5, 0.5, 0.5]);
    const killed = await measure('kills', [0.5, 0.5, 0.5], { kill: true });
    const ratio = killed.stepsPerSecond / calm.stepsPerSecond;
    rows.push([
      `three workers, a kill every ${KILL_EVERY_SECONDS} s: throughput of the calm run's`,
      percent(ratio),
    ]);
  }
}
console.log(['| what | measured |', '| --- | ---: |', ...rows.map(([a, b]) => `| ${a} | ${b} |`)].join('\n'));
