import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { bin, manyhands, temporaryFolder } from './command-line.js';

/** Wrong usage, and what the one sentence on standard error says about it. */
const wrong: readonly [args: readonly string[], sentence: RegExp][] = [
  [['frobnicate'], /unknown command 'frobnicate'/],
  [['trian'], /unknown command 'trian' \(Did you mean train\?\)/],
  [['train', '--stepps', '3'], /unknown option '--stepps' \(Did you mean --steps\?\)/],
  [['train', '--steps', 'many'], /--steps is "many", but must be a whole number from 1 up/],
  [['train', '--steps', '0'], /--steps is "0", but must be a whole number from 1 up/],
  [['train', '--workers'], /'--workers <n>' argument missing/],
  [['train', '--threads', '1.5'], /--threads is "1.5", but must be a whole number from 1 to 1024/],
  [['train', '--backend', 'cuda'], /--backend is "cuda", but must be one of auto, cpu, gpujs/],
  [['train', '--preset', 'huge'], /--preset is "huge", but must be one of nano, small, gpt2/],
  [['train', 'novel.txt'], /too many arguments for 'train'/],
  [['train', '--resume'], /--resume needs --out/],
  [['train', '--set', 'model.layer=3'], /"model\.layer": the nearest known one is model\.layers/],
  [['train', '--set', 'model.layers=three'], /model\.layers is "three", but must be a whole number/],
  [['train', '--set', 'model.layers'], /must be KEY=VALUE/],
  [
    ['train', '--set', 'steering.policy=ignore'],
    /steering\.policy is "ignore", but must be one of warn, skip/,
  ],
  [
    ['train', '--set', 'steering.rateFactor=2'],
    /steering\.rateFactor is 2, but must be a number above 0 and/,
  ],
  [['coordinator'], /--config is missing/],
  [['worker'], /--join is missing/],
  [['worker', '--join', 'http://127.0.0.1:1'], /manyhands:\/\/HOST:PORT/],
  [['generate'], /--model is missing/],
  [['generate', '--model', 'nowhere'], /nowhere does not exist/],
  [
    ['generate', '--model', 'nowhere', '--temperature', '-1'],
    /--temperature is "-1", but must be a number from 0 to 100\.$/m,
  ],
  [
    ['generate', '--model', 'nowhere', '--top-p', '2'],
    /--top-p is "2", but must be a number above 0 and at most 1/,
  ],
  [['generate', '--model', 'nowhere', '--top-p', '0'], /--top-p is "0", but must be a number above 0/],
  [['generate', '--model', 'nowhere', '--stop', ''], /--stop is "", but must be at least one character/],
  [['eval', '--model', 'nowhere'], /nowhere does not exist/],
  [['eval', '--model', 'nowhere', '--report', '.'], /--report \. is a folder: give the name of a file/],
  [['eval', '--model', 'nowhere', '--report', 'no/x.html'], /--report no\/x\.html cannot be written: make/],
  [
    ['eval', '--model', 'x', '--report', 'x.html', '--memorization'],
    /--report and --memorization measure different things: give one/,
  ],
  [['explain', '--model', 'nowhere'], /nowhere does not exist/],
  [['explain', '--html', 'x.html', '--batch', 'b.json'], /--html shows one prompt and its answer/],
  [['tokenizer', 'train', '--vocab', '10'], /--vocab is "10", but must be a whole number from 257/],
  [['tokenizer', 'encode', 'text'], /--tokenizer is missing/],
  [['tokenizer', 'decode', '--tokenizer', 'r50k_base', '1', 'two'], /"two" is not a token id/],
  [['data', 'prepare'], /--data is missing/],
  [['data', 'inspect'], /missing required argument 'dir'/],
  [['inspect', 'nowhere'], /nowhere does not exist/],
  [['bench', '--preset', 'nano', '--preset', 'giant'], /--preset is "giant"/],
  [['bench', '--threads', '1,0'], /--threads is "0", but must be a whole number from 1 to 1024/],
  [['bench', '--threads', '1,'], /--threads is "", but must be a whole number from 1 to 1024/],
  [['bench', '--compare', 'none.json'], /--compare none\.json cannot be read \(no such file\)/],
  [['train', '--trace', '.'], /--trace \. is a folder: give the name of a file/],
  [['train', '--dry-run', '--trace', 'trace.json'], /--trace needs a whole run: leave --dry-run out/],
  [
    ['train', '--preset', 'gpt2', '--set', 'batch.microBatch=8'],
    /A thread would need .*: lower batch\.microBatch, 8, set batch\.recompute: true, or lower model\.context, 1024\.$/m,
  ],
  [['train', '--threads', '1024', '--workers', '256'], /This run needs .* but this machine has .*: lower --/],
  [['doctor', '--yes'], /unknown option '--yes'/],
];

