/** Where a run can be joined: what the coordinator prints and a worker is given. */
export interface JoinUrl {
  readonly host: string;
  readonly port: number;
  /** Proves that the worker was invited. */
  readonly token: string;
}

/** HOST:PORT, with the brackets that an IPv6 address needs. */
export function authority(host: string, port: number): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** `manyhands://HOST:PORT?token=…` */
export function formatJoinUrl({ host, port, token }: JoinUrl): string {
  return `manyhands://${authority(host, port)}?token=${encodeURIComponent(token)}`;
}

/** @throws Error with one sentence that never repeats the token */
export function parseJoinUrl(text: string): JoinUrl {
  const expected = 'expected manyhands://HOST:PORT?token=…, the line that the coordinator prints';
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw new Error(`the join URL cannot be read: ${expected}`);
  }
  if (url.protocol !== 'manyhands:')
    throw new Error(`the join URL begins with "${url.protocol}": ${expected}`);
  const port = Number(url.port);
  if (url.hostname === '' || !Number.isInteger(port) || port < 1) {
    throw new Error(`the join URL names no host and port: ${expected}`);
  }
  const token = url.searchParams.get('token') ?? '';
  if (token === '') throw new Error(`the join URL has no token: ${expected}`);
  return { host: url.hostname.replace(/^\[|\]$/g, ''), port, token };
}
