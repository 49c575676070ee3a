import { lookup } from 'node:dns/promises';
import { isIPv4 } from 'node:net';
import { networkInterfaces } from 'node:os';
import { UserError } from '@manyhands/core/config';
import { announceRun, DiscoveryError } from '@manyhands/proto';
import type { RunEvent } from './events.js';

/**
 * Lets workers find the run on this network by its token.
 * @param run the host that it listens on, and what else is announced
 * @throws UserError where it cannot be
 */
export async function announce(
  run: { readonly host: string; readonly port: number; readonly name: string; readonly ca: string },
  token: string,
  report: (event: RunEvent) => void,
): Promise<{ close(): Promise<void> }> {
  const addresses = await addressesOf(run.host);
  try {
    // A host with one address says by it which of its networks is meant.
    const options = addresses.length === 1 ? { interface: addresses[0] } : {};
    const warn = (text: string) => report({ kind: 'warning', text });
    const announced = await announceRun({ ...run, addresses }, token, warn, options);
    const text =
      'on this network `worker --discover --join TOKEN` is enough, with what stands after token= in the join line';
    report({ kind: 'status', text });
    return announced;
  } catch (error) {
    if (error instanceof DiscoveryError) throw new UserError(`--discover: ${error.message}.`);
    throw error;
  }
}

/** What workers on the network can dial. */
async function addressesOf(host: string): Promise<string[]> {
  if (isIPv4(host) && host !== '0.0.0.0') return [host];
  const found =
    host === '0.0.0.0' || host === '::'
      ? Object.values(networkInterfaces()).flatMap((list) => list ?? [])
      : await lookup(host, { all: true, family: 4 }).catch(() => []);
  const addresses = found.flatMap((one) =>
    isIPv4(one.address) && !('internal' in one && one.internal) ? [one.address] : [],
  );
  if (addresses.length > 0) return addresses;
  throw new UserError(`--discover announces IPv4 addresses, and ${host} has none that others reach.`);
}
