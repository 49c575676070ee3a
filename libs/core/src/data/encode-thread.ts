/** One thread of the pool: text in, tokens out. Started by encode-pool.ts. */
import { parentPort, workerData } from 'node:worker_threads';
import type { EncodeReply, EncodeRequest, Encoder, EncoderSpec } from './encoder.js';
import { type Tokens, tokenWidth } from './shard.js';

const port = parentPort;
if (!port) throw new Error('encode-thread runs inside a worker thread only');

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** What went wrong, as a sentence that ends. */
function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

async function createEncoder({ module, spec }: EncoderSpec): Promise<Encoder> {
  const imported: { createEncoder?: (spec: string) => Encoder | Promise<Encoder> } = await import(module);
  if (typeof imported.createEncoder !== 'function')
    throw new Error(`${module} exports no function createEncoder`);
  return imported.createEncoder(spec);
}

function encode(encoder: Encoder, { bytes, pieces }: EncodeRequest): EncodeReply {
  const parts: ArrayLike<number>[] = [];
  let position = 0;
  let count = 0;
  for (const [index, { length, separate }] of pieces.entries()) {
    try {
      const ids = encoder.encode(decoder.decode(bytes.subarray(position, position + length)));
      if (separate && encoder.endOfText !== null) parts.push([encoder.endOfText]);
      parts.push(ids);
    } catch (error) {
      return { kind: 'failed', piece: index, message: messageOf(error) };
    }
    position += length;
  }
  for (const part of parts) count += part.length;
  const tokens: Tokens =
    tokenWidth(encoder.vocabSize) === 2 ? new Uint16Array(count) : new Uint32Array(count);
  let at = 0;
  for (const part of parts) {
    for (let index = 0; index < part.length; index++) {
      const id = part[index];
      if (id === undefined || id >>> 0 !== id || id >= encoder.vocabSize) {
        return { kind: 'failed', piece: 0, message: `token ${id} is outside of ${encoder.vocabSize}.` };
      }
      tokens[at++] = id;
    }
  }
  return { kind: 'encoded', tokens };
}

try {
  const encoder = await createEncoder(workerData);
  const { endOfText, vocabSize, hash } = encoder;
  port.on('message', (request: EncodeRequest) => {
    const reply = encode(encoder, request);
    port.postMessage(reply, reply.kind === 'encoded' ? [reply.tokens.buffer] : []);
  });
  const { heapTotal, external } = process.memoryUsage(); // of this thread
  const ready: EncodeReply = {
    kind: 'ready',
    info: { endOfText, vocabSize, hash },
    memory: heapTotal + external,
  };
  port.postMessage(ready);
} catch (error) {
  port.postMessage({ kind: 'failed', piece: null, message: messageOf(error) } satisfies EncodeReply);
}
