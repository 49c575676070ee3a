/** Where a run can be joined: what the coordinator prints and a worker is given. */
export interface JoinUrl {
  readonly host: string;
  readonly port: number;
  /** Proves that the worker was invited. */
  readonly token: string;
  /** sha256 of the certificate of the run's authority, 64 hexadecimal digits; absent where the connection is plain text. */
  readonly ca?: string;
}

/** HOST:PORT, with the brackets that an IPv6 address needs. */
export function authority(host: string, port: number): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** Whether what is sent there never leaves this machine. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}

/**
 * `manyhands://HOST:PORT?token=…&ca=…`. Plain text to another machine says `&insecure=1` instead, so that a line that
 * lost its end (`&` ends a command in a shell) is never taken for it.
 */
export function formatJoinUrl({ host, port, token, ca }: JoinUrl): string {
  const security = ca !== undefined ? `&ca=${ca}` : isLoopback(host) ? '' : '&insecure=1';
  return `manyhands://${authority(host, port)}?token=${encodeURIComponent(token)}${security}`;
}

/** @throws Error with one sentence that never repeats the token */
export function parseJoinUrl(text: string): JoinUrl {
  const expected = 'expected manyhands://HOST:PORT?token=…&ca=…, the line that the coordinator prints';
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw new Error(`the join URL cannot be read: ${expected}`);
  }
  if (url.protocol !== 'manyhands:')
    throw new Error(`the join URL begins with "${url.protocol.slice(0, 20)}": ${expected}`);
  const port = Number(url.port);
  if (url.hostname === '' || !Number.isInteger(port) || port < 1) {
    throw new Error(`the join URL names no host and port: ${expected}`);
  }
  const token = url.searchParams.get('token') ?? '';
  if (token === '') throw new Error(`the join URL has no token: ${expected}`);
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const ca = url.searchParams.get('ca');
  if (ca === null) {
    if (isLoopback(host) || url.searchParams.get('insecure') === '1') return { host, port, token };
    throw new Error(
      'the join URL of another machine ends with &ca=…, and this one was cut off before: paste it whole, in quotes',
    );
  }
  const fingerprint = ca.replaceAll(':', '').toLowerCase();
  if (!/^[0-9a-f]{64}$/.test(fingerprint)) {
    throw new Error(
      'the join URL has no whole fingerprint after &ca=, 64 hexadecimal digits: paste it whole',
    );
  }
  return { host, port, token, ca: fingerprint };
}
