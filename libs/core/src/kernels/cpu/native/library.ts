import { createRequire } from 'node:module';
import { type GemmKind, gemmModel } from './gemm-model.js';

/** A tensor as the library takes it: a view of memory, not a copy. */
export interface NativeTensor {
  readonly dims: readonly number[];
  readonly data: Float32Array;
}

/** Computes y from a, b and perhaps c, all in place, on the calling thread. */
export interface NativeSession {
  run(feeds: Record<string, NativeTensor>, fetches: { y: NativeTensor }, options: object): unknown;
}

interface LoadedLibrary {
  readonly version: string;
  session(kind: GemmKind): NativeSession;
  tensor(data: Float32Array, dims: readonly number[]): NativeTensor;
}

export type NativeLibrary = { readonly version: string } | { readonly missing: string };

let found: LoadedLibrary | { readonly missing: string } | null = null;

/** onnxruntime-node, whose Gemm is MLAS: the fastest code for this processor. An optional dependency. */
export function nativeLibrary(): NativeLibrary {
  const library = load();
  return 'missing' in library ? library : { version: library.version };
}

/** null where it is not installed or does not load here. */
export function loadedLibrary(): LoadedLibrary | null {
  const library = load();
  return 'missing' in library ? null : library;
}

function load(): LoadedLibrary | { readonly missing: string } {
  found ??= tryToLoad();
  return found;
}

function tryToLoad(): LoadedLibrary | { readonly missing: string } {
  const require = createRequire(import.meta.url);
  try {
    // The package's own `run` waits a turn of the event loop; the binding beneath it computes at once.
    const { binding, initOrt } = require('onnxruntime-node/dist/binding.js');
    const { Tensor } = require('onnxruntime-common');
    const { version } = require('onnxruntime-node/package.json');
    initOrt();
    return {
      version,
      tensor: (data, dims) => new Tensor('float32', data, dims),
      session: (kind) => {
        const { buffer, byteOffset, byteLength } = gemmModel(kind);
        const session = new binding.InferenceSession();
        session.loadModel(buffer, byteOffset, byteLength, {
          intraOpNumThreads: 1,
          interOpNumThreads: 1,
          executionMode: 'sequential',
          graphOptimizationLevel: 'disabled',
          enableCpuMemArena: false,
          enableMemPattern: false,
          logSeverityLevel: 3,
        });
        return session;
      },
    };
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('\n', 1)[0] : String(error);
    const code = error instanceof Error && 'code' in error ? error.code : null;
    return { missing: code === 'MODULE_NOT_FOUND' ? 'onnxruntime-node is not installed' : reason };
  }
}
