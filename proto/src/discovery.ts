import { createHmac } from 'node:crypto';
import { isIPv4 } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { MulticastDNS } from 'multicast-dns';
import { sameSecret } from './connection.js';
import { authority, type JoinUrl } from './join-url.js';

/*
 * Finding a run on the network that one is in: DNS-based service discovery (RFC 6763) over multicast DNS (RFC 6762).
 *
 * Anybody on that network can answer. So an announcement carries a proof, an HMAC under the run's token of all that it
 * says, the fingerprint of the run's authority above all: who knows the token knows its run by it, and the token itself
 * is sent to nobody but the owner of that authority. A false answer costs nothing but the time to check it.
 */

const TYPE = '_manyhands._tcp.local';

/** What is announced of a run. */
export interface Announcement {
  /** For people: the run's name. */
  readonly name: string;
  /** IPv4 addresses that it listens on. */
  readonly addresses: readonly string[];
  readonly port: number;
  /** sha256 of the certificate of the run's authority, 64 hexadecimal digits. */
  readonly ca: string;
}

export interface DiscoveryOptions {
  /** The address of the interface to use; default: the one to the network. */
  readonly interface?: string;
  /** Of UDP; default 5353. */
  readonly port?: number;
  /** Milliseconds to look for. */
  readonly patience?: number;
}

/** A run could not be announced or found; one sentence. */
export class DiscoveryError extends Error {
  override readonly name = 'DiscoveryError';
}

const MOST_ADDRESSES = 16;
/** Seconds that an answer may be remembered. */
const TTL = 120;
/** RFC 6762, 6: a record is not multicast more often. */
const ANSWER_EVERY_MILLISECONDS = 1000;

const PATIENCE_MILLISECONDS = 20_000;
const ASK_EVERY_MILLISECONDS = 1000;
/** How long other answers are waited for after the first good one: there should be none. */
const SETTLE_MILLISECONDS = 500;
/** Announcements that are looked at, and records of one answer. */
const MOST_ANSWERS = 1000;
const MOST_RECORDS = 64;

/**
 * Answers whoever asks for runs on this network, until `close`.
 * @param warn is told once where the network refuses what is sent
 * @throws DiscoveryError where the port cannot be used
 */
export async function announceRun(
  { name, addresses, port, ca }: Announcement,
  token: string,
  warn: (sentence: string) => void,
  options: DiscoveryOptions = {},
): Promise<{ close(): Promise<void> }> {
  const label = `${name.replace(/[^\w-]/g, '-').slice(0, 40) || 'run'}-${ca.slice(0, 8)}`;
  const instance = `${label}.${TYPE}`;
  const target = `manyhands-${ca.slice(0, 16)}.local`;
  const said = { name: label, addresses: addresses.slice(0, MOST_ADDRESSES), port, ca };
  const txt = [`ca=${ca}`, `proof=${proofOf(said, token)}`];
  const answer = {
    answers: [{ name: TYPE, type: 'PTR' as const, ttl: TTL, data: instance }],
    additionals: [
      { name: instance, type: 'SRV' as const, ttl: TTL, data: { port, target, priority: 0, weight: 0 } },
      { name: instance, type: 'TXT' as const, ttl: TTL, data: txt },
      ...said.addresses.map((data) => ({ name: target, type: 'A' as const, ttl: TTL, data })),
    ],
  };
  const socket = await open(options);
  let told = false;
  socket.on('warning', (error) => {
    if (told || !('syscall' in error)) return; // others may send what is no DNS
    told = true;
    warn(`the run cannot be announced on this network: ${error.message}`);
  });
  let answeredAt = Number.NEGATIVE_INFINITY;
  socket.on('query', ({ questions = [] }) => {
    const asked = questions.some(({ type, name }) => type === 'PTR' && name.toLowerCase() === TYPE);
    if (!asked || performance.now() - answeredAt < ANSWER_EVERY_MILLISECONDS) return;
    answeredAt = performance.now();
    socket.respond(answer);
  });
  return { close: () => new Promise((closed) => socket.destroy(closed)) };
}

/**
 * Looks on this network for the run that a token belongs to.
 * @param ca the fingerprint of its authority where it is known
 * @throws DiscoveryError where none answers in time, or more than one
 */
