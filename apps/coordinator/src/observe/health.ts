import { ReflectionService } from '@grpc/reflection';
import { type Server, Training } from '@manyhands/proto';
import { HealthImplementation } from 'grpc-health-check';

const SERVICES = ['', 'manyhands.v1.Training'];

/** What a gRPC server says of itself. */
export interface Health {
  /** The run is open: SERVING from now on. */
  open(): void;
  /** The run is over: NOT_SERVING, told to those who watch too. */
  ended(): void;
}

/**
 * Adds grpc.health.v1 to a server, NOT_SERVING at first, and grpc.reflection.v1 where it is wanted: what the .proto
 * file says, which is public. Both come before the server listens.
 */
export function addHealth(server: Server, { reflection }: { readonly reflection: boolean }): Health {
  const health = new HealthImplementation();
  const say = (status: 'SERVING' | 'NOT_SERVING') => {
    for (const service of SERVICES) health.setStatus(service, status);
  };
  say('NOT_SERVING');
  health.addToServer(server);
  if (reflection) {
    const { Work } = Training.service;
    // A message carries the whole file that it is from.
    new ReflectionService({ file: Work.requestType }).addToServer(server);
  }
  return { open: () => say('SERVING'), ended: () => say('NOT_SERVING') };
}
