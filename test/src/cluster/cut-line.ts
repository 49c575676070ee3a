import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** Connections of one session: one for weights and words, one for sums. */
const CONNECTIONS = 2;

/**
 * A line between a worker and its coordinator, on which the first session goes dumb: what the worker says after its
 * first `bytes` is lost. `joinUrl` leads through it; the connections of later sessions carry whatever comes.
 */
export async function cutLine(joinUrl: string, bytes: number) {
  const target = new URL(joinUrl);
  const sockets = new Set<Socket>();
  let connections = 0;
  let left = bytes;
  const server = createServer((worker) => {
    const coordinator = connect(Number(target.port), target.hostname);
    const ends = [worker, coordinator];
    const dumb = connections++ < CONNECTIONS;
    for (const end of ends) {
      sockets.add(end);
      end.on('error', () => {});
      end.on('close', () => {
        for (const other of ends) other.destroy();
        sockets.delete(end);
      });
    }
    coordinator.pipe(worker);
    worker.on('data', (data) => {
      const passed = dumb ? data.subarray(0, Math.max(0, left)) : data;
      if (dumb) left -= data.length;
      if (passed.length > 0) coordinator.write(passed);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = new URL(joinUrl);
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