export async function findRun(
  { token, ca }: { readonly token: string; readonly ca?: string },
  { patience = PATIENCE_MILLISECONDS, ...options }: DiscoveryOptions = {},
): Promise<JoinUrl> {
  const socket = await open(options);
  const found = new Map<string, JoinUrl>();
  const others = new Set<string>();
  const settled = new AbortController();
  let answers = 0;
  let trouble: string | null = null;
  socket.on('warning', (error) => {
    if ('syscall' in error) trouble = error.message;
  });
  socket.on('response', ({ answers: own = [], additionals = [] }, { address }) => {
    const records = [...own, ...additionals].slice(0, MOST_RECORDS);
    for (const { proof, ...said } of announcementsIn(records)) {
      answers += 1;
      if (answers > MOST_ANSWERS) return settled.abort();
      const ours = sameSecret(proof, proofOf(said, token)) && (ca === undefined || ca === said.ca);
      if (!ours) {
        if (others.size < MOST_RECORDS) others.add(said.ca);
        continue;
      }
      const host = said.addresses.includes(address) ? address : said.addresses[0];
      found.set(proof, { host, port: said.port, token, ca: said.ca });
      if (found.size === 1) setTimeout(() => settled.abort(), SETTLE_MILLISECONDS);
    }
  });
  try {
    const until = performance.now() + patience;
    while (!settled.signal.aborted && performance.now() < until) {
      socket.query(TYPE, 'PTR');
      await delay(ASK_EVERY_MILLISECONDS, undefined, { signal: settled.signal }).catch(() => {});
    }
  } finally {
    await new Promise<void>((closed) => socket.destroy(closed));
  }
  const [run, ...more] = found.values();
  if (answers > MOST_ANSWERS) {
    throw new DiscoveryError(
      `somebody floods this network with runs (more than ${MOST_ANSWERS}): give the whole join line instead`,
    );
  }
  if (more.length > 0) {
    const where = [run, ...more].slice(0, 4).map(({ host, port }) => authority(host, port));
    throw new DiscoveryError(
      `${found.size} runs on this network have this token (${where.join(', ')}): give the whole join line of the one that is meant`,
    );
  }
  if (run !== undefined) return run;
  const seen = others.size === 0 ? 'none answered' : `of ${others.size} that answered, none has this token`;
  const why = trouble === null ? '' : `; the network said: ${trouble}`;
  throw new DiscoveryError(
    `no such run was found on this network in ${patience / 1000} s (${seen}${why}): is its coordinator started with --discover, and on the same network? Otherwise give the whole join line`,
  );
}

/** base64url, of all that an announcement says. */
function proofOf({ name, addresses, port, ca }: Announcement, token: string): string {
  const text = JSON.stringify(['manyhands discovery', name, port, ca, ...[...addresses].sort()]);
  return createHmac('sha256', token).update(text).digest('base64url');
}

/** What the records of one answer, which anybody may have sent, say of runs. */
function* announcementsIn(
  records: readonly { readonly type: string; readonly name?: unknown; readonly data?: unknown }[],
): Generator<Announcement & { readonly proof: string }> {
  for (const { type, name: instance, data } of records) {
    if (type !== 'SRV' || typeof instance !== 'string' || !instance.endsWith(`.${TYPE}`)) continue;
    if (typeof data !== 'object' || data === null || !('port' in data && 'target' in data)) continue;
    const { port, target } = data;
    if (typeof port !== 'number' || port < 1) continue;
    const texts = records.find((other) => other.type === 'TXT' && other.name === instance)?.data;
    const values = new Map(
      (Array.isArray(texts) ? texts : []).map((text) => {
        const [key, value = ''] = String(text).split('=', 2);
        return [key, value] as const;
      }),
    );
    const ca = values.get('ca') ?? '';
    const proof = values.get('proof') ?? '';
    const addresses = records.flatMap((other) =>
      other.type === 'A' && other.name === target && typeof other.data === 'string' && isIPv4(other.data)
        ? [other.data]
        : [],
    );
    if (!/^[0-9a-f]{64}$/.test(ca) || addresses.length === 0 || addresses.length > MOST_ADDRESSES) continue;
    yield { name: instance.slice(0, -TYPE.length - 1), addresses, port, ca, proof };
  }
}

/** @throws DiscoveryError where the port cannot be used */
async function open({ interface: address, port }: DiscoveryOptions): Promise<MulticastDNS> {
  const { default: multicast } = await import('multicast-dns');
  const socket = multicast({
    // Bound to every address, since what is sent to the group comes to none of them.
    bind: '0.0.0.0',
    ...(address !== undefined && { interface: address }),
    ...(port !== undefined && { port }),
  });
  await new Promise<void>((resolve, reject) => {
    socket.once('ready', resolve);
    socket.once('error', (error) => {
      reject(new DiscoveryError(`multicast DNS cannot be used: ${error.message}`));
    });
  });
  socket.on('error', (error) => socket.emit('warning', error));
  return socket;
}
