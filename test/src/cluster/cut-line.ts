import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/**
 * A line between a worker and its coordinator that breaks once: when `bytes` have gone up. `joinUrl` leads through it;
 * after the break it carries whatever comes.
 */
export async function cutLine(joinUrl: string, bytes: number) {
  const target = new URL(joinUrl);
  const sockets = new Set<Socket>();
  let up = 0;
  let broken = false;
  const server = createServer((worker) => {
    const coordinator = connect(Number(target.port), target.hostname);
    const ends = [worker, coordinator];
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
      up += data.length;
      if (!broken && up > bytes) {
        broken = true;
        // What came before is delivered: the loss strikes in the middle of a tensor.
        coordinator.end(data);
        worker.destroy();
        return;
      }
      coordinator.write(data);
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
    isBroken: () => broken,
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
