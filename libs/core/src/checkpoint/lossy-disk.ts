/**
 * For tests: what a power loss may leave of a directory. Beside the real disk it keeps what POSIX promises to be there
 * afterwards: of a file what was flushed, of a directory the names it had when it was flushed. Everything since may be
 * there or not, each change by itself.
 */
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { disk, type Storage } from './storage.js';

interface FileNode {
  readonly kind: 'file';
  flushed: Uint8Array;
  content: Uint8Array;
}

interface LinkNode {
  readonly kind: 'link';
  readonly target: string;
}

/** One change of names, which is there whole or not at all: a name comes, goes, or is another one. */
interface Change {
  readonly gone?: string;
  readonly come?: { readonly name: string; readonly node: Node };
}

interface DirectoryNode {
  readonly kind: 'directory';
  flushed: Map<string, Node>;
  changes: Change[];
}

type Node = FileNode | LinkNode | DirectoryNode;

/** Decides what of the changes since the last flush is there: a change of names, the content of a file. */
export interface Loss {
  keepsChange(): boolean;
  keeps(): 'nothing new' | 'half' | 'everything';
}

/** The real disk under `root`, and what a power loss would leave of it. */
export class LossyDisk {
  readonly #root: string;
  readonly #top: DirectoryNode;

  /** What is there now is flushed. */
  constructor(root: string) {
    this.#root = root;
    this.#top = read(root);
  }

  /** @param after called after each operation with its name */
  storage(after: (operation: string) => void): Storage {
    return {
      create: async (path) => {
        const file = await disk.create(path);
        const known = this.#find(path);
        const node: FileNode =
          known?.kind === 'file'
            ? known
            : { kind: 'file', flushed: new Uint8Array(), content: new Uint8Array() };
        node.content = new Uint8Array();
        if (node !== known) this.#change(path, { come: { name: nameOf(path), node } });
        after('create');
        return {
          write: async (bytes) => {
            await file.write(bytes);
            node.content = Buffer.concat([node.content, bytes]);
            after('write');
          },
          sync: async () => {
            await file.sync();
            node.flushed = node.content;
            after('sync');
          },
          close: () => file.close(),
        };
      },
      makeDirectory: async (path) => {
        await disk.makeDirectory(path);
        if (this.#find(path) === null) {
          const node: DirectoryNode = { kind: 'directory', flushed: new Map(), changes: [] };
          this.#change(path, { come: { name: nameOf(path), node } });
        }
        after('makeDirectory');
      },
      syncDirectory: async (path) => {
        await disk.syncDirectory(path);
        const directory = this.#directory(path);
        directory.flushed = namesOf(directory, () => true);
        directory.changes = [];
        after('syncDirectory');
      },
      rename: async (from, to) => {
        await disk.rename(from, to);
        const node = this.#find(from);
        if (node === null || dirname(from) !== dirname(to)) throw new Error(`${from} cannot be renamed here`);
        this.#change(from, { gone: nameOf(from), come: { name: nameOf(to), node } });
        after('rename');
      },
      symlink: async (target, path) => {
        await disk.symlink(target, path);
        this.#change(path, { come: { name: nameOf(path), node: { kind: 'link', target } } });
        after('symlink');
      },
      remove: async (path) => {
        await disk.remove(path);
        const node = this.#find(path);
        if (node?.kind === 'directory') {
          for (const gone of namesOf(node, () => true).keys()) node.changes.push({ gone });
        }
        if (node !== null) this.#change(path, { gone: nameOf(path) });
        after('remove');
      },
    };
  }

  /** Writes what is left after a power loss at this moment to a new directory. */
  loseInto(target: string, loss: Loss): void {
    write(this.#top, target, loss);
  }

  #change(path: string, change: Change): void {
    this.#directory(dirname(path)).changes.push(change);
  }

  #directory(path: string): DirectoryNode {
    const node = this.#find(path);
    if (node?.kind !== 'directory') throw new Error(`${path} is no folder`);
    return node;
  }

  #find(path: string): Node | null {
    let node: Node = this.#top;
    for (const name of relative(this.#root, path)
      .split(sep)
      .filter((part) => part !== '')) {
      const next: Node | undefined =
        node.kind === 'directory' ? namesOf(node, () => true).get(name) : undefined;
      if (next === undefined) return null;
      node = next;
    }
    return node;
  }
}

function nameOf(path: string): string {
  return path.slice(dirname(path).length + 1);
}

function namesOf({ flushed, changes }: DirectoryNode, keeps: () => boolean): Map<string, Node> {
  const names = new Map(flushed);
  for (const { gone, come } of changes) {
    if (!keeps()) continue;
    if (gone !== undefined) names.delete(gone);
    if (come !== undefined) names.set(come.name, come.node);
  }
  return names;
}

function read(path: string): DirectoryNode {
  const flushed = new Map<string, Node>();
  for (const name of readdirSync(path)) {
    const at = join(path, name);
    const stat = lstatSync(at);
    if (stat.isSymbolicLink()) flushed.set(name, { kind: 'link', target: readlinkSync(at) });
    else if (stat.isDirectory()) flushed.set(name, read(at));
    else {
      const content = readFileSync(at);
      flushed.set(name, { kind: 'file', flushed: content, content });
    }
  }
  return { kind: 'directory', flushed, changes: [] };
}

function write(directory: DirectoryNode, path: string, loss: Loss): void {
  mkdirSync(path, { recursive: true });
  for (const [name, node] of namesOf(directory, () => loss.keepsChange())) {
    const at = join(path, name);
    if (node.kind === 'link') symlinkSync(node.target, at);
    else if (node.kind === 'directory') write(node, at, loss);
    else writeFileSync(at, leftOf(node, loss));
  }
}

function leftOf({ flushed, content }: FileNode, loss: Loss): Uint8Array {
  if (content === flushed) return content;
  switch (loss.keeps()) {
    case 'everything':
      return content;
    case 'half':
      return content.subarray(0, content.length >> 1);
    default:
      return flushed;
  }
}
