import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/* Lines between workers and their coordinator that treat what they carry badly. */

/** Connections of one session: one for weights and words, one for sums. */
const CONNECTIONS = 2;

export interface Line {
  /** Leads through the line. */
  readonly joinUrl: string;
  close(): void;
}

/** A line on which the first session goes dumb: what the worker says after its first `bytes` is lost. */
export function cutLine(joinUrl: string, bytes: number): Promise<Line> {
  let connections = 0;
  let left = bytes;
  return lineTo(joinUrl, (worker, coordinator) => {
    const dumb = connections++ < CONNECTIONS;
    coordinator.pipe(worker);
    worker.on('data', (data) => {
      const passed = dumb ? data.subarray(0, Math.max(0, left)) : data;
      if (dumb) left -= data.length;
      if (passed.length > 0) coordinator.write(passed);
    });
  });
}

/** A line that takes no more from the coordinator once a connection brought so many bytes down, until it is opened. */
export async function fullLine(joinUrl: string, bytes: number): Promise<Line & { open(): void }> {
  let opened = false;
  const paused = new Set<Socket>();
  const line = await lineTo(joinUrl, (worker, coordinator) => {
    let left = bytes;
    worker.pipe(coordinator);
    coordinator.on('data', (data) => {
      worker.write(data);
      left -= data.length;
      if (left > 0 || opened) return;
      coordinator.pause();
      paused.add(coordinator);
    });
  });
  const open = () => {
    opened = true;
    for (const coordinator of paused) coordinator.resume();
  };
  return { ...line, open };
}

/** @param carry moves what comes between the two ends of one connection */
async function lineTo(joinUrl: string, carry: (worker: Socket, coordinator: Socket) => void): Promise<Line> {
  const url = new URL(joinUrl);
  const { port, hostname } = url;
  const sockets = new Set<Socket>();
  const server = createServer((worker) => {
    const coordinator = connect(Number(port), hostname);
    const ends = [worker, coordinator];
    for (const end of ends) {
      sockets.add(end);
      end.on('error', () => {});
      end.on('close', () => {
        for (const other of ends) other.destroy();
        sockets.delete(end);
      });
    }
    carry(worker, coordinator);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address: AddressInfo | string | null = server.address();
  if (address === null || typeof address === 'string') throw new Error('the line has no port');
  url.port = String(address.port);
  return {
    joinUrl: url.href,
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
