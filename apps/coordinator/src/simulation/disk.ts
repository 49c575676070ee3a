import type { Dice } from './timeline.js';

/** A disk that refuses a write. */
export class DiskError extends Error {}

/** A file's blocks: as processes see them, and as they are on the medium. */
export class SimulatedFile {
  blocks: number[] = [];
  private durable: number[] = [];

  sync(): void {
    this.durable = [...this.blocks];
  }

  /** What was not flushed is there up to some block, or not at all. */
  losePower(dice: Dice): void {
    let same = 0;
    while (same < this.durable.length && this.blocks[same] === this.durable[same]) same += 1;
    const kept = dice.integer(same, Math.max(same, this.blocks.length));
    this.blocks = kept > same ? this.blocks.slice(0, kept) : this.durable;
    this.sync();
  }
}

/** A folder's names: changes reach the medium in order, at the latest when the folder is flushed. */
export class SimulatedFolder {
  private names = new Map<string, SimulatedFile | SimulatedFolder>();
  private durable = new Map<string, SimulatedFile | SimulatedFolder>();
  private changes: ((names: Map<string, SimulatedFile | SimulatedFolder>) => void)[] = [];

  /** In the order of their making. */
  list(): string[] {
    return [...this.names.keys()];
  }

  file(name: string): SimulatedFile | null {
    const found = this.names.get(name);
    return found instanceof SimulatedFile ? found : null;
  }

  folder(name: string): SimulatedFolder | null {
    const found = this.names.get(name);
    return found instanceof SimulatedFolder ? found : null;
  }

  create(name: string): SimulatedFile {
    const file = new SimulatedFile();
    this.change((names) => names.set(name, file));
    return file;
  }

  /** As it is where it is there already. */
  makeFolder(name: string): SimulatedFolder {
    const there = this.folder(name);
    if (there !== null) return there;
    const folder = new SimulatedFolder();
    this.change((names) => names.set(name, folder));
    return folder;
  }

  rename(from: string, to: string): void {
    this.change((names) => {
      const moved = names.get(from);
      if (moved === undefined) return;
      names.delete(from);
      names.set(to, moved);
    });
  }

  remove(name: string): void {
    this.change((names) => names.delete(name));
  }

  sync(): void {
    for (const change of this.changes.splice(0)) change(this.durable);
  }

  /** Of the changes that were not flushed, the first few or none are there. */
  losePower(dice: Dice): void {
    for (const change of this.changes.splice(0, dice.integer(0, this.changes.length))) change(this.durable);
    this.changes = [];
    this.names = new Map(this.durable);
    for (const entry of this.names.values()) entry.losePower(dice);
  }

  private change(change: (names: Map<string, SimulatedFile | SimulatedFolder>) => void): void {
    change(this.names);
    this.changes.push(change);
  }
}
