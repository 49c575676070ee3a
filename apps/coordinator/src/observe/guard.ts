import { isIP } from 'node:net';
import { isLoopback } from '@manyhands/proto';

/**
 * Why a request is refused; null where it may be answered. A web page of a stranger can have a browser ask any
 * address for it, under a name of its own that it points there (DNS rebinding): such a request says that name as its
 * Host, so only this machine's own are answered. Reading the answer from another page needs an Origin.
 * @param bound what the server was told to listen on
 * @param local the address through which this request came
 */
export function refusal(
  headers: { readonly host?: string | undefined; readonly origin?: string | undefined },
  bound: string,
  local: string,
): string | null {
  const host = hostOf(headers.host ?? '');
  if (host === null) return 'the request names no host';
  // The tail of an IPv4 address that came through an IPv6 socket.
  const address = local.replace(/^::ffff:/i, '');
  const own = isLoopback(host) || host === bound.toLowerCase() || (isIP(host) !== 0 && host === address);
  if (!own) return 'the request is for another host';
  const { origin } = headers;
  if (origin !== undefined && origin.toLowerCase() !== `http://${headers.host?.toLowerCase()}`)
    return 'the request comes from a page of another origin';
  return null;
}

/** The host of a Host header, without its port and brackets, in lower case; null where it is none. */
function hostOf(header: string): string | null {
  const match = /^(?:\[([0-9a-f:.]{2,45})\]|([a-z0-9._-]{1,253}))(?::\d{1,5})?$/i.exec(header);
  return match === null ? null : (match[1] ?? match[2] ?? '').toLowerCase();
}
