import type { EventEmitter } from 'node:events';

interface MessageWriter<Message> extends EventEmitter {
  write(message: Message): boolean;
  readonly destroyed?: boolean;
}

/**
 * Writes one message and waits while the other side is not reading: gRPC's own back-pressure, as a promise.
 * @returns false where the stream closed before the message could be taken
 */
export async function send<Message>(stream: MessageWriter<Message>, message: Message): Promise<boolean> {
  if (stream.destroyed) return false;
  if (stream.write(message)) return true;
  return new Promise((resolve) => {
    const settle = (taken: boolean) => () => {
      for (const [name, listener] of listeners) stream.off(name, listener);
      resolve(taken);
    };
    const closed = settle(false);
    const listeners: [string, () => void][] = [
      ['drain', settle(true)],
      ['close', closed],
      ['error', closed],
      ['cancelled', closed],
      ['status', closed],
    ];
    for (const [name, listener] of listeners) stream.on(name, listener);
  });
}
