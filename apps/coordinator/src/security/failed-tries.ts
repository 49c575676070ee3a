import { isIPv6 } from 'node:net';
import { Bucket } from './bucket.js';

/** Wrong tokens from one network: so many at once, then one in so many seconds. */
const PER_NETWORK = { burst: 10, perSecond: 1 / 6 };
/** From all of them. */
const IN_ALL = { burst: 300, perSecond: 5 };
/** Networks that are remembered; beyond them the one that failed first is forgotten, and what all may do counts. */
const MOST_NETWORKS = 1000;

/** Slows down whoever guesses: a network that failed too often is not listened to for a while. */
export class FailedTries {
  private readonly networks = new Map<string, Bucket>();
  private readonly all: Bucket;

  /** @param clock milliseconds that only grow */
  constructor(private readonly clock: () => number = () => performance.now()) {
    this.all = new Bucket(IN_ALL.burst, IN_ALL.perSecond, clock);
  }

  /** Whether a token from there is looked at. */
  mayTry(address: string): boolean {
    return this.all.open && (this.networks.get(networkOf(address))?.open ?? true);
  }

  /** A wrong token came from there. */
  failed(address: string): void {
    this.all.take();
    const network = networkOf(address);
    const bucket =
      this.networks.get(network) ?? new Bucket(PER_NETWORK.burst, PER_NETWORK.perSecond, this.clock);
    bucket.take();
    this.networks.set(network, bucket);
    if (this.networks.size <= MOST_NETWORKS) return;
    for (const [name, { whole }] of this.networks) if (whole) this.networks.delete(name);
    const [first] = this.networks.keys();
    if (this.networks.size > MOST_NETWORKS) this.networks.delete(first);
  }

  /** How many networks are remembered. */
  get size(): number {
    return this.networks.size;
  }
}

/** Addresses that one party can have as many of as it likes count as one: an IPv4 address, 64 bits of IPv6. */
export function networkOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  if (mapped !== null) return mapped[1];
  if (!isIPv6(address)) return address;
  const [head, tail = ''] = address.replace(/%.*$/, '').toLowerCase().split('::');
  const [before, after] = [head, tail].map((part) => part.split(':').filter((group) => group !== ''));
  const zeros = new Array<string>(Math.max(0, 8 - before.length - after.length)).fill('0');
  return `${[...before, ...zeros, ...after].slice(0, 4).join(':')}::/64`;
}
