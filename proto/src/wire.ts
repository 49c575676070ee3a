import { fileURLToPath } from 'node:url';
import { loadPackageDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import type { ProtoGrpcType } from './generated/training.js';

/** Grows when an old worker could misunderstand a new coordinator, or the other way round. */
export const PROTOCOL_VERSION = 2;

/** The largest message that either side accepts, in bytes: an assignment with all its tokens fits. */
export const MAXIMUM_MESSAGE_BYTES = 32 * 1024 * 1024;

const definition = loadSync('manyhands/v1/training.proto', {
  includeDirs: [fileURLToPath(new URL('..', import.meta.url))],
  longs: Number,
  enums: String,
  defaults: true,
  oneofs: true,
});

/** The service as the .proto file defines it; the types are generated from the same file by the same options. */
export const { Training } = (loadPackageDefinition(definition) as unknown as ProtoGrpcType).manyhands.v1;
