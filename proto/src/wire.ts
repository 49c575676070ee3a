import { fileURLToPath } from 'node:url';
import { loadPackageDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import type { ProtoGrpcType } from './generated/training.js';

/** Grows when an old worker could misunderstand a new coordinator, or the other way round. */
export const PROTOCOL_VERSION = 4;

/** A worker that has lost its coordinator knocks at least this often, in seconds. */
export const KNOCK_SECONDS = 7.5;

/** The largest message that a worker accepts, in bytes: an assignment with all its tokens fits. */
export const MAXIMUM_MESSAGE_BYTES = 32 * 1024 * 1024;

/** The largest message that a coordinator accepts, in bytes: a piece of a sum, or the losses of a long range. */
export const MAXIMUM_REQUEST_MESSAGE_BYTES = 1024 * 1024;

const definition = loadSync('manyhands/v1/training.proto', {
  includeDirs: [fileURLToPath(new URL('..', import.meta.url))],
  longs: Number,
  enums: String,
  defaults: true,
  oneofs: true,
});

const methods = definition['manyhands.v1.Training'];
if (methods === undefined || 'format' in methods)
  throw new Error('training.proto defines no service Training');
methods.Gradients.requestSerialize = asItLies(methods.Gradients.requestSerialize);
methods.Weights.responseSerialize = asItLies(methods.Weights.responseSerialize);

/** The service as the .proto file defines it; the types are generated from the same file by the same options. */
export const { Training } = (loadPackageDefinition(definition) as unknown as ProtoGrpcType).manyhands.v1;

/** Sends a message that was encoded in place as it is: the bulk is not copied once more. */
function asItLies(serialize: (message: object) => Buffer): (message: object) => Buffer {
  return (message) =>
    'wire' in message && Buffer.isBuffer(message.wire) ? message.wire : serialize(message);
}
