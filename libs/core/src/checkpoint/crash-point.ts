/**
 * For tests, loaded into any process (`node --import`): kills it at one of its own operations on files, counted from its
 * start. MANYHANDS_CRASH is `WHEN:NUMBER`: `before` the operation, `after` it, or `amid` a write, which is half done then.
 * Every call that changes a file system counts, whoever makes it: checkpoints, journals, the lock, the data, the token.
 */
import fs from 'node:fs';
import promises from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { basename } from 'node:path';
import { isMainThread } from 'node:worker_threads';

const syncNames = [
  'writeSync',
  'writeFileSync',
  'appendFileSync',
  'fsyncSync',
  'ftruncateSync',
  'renameSync',
  'linkSync',
  'symlinkSync',
  'mkdirSync',
  'rmdirSync',
  'rmSync',
  'unlinkSync',
];
const asyncNames = ['rename', 'link', 'symlink', 'mkdir', 'rm', 'unlink', 'writeFile'];
const handleNames = ['write', 'writeFile', 'appendFile', 'sync', 'datasync', 'truncate'];

/** Replaces functions of node:fs, so that the operation with that number ends the process. */
async function install(when: string, number: number): Promise<void> {
  let count = 0;
  const { writeSync } = fs;
  const die = (name: string, file: string) => {
    writeSync(2, `crash point: ${when} ${name.replace(/Sync$/, '')} ${file} (operation ${number})\n`);
    process.kill(process.pid, 'SIGKILL');
  };
  const patch = (owner: object, name: string) => {
    const original: unknown = Reflect.get(owner, name);
    if (typeof original !== 'function') return; // this Node does not have it
    const call = (self: unknown, args: readonly unknown[]): unknown => Reflect.apply(original, self, args);
    const patched = function (this: unknown, ...args: unknown[]): unknown {
      if (++count !== number) return call(this, args);
      const file = fileOf(this, args);
      if (when === 'before') die(name, file);
      const result = call(this, when === 'amid' ? half(args) : args);
      if (result instanceof Promise) return result.finally(() => die(name, file));
      die(name, file);
      return result;
    };
    Reflect.set(owner, name, patched);
  };
  const patchOpen = (owner: object, name: string) => {
    const original: unknown = Reflect.get(owner, name);
    if (typeof original !== 'function') throw new TypeError(`node:fs has no ${name}`);
    patch(owner, name);
    const counted: unknown = Reflect.get(owner, name);
    const open = function (this: unknown, ...args: unknown[]): unknown {
      const reads = typeof args[1] !== 'string' || args[1] === 'r';
      const chosen = reads ? original : counted;
      return typeof chosen === 'function' ? Reflect.apply(chosen, this, args) : undefined;
    };
    Reflect.set(owner, name, open);
  };
  const handle = await promises.open(process.execPath, 'r');
  const handles: object = Object.getPrototypeOf(handle);
  await handle.close();
  for (const name of syncNames) patch(fs, name);
  for (const name of asyncNames) patch(promises, name);
  for (const name of handleNames) patch(handles, name);
  patchOpen(fs, 'openSync');
  patchOpen(promises, 'open');
  syncBuiltinESMExports();
}

/** The name of the file that a call is about, where it can be known. */
function fileOf(self: unknown, [first]: readonly unknown[]): string {
  if (typeof first === 'string') return basename(first);
  const handle: unknown = typeof self === 'object' && self !== null ? Reflect.get(self, 'fd') : undefined;
  try {
    return basename(fs.readlinkSync(`/proc/self/fd/${typeof first === 'number' ? first : handle}`));
  } catch {
    return 'of a file';
  }
}

/** The arguments of a write, with half of what is to be written; those of anything else as they are. */
function half(args: readonly unknown[]): readonly unknown[] {
  const [file, data, offset = 0] = args;
  const at = args[0] instanceof Uint8Array ? 0 : 1; // a handle's write has no file among its arguments
  if (at === 0 && file instanceof Uint8Array) {
    const from = typeof data === 'number' ? data : 0;
    return [file, from, (file.length - from) >> 1];
  }
  if (data instanceof Uint8Array && typeof offset === 'number')
    return [file, data, offset, (data.length - offset) >> 1];
  if (typeof data === 'string' && typeof file === 'number') return [file, data.slice(0, data.length >> 1)];
  return args;
}

const asked = /^(before|amid|after):(\d+)$/.exec(process.env.MANYHANDS_CRASH ?? '');
if (asked !== null && isMainThread) await install(asked[1], Number(asked[2]));
