// Runs the compiled tests with node:test, a process a file, and prints a line a file.
import { existsSync } from 'node:fs';
import path from 'node:path';
import { run } from 'node:test';
import { inspect } from 'node:util';
import { filesBelow, rooms, root } from './workspace.mjs';

const SLOW_MS = 5_000;
const FILE_LIMIT_MS = 10 * 60_000;
const SILENCE_MS = 30_000;

/** Prints the results and, last, `N passed, N failed`. Returns the exit status. */
export async function runTests(filters) {
  const sources = rooms
    .flatMap((room) => filesBelow(`${room}/src`))
    .filter((file) => file.endsWith('.test.ts'))
    .filter((file) => filters.length === 0 || filters.some((filter) => file.includes(filter)));
  const files = sources.map((file) =>
    path.join(root, file.replace('/src/', '/dist/').replace(/\.ts$/, '.js')),
  );
  const missing = files.filter((file) => !existsSync(file));
  const results = new Map(files.map((file) => [file, emptyResult()]));
  for (const file of missing)
    results.get(file).failures.push({ name: 'compiled test is missing', error: file });

  const running = new Map();
  const heartbeat = setInterval(() => {
    for (const [file, started] of running)
      print(`… ${sourceName(file)} is running (${seconds(Date.now() - started)})`);
  }, SILENCE_MS);
  let current = null;
  const present = files.filter((file) => existsSync(file));
  for await (const event of run({ files: present, concurrency: 2, timeout: FILE_LIMIT_MS })) {
    const { data } = event;
    if (event.type === 'test:dequeue' && results.has(data.name)) running.set(data.name, Date.now());
    if (event.type === 'test:complete' && results.has(data.name)) running.delete(data.name);
    if (event.type === 'test:stderr') keepOutput(results.get(path.resolve(root, data.file)), data.message);
    if (event.type !== 'test:pass' && event.type !== 'test:fail') continue;
    // Node reports file by file, in order, whatever runs at the same time.
    const file = results.has(data.name) ? data.name : path.resolve(root, data.file ?? current ?? '');
    if (current !== null && file !== current) printFile(current, results.get(current));
    current = file;
    record(results.get(file) ?? emptyResult(), event, results.has(data.name));
  }
  clearInterval(heartbeat);
  if (current !== null) printFile(current, results.get(current));
  for (const file of missing) printFile(file, results.get(file));

  const all = [...results.values()];
  const passed = all.reduce((sum, result) => sum + result.passed, 0);
  const failed = all.reduce((sum, result) => sum + result.failures.length, 0);
  printSlow(all);
  printSkipped(all);
  if (files.length === 0) print(`no test's path contains ${filters.join(' or ')}`);
  print(`\n${passed} passed, ${failed} failed`);
  return failed > 0 || passed === 0 ? 1 : 0;
}

function emptyResult() {
  return { passed: 0, failures: [], skipped: [], slow: [], output: '', milliseconds: 0 };
}

/** A file that dies while it loads says why on standard error only. */
function keepOutput(result, text) {
  if (result) result.output = (result.output + text).slice(-4_000);
}

function record(result, { type, data }, isFile) {
  const milliseconds = data.details?.duration_ms ?? 0;
  if (data.nesting === 0) result.milliseconds += milliseconds;
  if (isFile) {
    // Node reports a file itself only where it failed as a whole or holds no test.
    const why = `${describe(data.details?.error)}\n${result.output}`.trim();
    const error = type === 'test:fail' ? why : 'the file holds no test';
    result.failures.push({ name: 'the file as a whole', error });
    return;
  }
  if (data.details?.type === 'suite') return;
  if (data.skip !== undefined) result.skipped.push({ name: data.name, reason: data.skip });
  else if (type === 'test:fail')
    result.failures.push({ name: data.name, error: describe(data.details?.error) });
  else result.passed++;
  if (milliseconds > SLOW_MS) result.slow.push({ name: data.name, milliseconds });
}

function describe(error) {
  const cause = error?.cause ?? error;
  return cause instanceof Error ? (cause.stack ?? cause.message) : inspect(cause);
}

function printFile(file, result) {
  const mark = result.failures.length > 0 ? '✗' : '✓';
  const skipped = result.skipped.length > 0 ? `, ${result.skipped.length} skipped` : '';
  print(`${mark} ${sourceName(file)}  ${result.passed} passed${skipped}  ${seconds(result.milliseconds)}`);
  for (const { name, error } of result.failures) {
    print(`  ✗ ${name}`);
    print(`      ${String(error).split('\n').slice(0, 40).join('\n      ')}`);
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
  for (const { name, reason } of skipped)
    print(`  ${name}${typeof reason === 'string' ? `: ${reason}` : ''}`);
}

function sourceName(file) {
  return path
    .relative(root, file)
    .split(path.sep)
    .join('/')
    .replace('/dist/', '/src/')
    .replace(/\.js$/, '.ts');
}

function seconds(milliseconds) {
  return `${(milliseconds / 1000).toFixed(1)} s`;
}

function print(line) {
  process.stdout.write(`${line}\n`);
}
