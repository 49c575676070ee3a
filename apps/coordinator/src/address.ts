import { createServer } from 'node:net';
import { hostname, networkInterfaces } from 'node:os';
import { UserError } from '@manyhands/core/config';

export interface Address {
  readonly host: string;
  readonly port: number;
}

/**
 * @param option that the text was given for
 * @throws UserError where it is not HOST:PORT
 */
export function parseAddress(text: string, option = '--listen'): Address {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,9})$/.exec(text);
  if (match === null)
    throw new UserError(`${option} ${text} is not HOST:PORT, such as 127.0.0.1:0 or [::1]:7070.`);
  const port = Number(match[3]);
  if (port > 65535)
    throw new UserError(`${option} ${text}: the port must be from 0 to 65535, where 0 takes a free one.`);
  return { host: match[1] ?? match[2], port };
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
