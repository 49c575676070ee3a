// Trains `nano` on the bundled novel through the real command line, with a sample now and then.
import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { root } from './workspace.mjs';

// Few steps, so a larger learning rate than the preset's, which is for 2,000: it gets further in this time.
const STEPS = 500;
const LEARNING_RATE = 0.003;
const EVERY = 125;
// A slow machine takes fewer steps rather than longer.
const SECONDS = 140;
const main = path.join(root, 'apps/cli/dist/main.js');

/** Returns the exit status: 0, or that of the command that failed. */
export async function firstRun() {
  const out = freshRunDirectory();
  const shown = path.relative(process.cwd(), out);
  print(`Training a small GPT on Moby-Dick, letter by letter: ${STEPS} steps, two worker processes.`);
  print('It starts with random weights; watch the validation loss fall and the samples turn into English.\n');

  // A terminal's Ctrl-C reaches the run too: it saves and ends, and then so does this.
  process.on('SIGINT', () => {});
  const samples = new Samples(out);
  const status = await run([
    'train',
    ...['--preset', 'nano', '--data', 'moby-dick', '--tokenizer', 'char', '--workers', '2', '--threads', '1'],
    ...['--steps', String(STEPS), '--out', shown],
    ...['--set', `run.evalEvery=${EVERY}`, '--set', `run.checkpointEvery=${EVERY}`],
    ...['--set', `optimizer.lr=${LEARNING_RATE}`, '--set', `run.maxTime=${SECONDS}`],
  ]);
  await samples.end();
  if (status !== 0) return status;

  print('\nWhat it writes now, given "Call me Ishmael.":\n');
  const written = await run([
    'generate',
    '--model',
    out,
    '--prompt',
    'Call me Ishmael.',
    '--max-tokens',
    '400',
    '--seed',
    '1',
  ]);
  if (written !== 0) return written;
  print(`
Now try:
  npx manyhands generate --model ${shown} --prompt "The whale"
  npx manyhands explain --model ${shown} --prompt "The white " --answer "whale"
  npx manyhands train --resume --out ${shown} --steps ${2 * STEPS} --workers 2
  npx manyhands train --data YOUR-FOLDER --workers 2
  npm test`);
  return 0;
}

/** Shows what the model writes at each checkpoint but the last, while the training goes on. */
class Samples {
  #seen = new Set();
  #busy = Promise.resolve();
  #timer;

  constructor(out) {
    const checkpoints = path.join(out, 'checkpoints');
    this.#timer = setInterval(() => {
      const names = existsSync(checkpoints) ? readdirSync(checkpoints) : [];
      for (const name of names.filter((each) => /^step-\d+$/.test(each) && !this.#seen.has(each))) {
        this.#seen.add(name);
        const step = Number(name.slice('step-'.length));
        if (step < STEPS) this.#busy = this.#busy.then(() => this.#show(path.join(checkpoints, name), step));
      }
    }, 500);
  }

  async #show(model, step) {
    const args = [
      'generate',
      '--model',
      model,
      '--max-tokens',
      '120',
      '--temperature',
      '0.8',
      '--seed',
      '1',
      '--json',
    ];
    const { status, output } = await capture(args);
    if (status !== 0) return;
    const text = JSON.parse(output).text.trim().replaceAll(/\s+/g, ' ');
    // The run's live line, if there is one, is drawn anew below.
    const clear = process.stderr.isTTY ? '\r\x1b[2K' : '';
    process.stderr.write(`${clear}  sample at step ${step}: ${text}\n`);
  }

  async end() {
    clearInterval(this.#timer);
    await this.#busy;
  }
}

/** `runs/DATE-moby-dick`, with a number behind it where that is taken. */
function freshRunDirectory() {
  const date = new Date().toISOString().slice(0, 10);
  for (let number = 1; ; number++) {
    const out = path.join(root, 'runs', `${date}-moby-dick${number === 1 ? '' : `-${number}`}`);
    if (!existsSync(out)) return out;
  }
}

function run(args) {
  return ended(spawn(process.execPath, [main, ...args], { stdio: 'inherit' }));
}

async function capture(args) {
  const child = spawn(process.execPath, [main, ...args], { stdio: ['ignore', 'pipe', 'ignore'] });
  let output = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
  });
  return { status: await ended(child), output };
}

function ended(child) {
  return new Promise((resolve) => child.on('close', (status) => resolve(status ?? 1)));
}

function print(text) {
  process.stdout.write(`${text}\n`);
}
