// Whole runs of `manyhands train` beside PyTorch, in one session and by turns: a Markdown table on standard output.
//   node scripts/compare.mjs [--shapes nano,small,gpt2] [--rounds 3] [--workers 1] [--threads N] [--reproducible]
// A round is one run of each peer for each shape. Build first; see docs/performance.md.
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = fileURLToPath(new URL('..', import.meta.url));
const main = path.join(root, 'apps/cli/dist/main.js');
const pytorch = path.join(root, 'scripts/peers/pytorch.py');

/** As few steps as tell something, after those in which a compiler still works: rounds tell more than steps. */
const shapes = {
  nano: { preset: 'nano', set: {}, steps: 300, warmup: 100 },
  small: { preset: 'small', set: {}, steps: 12, warmup: 3 },
  gpt2: {
    preset: 'gpt2',
    tokenizer: 'r50k_base',
    set: { 'model.context': 64, 'batch.sequences': 4 },
    steps: 7,
    warmup: 2,
  },
};

const { values: options } = parseArgs({
  options: {
    shapes: { type: 'string', default: 'nano,small,gpt2' },
    rounds: { type: 'string', default: '3' },
    workers: { type: 'string', default: '1' },
    threads: { type: 'string', default: String(availableParallelism()) },
    reproducible: { type: 'boolean', default: false },
    python: { type: 'string' },
  },
});
const threads = Number(options.threads);
const names = options.shapes.split(',');
const unknown = names.find((name) => !Object.hasOwn(shapes, name));
if (unknown !== undefined) fail(`--shapes has ${unknown}, but knows ${Object.keys(shapes).join(', ')}.`);

const python = await pythonWithTorch();
if (python === null)
  say('no python3 with PyTorch is here (`apt-get install python3-torch`): no peer is measured');

// A session is long: what was measured until somebody ends it is worth keeping.
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    say(`ended by ${signal}`);
    printTable();
    process.exit(130);
  });
}

/** Tokens per second of every step that was measured, by shape and peer. */
const samples = new Map(names.map((name) => [name, new Map()]));
for (let round = 1; round <= Number(options.rounds); round++) {
  for (const name of names) {
    say(`round ${round}: ${name}`);
    const { config, tokensPerSecond } = await manyhands(shapes[name]);
    record(name, 'manyhands', tokensPerSecond);
    if (python === null) continue;
    for (const processes of [1, 2]) {
      record(name, `PyTorch × ${processes}`, await torch(shapes[name], config, processes));
    }
  }
}
printTable();

function record(shape, peer, values) {
  const before = samples.get(shape).get(peer) ?? [];
  samples.get(shape).set(peer, [...before, ...values]);
}

/** A whole run: coordinator, workers, gRPC, the last checkpoint. */
async function manyhands({ preset, tokenizer, set, steps, warmup }) {
  const folder = mkdtempSync(path.join(tmpdir(), 'manyhands-compare-'));
  const out = path.join(folder, 'run');
  const keys = { ...set, 'run.evalEvery': 0, 'run.checkpointEvery': 0 };
  const args = [
    ...['train', '--preset', preset, '--steps', String(steps + warmup), '--out', out, '--backend', 'cpu'],
    ...['--workers', options.workers, '--threads', options.threads],
    ...(tokenizer ? ['--tokenizer', tokenizer] : []),
    ...(options.reproducible ? ['--reproducible'] : []),
    ...Object.entries(keys).flatMap(([key, value]) => ['--set', `${key}=${value}`]),
  ];
  try {
    await call(process.execPath, [main, ...args]);
    const [checkpoint] = readdirSync(path.join(out, 'checkpoints'));
    const config = JSON.parse(readFileSync(path.join(out, 'checkpoints', checkpoint, 'config.json'), 'utf8'));
    const lines = readFileSync(path.join(out, 'metrics.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const trained = lines.filter(({ kind, step }) => kind === 'train' && step > warmup);
    return { config, tokensPerSecond: trained.map((line) => line.tokensPerSecond) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The same model, as the checkpoint's config.json (of Hugging Face) has it. */
async function torch({ set, preset, steps, warmup }, config, processes) {
  const sequences = set['batch.sequences'] ?? { nano: 12, small: 8 }[preset];
  const args = {
    ...{ layers: config.n_layer, heads: config.n_head, channels: config.n_embd, context: config.n_positions },
    ...{
      vocab: config.vocab_size,
      dropout: config.resid_pdrop,
      sequences,
      steps,
      warmup,
      threads,
      processes,
    },
  };
  const words = Object.entries(args).flatMap(([key, value]) => [`--${key}`, String(value)]);
  // Debian's OpenBLAS does not know newer processors and would take its slowest code.
  const env = { ...process.env, OPENBLAS_CORETYPE: process.env.OPENBLAS_CORETYPE ?? 'SkylakeX' };
  return JSON.parse(await call(python, [pytorch, ...words], env)).tokensPerSecond;
}

async function pythonWithTorch() {
  for (const candidate of options.python ? [options.python] : ['python3', '/usr/bin/python3']) {
    try {
      await call(candidate, ['-c', 'import torch']);
      return candidate;
    } catch {}
  }
  return null;
}

/** Runs a command and resolves with its standard output. */
function call(command, args, env = process.env) {
  const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (text) => (stdout += text));
  child.stderr.on('data', (text) => (stderr = (stderr + text).slice(-2000)));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status) =>
      status === 0 ? resolve(stdout) : reject(new Error(`${command} ${args[0]}: ${stderr.trim()}`)),
    );
  });
}

function printTable() {
  const peers = ['PyTorch × 1', 'PyTorch × 2'];
  print(
    `${cpus()[0]?.model.trim()}, ${threads} threads, Node ${process.versions.node}; tokens/s of whole steps,`,
  );
  print(`median (quartiles), rounds: ${options.rounds}.\n`);
  print(
    `| shape | manyhands${options.reproducible ? ' --reproducible' : ''} | ${peers.join(' | ')} | ÷ best |`,
  );
  print('|---|---:|---:|---:|---:|');
  for (const [name, found] of samples) {
    const best = Math.max(...peers.map((peer) => quantile(found.get(peer) ?? [], 0.5)));
    const ratio = Number.isFinite(best) ? (quantile(found.get('manyhands'), 0.5) / best).toFixed(2) : '–';
    print(
      `| ${[name, cell(found.get('manyhands')), ...peers.map((peer) => cell(found.get(peer))), ratio].join(' | ')} |`,
    );
  }
}

function cell(values) {
  if (values === undefined) return '–';
  const [low, middle, high] = [0.25, 0.5, 0.75].map((part) => count(quantile(values, part)));
  return `${middle} (${low}–${high})`;
}

/** −∞ for no values. */
function quantile(values, part) {
  if (values.length === 0) return Number.NEGATIVE_INFINITY;
  const sorted = values.toSorted((a, b) => a - b);
  const at = part * (sorted.length - 1);
  const low = sorted[Math.floor(at)];
  return low + (at % 1) * ((sorted[Math.floor(at) + 1] ?? low) - low);
}

function count(value) {
  return Math.round(value).toLocaleString('en-US');
}

function print(text) {
  process.stdout.write(`${text}\n`);
}

function say(text) {
  process.stderr.write(`${text}\n`);
}

function fail(text) {
  say(`compare: ${text}`);
  process.exit(2);
}
