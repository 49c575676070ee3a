export { type Client, type Metadata, type Server, type sendUnaryData, status } from '@grpc/grpc-js';
export { Authority, COORDINATOR_NAME, createRequest, type KeyPair, RequestError } from './certificates.js';
export {
  type Credentials,
  connect,
  createServer,
  explainStatus,
  type ListenOptions,
  listen,
  type ServerSecurity,
  sameSecret,
  TLS_VERSION,
  tokenOf,
} from './connection.js';
export { announceRun, DiscoveryError, findRun } from './discovery.js';
export { EnrolmentError, enrol, type Identity } from './enrolment.js';
export type { Assignment, Assignment__Output } from './generated/manyhands/v1/Assignment.js';
export type {
  CoordinatorMessage,
  CoordinatorMessage__Output,
} from './generated/manyhands/v1/CoordinatorMessage.js';
export type { EnrollRequest__Output } from './generated/manyhands/v1/EnrollRequest.js';
export type { Losses, Losses__Output } from './generated/manyhands/v1/Losses.js';
export type { MicroBatch, MicroBatch__Output } from './generated/manyhands/v1/MicroBatch.js';
export type { PartialSum, PartialSum__Output } from './generated/manyhands/v1/PartialSum.js';
export type { Shape } from './generated/manyhands/v1/Shape.js';
export type { TensorChunk, TensorChunk__Output } from './generated/manyhands/v1/TensorChunk.js';
export type { TrainingClient, TrainingHandlers } from './generated/manyhands/v1/Training.js';
export type { Welcome__Output } from './generated/manyhands/v1/Welcome.js';
export type { WorkerMessage, WorkerMessage__Output } from './generated/manyhands/v1/WorkerMessage.js';
export { formatJoinUrl, isLoopback, type JoinUrl, parseJoinUrl } from './join-url.js';
export { readPrivateFile, writePrivateFile } from './private-file.js';
export { SharedMemory, SharedTensor } from './shared-memory.js';
export { type MessageWriter, sendAll } from './streams.js';
export {
  announce,
  CHUNK_BYTES,
  CHUNK_VALUES,
  ChunkMemory,
  type Encoded,
  type EncodedChunk,
  type EncodedPartialSum,
  type Piece,
  type Place,
  pieceCount,
  piecesOf,
  readChunk,
  TensorAssembler,
  TensorError,
} from './tensor-chunks.js';
export {
  KNOCK_SECONDS,
  MAXIMUM_MESSAGE_BYTES,
  MAXIMUM_REQUEST_MESSAGE_BYTES,
  PROTOCOL_VERSION,
  Training,
} from './wire.js';
