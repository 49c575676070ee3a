import type { EventEmitter } from 'node:events';

/** The writing side of a gRPC call. */
export interface MessageWriter<Message> extends EventEmitter {
  write(message: Message, taken: () => void): boolean;
  readonly destroyed?: boolean;
}

const ENDS = ['close', 'error', 'cancelled'] as const;

/**
 * Writes messages in order as they are made, waiting while the other side does not read (gRPC's back-pressure), and
 * resolves when every one has left: until then the stream may still hold their data, which must not change.
 * @param taken is told each message that has left
 * @returns false where the stream closed before; the next message is then not asked for
 * @throws what the making of a message throws
 */
export async function sendAll<Message>(
  stream: MessageWriter<Message>,
  messages: Iterable<Message> | AsyncIterable<Message>,
  taken: (message: Message) => void = () => {},
): Promise<boolean> {
  let closed = stream.destroyed === true;
  let full = false;
  let held = 0;
  let wake = () => {};
  const until = async (done: () => boolean) => {
    while (!closed && !done()) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  const drained = () => {
    full = false;
    wake();
  };
  const end = () => {
    closed = true;
    wake();
  };
  stream.on('drain', drained);
  for (const name of ENDS) stream.on(name, end);
  try {
    if (closed) return false;
    for await (const message of messages) {
      if (closed) return false;
      held += 1;
      full = !stream.write(message, () => {
        held -= 1;
        taken(message);
        wake();
      });
      await until(() => !full);
      if (closed) return false;
    }
    await until(() => held === 0);
    return !closed;
  } finally {
    stream.off('drain', drained);
    for (const name of ENDS) stream.off(name, end);
  }
}
