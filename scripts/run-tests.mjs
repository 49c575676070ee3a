// Runs the compiled tests, a process a file and two at a time, and prints a line for each file as it ends.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { filesBelow, rooms, root } from './workspace.mjs';

const SLOW_MS = 5_000;
const FILE_LIMIT_MS = 10 * 60_000;
const SILENCE_MS = 30_000;
const reporter = fileURLToPath(new URL('./test-reporter.mjs', import.meta.url));

/** Prints the results and, last, `N passed, N failed`. Returns the exit status. */
export async function runTests(filters) {
  const sources = rooms
    .flatMap((room) => filesBelow(`${room}/src`))
    .filter((file) => file.endsWith('.test.ts'))
    .filter((file) => filters.length === 0 || filters.some((filter) => file.includes(filter)));
  if (sources.length === 0) print(`no test's path contains ${filters.join(' or ')}`);

  const folder = mkdtempSync(path.join(tmpdir(), 'manyhands-tests-'));
  const waiting = [...sources];
  const results = [];
  const work = async () => {
    for (let source = waiting.shift(); source !== undefined; source = waiting.shift()) {
      const result = await runFile(source, path.join(folder, `${results.length}-${waiting.length}`));
      results.push(result);
      printFile(source, result);
    }
  };
  await Promise.all(Array.from({ length: Math.min(2, availableParallelism()) }, work));
  rmSync(folder, { recursive: true, force: true });

  const passed = results.reduce((sum, result) => sum + result.passed, 0);
  const failed = results.reduce((sum, result) => sum + result.failures.length, 0);
  printSlow(results);
  printSkipped(results);
  print(`\n${passed} passed, ${failed} failed`);
  return failed > 0 || passed === 0 ? 1 : 0;
}

/**
 * One test file in a process of its own. The results come through a file: what tests print cannot be taken for one, and
 * a process that dies leaves what it had.
 */
async function runFile(source, resultsFile) {
  const compiled = path.join(root, source.replace('/src/', '/dist/').replace(/\.ts$/, '.js'));
  const result = { passed: 0, failures: [], skipped: [], slow: [], milliseconds: 0 };
  if (!existsSync(compiled)) {
    result.failures.push({ name: 'the compiled test is missing', reason: compiled });
    return result;
  }
  const started = Date.now();
  const heartbeat = setInterval(() => {
    print(`… ${source} is running (${seconds(Date.now() - started)})`);
  }, SILENCE_MS);
  const options = [
    '--enable-source-maps',
    '--test-reporter',
    reporter,
    '--test-reporter-destination',
    resultsFile,
  ];
  const child = spawn(process.execPath, [...options, compiled], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: FILE_LIMIT_MS,
    killSignal: 'SIGKILL',
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (text) => {
      output = (output + text).slice(-4_000);
    });
  }
  const [status, signal] = await new Promise((resolve) => {
    child.once('error', (error) => resolve([error.message, null]));
    child.once('exit', (...how) => resolve(how));
  });
  clearInterval(heartbeat);
  result.milliseconds = Date.now() - started;

  const lines = existsSync(resultsFile) ? readFileSync(resultsFile, 'utf8').split('\n').filter(Boolean) : [];
  for (const line of lines) record(result, JSON.parse(line));
  if (status !== 0 && result.failures.length === 0) {
    const how = signal === null ? `exit status ${status}` : `killed by ${signal}`;
    const late = result.milliseconds >= FILE_LIMIT_MS ? `, after ${seconds(FILE_LIMIT_MS)}` : '';
    result.failures.push({ name: 'the file as a whole', reason: `${how}${late}\n${output}`.trim() });
  }
  if (result.passed + result.failures.length + result.skipped.length === 0) {
    result.failures.push({ name: 'the file as a whole', reason: 'it holds no test' });
  }
  return result;
}

function record(result, { name, milliseconds, skip, reason }) {
  if (reason !== undefined) result.failures.push({ name, reason });
  else if (skip !== undefined) result.skipped.push({ name, why: skip });
  else result.passed++;
  if (milliseconds > SLOW_MS) result.slow.push({ name, milliseconds });
}

function printFile(source, result) {
  const mark = result.failures.length > 0 ? '✗' : '✓';
  const skipped = result.skipped.length > 0 ? `, ${result.skipped.length} skipped` : '';
  print(`${mark} ${source}  ${result.passed} passed${skipped}  ${seconds(result.milliseconds)}`);
  for (const { name, reason } of result.failures) {
    print(`  ✗ ${name}`);
    print(`      ${String(reason).split('\n').slice(0, 40).join('\n      ')}`);
  }
}

function printSlow(results) {
  const slow = results.flatMap((result) => result.slow).sort((a, b) => b.milliseconds - a.milliseconds);
  if (slow.length > 0) print('\nSlowest tests:');
  for (const { name, milliseconds } of slow.slice(0, 10))
    print(`  ${seconds(milliseconds).padStart(7)}  ${name}`);
}

function printSkipped(results) {
  const skipped = results.flatMap((result) => result.skipped);
  if (skipped.length > 0) print('\nSkipped:');
  for (const { name, why } of skipped) print(`  ${name}${typeof why === 'string' ? `: ${why}` : ''}`);
}

function seconds(milliseconds) {
  return `${(milliseconds / 1000).toFixed(1)} s`;
}

function print(line) {
  process.stdout.write(`${line}\n`);
}
