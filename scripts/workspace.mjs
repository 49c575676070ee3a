// Brings a clone to the state where it can run: installed and built. Plain Node, since nothing is installed yet.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));
export const rooms = [
  'libs/core',
  'libs/tokenizer',
  'libs/checkers',
  'libs/tasks',
  'proto',
  'apps/coordinator',
  'apps/worker',
  'apps/cli',
  'test',
];

const sourceFolders = ['src', 'assembly', 'scripts', 'manyhands'];
const configFiles = ['package.json', 'tsconfig.json', 'project.json', 'asconfig.json'];
const stampFile = path.join(root, 'node_modules/.cache/manyhands/build.sha256');
const rootConfigFiles = ['package-lock.json', 'tsconfig.base.json', 'nx.json'];

/** Installs the dependencies where they are missing or older than the lock file. */
export async function install() {
  const installed = modified('node_modules/.package-lock.json');
  if (installed >= modified('package-lock.json') && installed > 0) return;
  say('Installing the dependencies (npm ci), about a minute …');
  const npm = process.env.npm_execpath;
  const [command, args] = npm?.endsWith('.js') ? [process.execPath, [npm]] : ['npm', []];
  const status = await call(
    command,
    [...args, 'ci', '--no-audit', '--no-fund', '--no-progress', '--loglevel=error'],
    'npm ci',
  );
  if (status !== 0)
    fail('npm ci failed: see its messages above; with a network connection, try `npm ci` by itself.');
}

/** Builds every room where a source is newer than the last build. Nx and tsc rebuild only what changed. */
export async function build() {
  const stamp = sourceStamp();
  const built = rooms.every((room) => existsSync(path.join(root, room, 'dist/.tsbuildinfo')));
  if (built && existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp) return;
  say('Building …');
  const nx = path.join(root, 'node_modules/nx/dist/bin/nx.js');
  if (!existsSync(nx)) fail('the dependencies are not installed: run `npm ci` first.');
  const args = [nx, 'run-many', '-t', 'build', '--outputStyle=static'];
  const status = await call(process.execPath, args, 'the build', { quiet: true });
  if (status !== 0) fail('the build failed: see the messages above.');
  mkdirSync(path.dirname(stampFile), { recursive: true });
  writeFileSync(stampFile, stamp);
}

/** Every file below a folder of the workspace, as paths relative to the workspace's root, sorted. */
export function filesBelow(folder) {
  const absolute = path.join(root, folder);
  if (!existsSync(absolute)) return [];
  return readdirSync(absolute, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(root, path.join(entry.parentPath ?? entry.path, entry.name)))
    .map((file) => file.split(path.sep).join('/'))
    .sort();
}

/** Progress goes to standard error: standard output may be somebody's JSON. */
export function say(text) {
  process.stderr.write(`${text}\n`);
}

/** What the build is made from: names, sizes and times of all sources. */
function sourceStamp() {
  const hash = createHash('sha256');
  const files = rooms.flatMap((room) => [
    ...sourceFolders.flatMap((folder) => filesBelow(`${room}/${folder}`)),
    ...configFiles.map((file) => `${room}/${file}`),
  ]);
  for (const file of [...files, ...rootConfigFiles]) {
    if (file.includes('/generated/')) continue;
    const found = statSync(path.join(root, file), { throwIfNoEntry: false });
    hash.update(`${file} ${found?.size} ${found?.mtimeMs}\n`);
  }
  return hash.digest('hex');
}

function modified(file) {
  return statSync(path.join(root, file), { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

/** Runs a command in the root; `quiet` keeps its output unless it fails. Says every 5 s that it still runs. */
function call(command, args, name, { quiet = false } = {}) {
  const child = spawn(command, args, {
    cwd: root,
    stdio: quiet ? ['ignore', 'pipe', 'pipe'] : ['ignore', process.stderr, process.stderr],
    shell: process.platform === 'win32' && command === 'npm',
    env: { ...process.env, NX_DAEMON: 'false', NX_NO_CLOUD: 'true', NX_TUI: 'false' },
  });
  const output = [];
  child.stdout?.on('data', (chunk) => output.push(chunk));
  child.stderr?.on('data', (chunk) => output.push(chunk));
  const started = Date.now();
  const timer = setInterval(() => {
    say(`… still waiting for ${name} (${Math.round((Date.now() - started) / 1000)} s)`);
  }, 5_000);
  return new Promise((resolve) => {
    child.on('error', (error) => resolve(say(`${command}: ${error.message}`) ?? 1));
    child.on('close', (status) => {
      clearInterval(timer);
      if (status !== 0) process.stderr.write(Buffer.concat(output));
      resolve(status ?? 1);
    });
  });
}

function fail(text) {
  say(`manyhands: ${text}`);
  process.exit(1);
}
