import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { infra, root, without } from './files.js';

/** A Slurm of two nodes on this machine, on loopback alone, in a folder of its own, for as long as the tests run. */
const skip =
  process.env.MANYHANDS_TEST_SLURM === undefined
    ? 'it waits for a scheduler: set MANYHANDS_TEST_SLURM'
    : process.getuid?.() === 0
      ? without('slurmctld', '-V') || without('slurmd', '-V') || without('munged', '--version')
      : 'only root may run the daemons';
const folder = mkdtempSync(path.join(tmpdir(), 'manyhands-slurm-'));
const daemons: ChildProcess[] = [];
const env = {
  ...process.env,
  SLURM_CONF: path.join(folder, 'slurm.conf'),
  MANYHANDS_HOME: root,
};
const slurm = (command: string, ...args: string[]) =>
  execFileSync(command, args, {
    env,
    cwd: folder,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  }).trim();

const configuration = `
ClusterName=test
SlurmctldHost=${hostname()}(127.0.0.1)
SlurmctldPort=16817
AuthInfo=socket=${folder}/munge.socket
SlurmUser=root
SlurmdUser=root
ProctrackType=proctrack/pgid
TaskPlugin=task/none
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation=${folder}
SlurmdSpoolDir=${folder}/%n
SlurmctldPidFile=${folder}/slurmctld.pid
SlurmdPidFile=${folder}/%n.pid
SelectType=select/linear
NodeName=n1 NodeHostname=${hostname()} NodeAddr=127.0.0.1 Port=17001
NodeName=n2 NodeHostname=${hostname()} NodeAddr=127.0.0.1 Port=17002
PartitionName=main Nodes=n1,n2 Default=YES State=UP
`;

const run = `
model: {layers: 1, heads: 2, channels: 16, context: 32}
data: {sources: [{path: moby-dick, weight: 1}], tokenizer: char}
run: {steps: 200, evalEvery: 0, checkpointEvery: 50, reproducible: true}
`;

async function until<T>(what: string, found: () => T | false | null | undefined): Promise<T> {
  for (let tries = 0; tries < 600; tries++) {
    const value = found();
    if (value) return value;
    await delay(200);
  }
  throw new Error(`${what} did not come`);
}

function daemon(command: string, ...args: string[]): void {
  daemons.push(spawn(command, args, { env, stdio: 'ignore' }));
}

before(async () => {
  if (skip !== false) return;
  writeFileSync(env.SLURM_CONF, configuration);
  writeFileSync(path.join(folder, 'run.yaml'), run);
  writeFileSync(path.join(folder, 'key'), randomBytes(64), { mode: 0o400 });
  const of = (name: string) => path.join(folder, name);
  daemon(
    'munged',
    '--foreground',
    '--force',
    ...['--key-file', of('key'), '--socket', of('munge.socket'), '--pid-file', of('munge.pid')],
    ...['--seed-file', of('munge.seed'), '--log-file', of('munge.log')],
  );
  await until('munged', () => existsSync(of('munge.socket')));
  daemon('slurmctld', '-D');
  daemon('slurmd', '-D', '-N', 'n1');
  daemon('slurmd', '-D', '-N', 'n2');
  await until('two idle nodes', () => {
    try {
      return slurm('sinfo', '--noheader', '--format=%t %D') === 'idle 2';
    } catch {
      return false;
    }
  });
});

after(async () => {
  for (const child of daemons.reverse()) {
    if (child.exitCode !== null) continue;
    const gone = once(child, 'exit');
    child.kill('SIGTERM');
    await gone;
  }
  rmSync(folder, { recursive: true, force: true });
});

function submit() {
  const script = path.join(infra, 'slurm/train.sbatch');
  const job = slurm('sbatch', '--parsable', '--output=%j.log', script, 'run.yaml');
  const out = path.join(folder, `runs/slurm-${job}`);
  const log = () => readFileSync(path.join(folder, `${job}.log`), 'utf8');
  const field = (name: string) =>
    new RegExp(`\\b${name}=(\\S+)`).exec(slurm('scontrol', '--oneliner', 'show', 'job', job))?.[1];
  const steps = () => {
    const file = path.join(out, 'metrics.jsonl');
    return existsSync(file) ? readFileSync(file, 'utf8').split('\n').length - 1 : 0;
  };
  const ended = async () => {
    const state = await until(`the end of job ${job}`, () => {
      const now = field('JobState');
      return now !== undefined && !['PENDING', 'RUNNING', 'COMPLETING'].includes(now) && now;
    });
    assert.equal(state, 'COMPLETED', log());
    const text = readFileSync(path.join(out, 'checkpoints/step-000200/state.json'), 'utf8');
    return JSON.parse(text).weightsSha256;
  };
  return { job, out, log, field, steps, ended };
}

test('a job that is warned and requeued, and one whose coordinator is killed, end with the weights of a calm one', {
  skip,
}, async () => {
  const calm = await submit().ended();

  const warned = submit();
  await until('step 60', () => warned.steps() > 60);
  slurm('scancel', '--batch', '--signal=USR1', warned.job);
  await until('the queue', () => warned.field('JobState') === 'PENDING');
  assert.match(warned.log(), /saved before the time was up/);
  // Slurm would wait for two minutes.
  slurm('scontrol', 'update', `JobId=${warned.job}`, 'StartTime=now');
  assert.equal(await warned.ended(), calm);
  assert.match(warned.log(), /going on from step/);
  assert.ok(!warned.log().includes('token='), 'the log holds no secret');
  assert.ok(!existsSync(`${warned.out}.join`), 'the join URL is gone with the job');

  const killed = submit();
  await until('step 60', () => killed.steps() > 60);
  const { pid } = JSON.parse(readFileSync(path.join(killed.out, 'run.lock'), 'utf8'));
  process.kill(pid, 'SIGKILL');
  assert.equal(await killed.ended(), calm);
  assert.match(killed.log(), /the coordinator was killed \(status 137\): start 1 of 5/);
});
