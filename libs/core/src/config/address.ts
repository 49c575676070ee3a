/** Where a server listens; port 0 takes any free one. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** What an address must be, in words. */
export const ADDRESS = 'HOST:PORT, such as 127.0.0.1:0 or [::]:7070';

/** HOST:PORT, with an IPv6 address in brackets; null where it is none. */
export function parseAddress(text: string): Address | null {
  const match = /^(?:\[([0-9a-fA-F:.]{2,45})\]|([A-Za-z0-9._-]{1,253})):(\d{1,5})$/.exec(text);
  if (match === null || Number(match[3]) > 65535) return null;
  return { host: match[1] ?? match[2], port: Number(match[3]) };
}