for (const [args, sentence] of wrong) {
  test(`\`${args.join(' ')}\` is refused with status 2 and one sentence`, async (context) => {
    const { status, stdout, stderr } = await manyhands(args, { cwd: temporaryFolder(context) });
    assert.equal(status, 2, stderr);
    assert.match(stderr, sentence);
    assert.equal(stderr.trim().split('\n').length, 1, `more than one line: ${stderr}`);
    assert.equal(stdout, '');
  });
}

test('an unknown key in a config file is refused with the file’s nearest known key', async (context) => {
  const folder = temporaryFolder(context);
  writeFileSync(path.join(folder, 'run.yaml'), 'run:\n  stpes: 10\n');
  const { status, stderr } = await manyhands(['train', '--config', 'run.yaml'], { cwd: folder });
  assert.equal(status, 2);
  assert.match(stderr, /run\.stpes.*run\.steps/);
});

test('a config file that is missing, or is no YAML, is named', async (context) => {
  const folder = temporaryFolder(context);
  const missing = await manyhands(['train', '--config', 'run.yaml'], { cwd: folder });
  assert.equal(missing.status, 2);
  assert.match(missing.stderr, /run\.yaml/);
  writeFileSync(path.join(folder, 'run.yaml'), 'run: [1, 2\n  steps: "');
  const broken = await manyhands(['train', '--config', 'run.yaml'], { cwd: folder });
  assert.equal(broken.status, 2);
  assert.match(broken.stderr, /run\.yaml/);
});

test('a stack trace is shown with --verbose only', async () => {
  const quiet = await manyhands(['inspect', 'nowhere']);
  assert.doesNotMatch(quiet.stderr, /\n\s+at /);
  const verbose = await manyhands(['inspect', 'nowhere', '--verbose']);
  assert.match(verbose.stderr, /\n\s+at /);
});

test('--help of every command is its contract, on standard output', async () => {
  const { status, stdout, stderr } = await manyhands(['--help']);
  assert.equal(status, 0);
  assert.equal(stderr, '');
  const names = [...stdout.matchAll(/^ {2}([a-z]+) \[options\]/gm)].map(([, name]) => name);
  assert.deepEqual(names.sort(), [
    ...['bench', 'checkers', 'coordinator', 'data', 'doctor', 'eval', 'explain'],
    ...['generate', 'inspect', 'tokenizer', 'train', 'worker'],
  ]);
  const flags: Record<string, string[]> = {
    train: [
      ...['config', 'data', 'preset', 'tokenizer', 'steps', 'workers', 'threads', 'backend', 'reproducible'],
      ...['seed', 'out', 'resume', 'dry-run', 'set'],
    ],
    coordinator: ['config', 'listen', 'out', 'resume', 'reproducible', 'min-workers'],
    worker: ['join', 'threads', 'backend', 'name'],
    generate: [
      ...['model', 'prompt', 'max-tokens', 'temperature', 'top-k', 'top-p', 'min-p', 'repetition-penalty'],
      ...['stop', 'seed', 'json', 'best'],
    ],
    eval: ['model', 'data', 'report', 'shift', 'json', 'best'],
    explain: ['model', 'prompt', 'answer', 'batch', 'steps', 'optimizer', 'dump', 'html', 'json', 'best'],
  };
  for (const [name, expected] of Object.entries(flags)) {
    const help = await manyhands([name, '--help']);
    assert.equal(help.status, 0);
    for (const flag of expected)
      assert.ok(help.stdout.includes(`--${flag}`), `${name} --help lacks --${flag}`);
    assert.doesNotMatch(help.stdout, /^\s+-[a-z],/m, 'long options only');
  }
});

test('the program in bin/ is the same command line', async () => {
  const { spawnSync } = await import('node:child_process');
  const ended = spawnSync(process.execPath, [bin, '--version'], { encoding: 'utf8' });
  assert.equal(ended.status, 0, ended.stderr);
  assert.match(ended.stdout, /^\d+\.\d+\.\d+\n$/);
});
