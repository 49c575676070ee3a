import { createServer } from 'node:net';
import { hostname, networkInterfaces } from 'node:os';
import { ADDRESS, type Address, parseAddress, UserError } from '@manyhands/core/config';

/**
 * @param option that the text was given for
 * @throws UserError where it is not HOST:PORT
 */
export function demandAddress(text: string, option = '--listen'): Address {
  const address = parseAddress(text);
  if (address === null) throw new UserError(`${option} is ${JSON.stringify(text)}, but must be ${ADDRESS}.`);
  return address;
}

/**
 * Binds the address for a moment, so that one that cannot be used is told before anything is prepared.
 * @throws UserError with what is wrong with it
 */
export async function tryAddress({ host, port }: Address): Promise<void> {
  const server = createServer();
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, resolve);
    });
  } catch (error) {
    throw new UserError(`--listen ${host}:${port} cannot be used: ${why(error)}.`);
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
}

function why(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : null;
  switch (code) {
    case 'EADDRINUSE':
      return 'the port is in use; choose another, or 0 for any free one';
    case 'EADDRNOTAVAIL':
      return 'it is no address of this machine';
    case 'EACCES':
      return 'ports below 1024 need more rights';
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return 'no such host is known';
    default:
      return error instanceof Error ? error.message : String(error);
  }
}

/** What others can dial where the coordinator listens on every address: the first one that is not this machine's own. */
export function reachable(host: string): string {
  if (host !== '0.0.0.0' && host !== '::') return host;
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return addresses.find(({ internal, family }) => !internal && family === 'IPv4')?.address ?? hostname();
}
