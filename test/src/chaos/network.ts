import { execFileSync, spawnSync } from 'node:child_process';

/**
 * Real network faults: the coordinator and each worker in a network namespace of its own, joined by a bridge. Lines are
 * cut by a neighbour entry with a wrong address: frames leave and nobody takes them, one way or both, as with a dead switch.
 */

const WRONG_MAC = '02:00:00:00:00:01';

export type LineFault =
  | { readonly kind: 'latency'; readonly milliseconds: number }
  | { readonly kind: 'loss'; readonly percent: number }
  | { readonly kind: 'rate'; readonly megabits: number }
  | { readonly kind: 'cut'; readonly to: boolean; readonly from: boolean };

export class Network {
  /** What this kernel's queues can do. */
  readonly netem: boolean;
  readonly #hub: string;
  readonly #names: readonly string[];

  /** @param workers namespaces for so many */
  constructor(workers: number) {
    const id = `mh${process.pid}`;
    this.#hub = `${id}h`;
    this.#names = Array.from({ length: workers }, (_, index) => `${id}w${index + 1}`);
    try {
      ip('netns', 'add', this.#hub);
      this.#inside(this.#hub, 'ip', 'link', 'add', 'br0', 'type', 'bridge');
      this.#inside(this.#hub, 'ip', 'addr', 'add', `${this.address}/24`, 'dev', 'br0');
      for (const link of ['lo', 'br0']) this.#inside(this.#hub, 'ip', 'link', 'set', link, 'up');
      for (const [index, name] of this.#names.entries()) {
        ip('netns', 'add', name);
        const port = `v${index + 1}`;
        const ends = ['link', 'add', port, 'type', 'veth', 'peer', 'name', 'e0', 'netns', name];
        this.#inside(this.#hub, 'ip', ...ends);
        this.#inside(this.#hub, 'ip', 'link', 'set', port, 'master', 'br0', 'up');
        this.#inside(name, 'ip', 'addr', 'add', `${addressOf(index)}/24`, 'dev', 'e0');
        for (const link of ['lo', 'e0']) this.#inside(name, 'ip', 'link', 'set', link, 'up');
      }
      this.netem = this.#can('netem', 'delay', '1ms');
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Why there can be none; null where there can. */
  static missing(): string | null {
    if (process.getuid?.() !== 0) return 'network namespaces need root';
    const probe = `mh${process.pid}probe`;
    const { status, stderr, error } = spawnSync('ip', ['netns', 'add', probe], { encoding: 'utf8' });
    if (error !== undefined) return 'there is no program `ip`';
    if (status !== 0) return `no network namespace can be made: ${stderr.trim()}`;
    ip('netns', 'del', probe);
    return null;
  }

  /** Of the coordinator. */
  get address(): string {
    return '10.213.77.1';
  }

  get withinCoordinator(): readonly string[] {
    return within(this.#hub);
  }

  withinWorker(index: number): readonly string[] {
    return within(this.#names[index]);
  }

  /** Starts a fault on a worker's line, for what goes to the coordinator and what comes; returns what ends it. */
  fault(index: number, fault: LineFault): () => void {
    switch (fault.kind) {
      case 'cut':
        return this.#cut(index, fault);
      case 'latency':
        return this.#queue(index, 'netem', 'delay', `${fault.milliseconds}ms`);
      case 'loss':
        return this.#queue(index, 'netem', 'loss', `${fault.percent}%`);
      case 'rate':
        // A burst below what one packet needs would stop everything.
        return this.#queue(
          index,
          'tbf',
          'rate',
          `${fault.megabits}mbit`,
          'burst',
          '64kb',
          'latency',
          '200ms',
        );
      default:
        fault satisfies never;
        return () => {};
    }
  }

  /** Removes every namespace, and with them the lines between them. */
  close(): void {
    for (const name of [...this.#names, this.#hub])
      spawnSync('ip', ['netns', 'del', name], { stdio: 'ignore' });
  }

  #cut(index: number, { to, from }: { readonly to: boolean; readonly from: boolean }): () => void {
    const sides: [namespace: string, peer: string, device: string][] = [];
    if (to) sides.push([this.#names[index], this.address, 'e0']);
    if (from) sides.push([this.#hub, addressOf(index), 'br0']);
    for (const [namespace, peer, device] of sides) {
      const entry = ['neigh', 'replace', peer, 'lladdr', WRONG_MAC, 'dev', device, 'nud', 'permanent'];
      this.#inside(namespace, 'ip', ...entry);
    }
    return () => {
      for (const [namespace, peer, device] of sides) {
        this.#inside(namespace, 'ip', 'neigh', 'del', peer, 'dev', device);
      }
    };
  }

  /** Both ends of the line get the same queue. */
  #queue(index: number, ...queue: readonly string[]): () => void {
    const ends: [namespace: string, device: string][] = [
      [this.#names[index], 'e0'],
      [this.#hub, `v${index + 1}`],
    ];
    for (const [namespace, device] of ends) {
      this.#inside(namespace, 'tc', 'qdisc', 'replace', 'dev', device, 'root', ...queue);
    }
    return () => {
      for (const [namespace, device] of ends) {
        this.#inside(namespace, 'tc', 'qdisc', 'del', 'dev', device, 'root');
      }
    };
  }

  #can(...queue: readonly string[]): boolean {
    const args = [...within(this.#hub).slice(1), 'tc', 'qdisc', 'replace', 'dev', 'lo', 'root', ...queue];
    return spawnSync('ip', args, { stdio: 'ignore' }).status === 0;
  }

  #inside(namespace: string, ...command: readonly string[]): void {
    ip('netns', 'exec', namespace, ...command);
  }
}

function addressOf(worker: number): string {
  return `10.213.77.${10 + worker}`;
}

function within(namespace: string): readonly string[] {
  return ['ip', 'netns', 'exec', namespace];
}

function ip(...args: readonly string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}
