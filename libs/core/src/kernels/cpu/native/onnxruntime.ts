import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { KernelError } from '../../kernels.js';
import { type GemmKind, gemmModel } from './gemm-model.js';

/*
 * onnxruntime, whose Gemm is MLAS: the fastest code for this processor. Its C interface is called directly: the
 * package's own binding copies each result into a new array, which costs more than a small product itself.
 */

/** A matrix in memory that stays where it is while it is bound. */
export interface NativeMatrix {
  readonly data: Float32Array;
  readonly dims: readonly number[];
}

/** A product whose factors and result lie at fixed places: computed on the calling thread at each run. */
export interface BoundGemm {
  run(): void;
  release(): void;
}

/** y = a · b (+ c) of any sizes. */
export interface NativeGemm {
  bind(matrices: {
    readonly a: NativeMatrix;
    readonly b: NativeMatrix;
    readonly c?: NativeMatrix;
    readonly y: NativeMatrix;
  }): BoundGemm;
}

export interface LoadedLibrary {
  readonly version: string;
  /** Held so that the library is not unloaded while its functions are in use. */
  readonly handle: object;
  gemm(kind: GemmKind): NativeGemm;
}

export type NativeLibrary = { readonly version: string } | { readonly missing: string };

type Loaded = LoadedLibrary | { readonly missing: string };
let loaded: Loaded | null = null;

/** Whether the library is there, and why not. */
export function nativeLibrary(): NativeLibrary {
  const library = load();
  return 'missing' in library ? library : { version: library.version };
}

/** null where it is not installed or does not load here. */
export function loadedLibrary(): LoadedLibrary | null {
  const library = load();
  return 'missing' in library ? null : library;
}

function load(): Loaded {
  loaded ??= tryToLoad();
  return loaded;
}

function tryToLoad(): Loaded {
  const require = createRequire(import.meta.url);
  try {
    const folder = join(
      dirname(require.resolve('onnxruntime-node/package.json')),
      ...['bin', 'napi-v6', process.platform, process.arch],
    );
    const file = readdirSync(folder).find((name) => /^(lib)?onnxruntime\.(so|dll|.*dylib)/.test(name));
    if (file === undefined)
      return { missing: `onnxruntime-node brings no library for ${process.platform}-${process.arch}` };
    return open(require('koffi'), join(folder, file));
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : null;
    if (code === 'MODULE_NOT_FOUND') return { missing: 'onnxruntime-node or koffi is not installed' };
    return { missing: error instanceof Error ? error.message.split('\n', 1)[0] : String(error) };
  }
}

type Koffi = typeof import('koffi');
/** A pointer of the library's. */
type Handle = object;
type Status = Handle | null;
type Made = [Handle | null];

/** Places in the library's table of functions (OrtApi of onnxruntime_c_api.h), which only ever grows. */
const table = {
  errorMessage: [2, 'const char *errorMessage(void *status)'],
  createEnvironment: [3, 'void *createEnvironment(int level, const char *name, _Out_ void **made)'],
  createSession: [
    8,
    'void *createSession(void *env, const void *model, size_t bytes, void *options, _Out_ void **made)',
  ],
  createOptions: [10, 'void *createOptions(_Out_ void **made)'],
  noMemoryPattern: [17, 'void *noMemoryPattern(void *options)'],
  noMemoryArena: [19, 'void *noMemoryArena(void *options)'],
  setThreads: [24, 'void *setThreads(void *options, int threads)'],
  createTensor: [
    49,
    'void *createTensor(void *info, void *data, size_t bytes, const int64_t *shape, size_t rank, int type, _Out_ void **made)',
  ],
  createMemoryInfo: [69, 'void *createMemoryInfo(int allocator, int type, _Out_ void **made)'],
  releaseStatus: [93, 'void releaseStatus(void *status)'],
  releaseTensor: [96, 'void releaseTensor(void *tensor)'],
  run: [133, 'void *run(void *session, void *options, void *binding)'],
  createBinding: [134, 'void *createBinding(void *session, _Out_ void **made)'],
  releaseBinding: [135, 'void releaseBinding(void *binding)'],
  bindInput: [136, 'void *bindInput(void *binding, const char *name, void *tensor)'],
  bindOutput: [137, 'void *bindOutput(void *binding, const char *name, void *tensor)'],
} as const;
const TABLE_LENGTH = 138;
/** The first version of the table that has them all. */
const API_VERSION = 14;

const WARNING = 2;
const FLOAT = 1;
const DEVICE_ALLOCATOR = 0;
const DEFAULT_MEMORY = 0;

function open(koffi: Koffi, path: string): Loaded {
  const library = koffi.load(path);
  const [getTable, getVersion] = koffi.decode(library.func('void *OrtGetApiBase()')(), 'void *', 2);
  const version: string = koffi.decode(getVersion, koffi.proto('const char *OrtVersion()'))();
  const functions = koffi.decode(getTable, koffi.proto('void *OrtTable(uint32_t version)'))(API_VERSION);
  if (functions === null) return { missing: `onnxruntime ${version} is another library than expected` };
  const addresses = koffi.decode(functions, 'void *', TABLE_LENGTH);
  const at = <F>([place, signature]: readonly [number, string]): F =>
    koffi.decode(addresses[place], koffi.proto(signature));

  const errorMessage = at<(status: Handle) => string>(table.errorMessage);
  const releaseStatus = at<(status: Handle) => void>(table.releaseStatus);
  const check = (status: Status): void => {
    if (status === null) return;
    const message = errorMessage(status);
    releaseStatus(status);
    throw new KernelError(`onnxruntime: ${message}`);
  };
  const make = (create: (made: Made) => Status): Handle => {
    const made: Made = [null];
    check(create(made));
    if (made[0] === null) throw new KernelError('onnxruntime made nothing');
    return made[0];
  };

  const createEnvironment = at<(level: number, name: string, made: Made) => Status>(table.createEnvironment);
  const createOptions = at<(made: Made) => Status>(table.createOptions);
  const createMemoryInfo = at<(allocator: number, type: number, made: Made) => Status>(
    table.createMemoryInfo,
  );
  const createSession = at<
    (env: Handle, model: Uint8Array, bytes: number, options: Handle, made: Made) => Status
  >(table.createSession);
  const createTensor = at<
    (
      info: Handle,
      data: Float32Array,
      bytes: number,
      shape: readonly number[],
      rank: number,
      type: number,
      made: Made,
    ) => Status
  >(table.createTensor);
  const releaseTensor = at<(tensor: Handle) => void>(table.releaseTensor);
  const createBinding = at<(session: Handle, made: Made) => Status>(table.createBinding);
  const releaseBinding = at<(binding: Handle) => void>(table.releaseBinding);
  const bindInput = at<(binding: Handle, name: string, tensor: Handle) => Status>(table.bindInput);
  const bindOutput = at<(binding: Handle, name: string, tensor: Handle) => Status>(table.bindOutput);
  const run = at<(session: Handle, options: null, binding: Handle) => Status>(table.run);

  const environment = make((made) => createEnvironment(WARNING, 'manyhands', made));
  const options = make(createOptions);
  check(at<(options: Handle, threads: number) => Status>(table.setThreads)(options, 1));
  check(at<(options: Handle) => Status>(table.noMemoryPattern)(options));
  check(at<(options: Handle) => Status>(table.noMemoryArena)(options));
  const memory = make((made) => createMemoryInfo(DEVICE_ALLOCATOR, DEFAULT_MEMORY, made));

  const bind = (
    binding: Handle,
    name: string,
    { data, dims }: NativeMatrix,
    to: (binding: Handle, name: string, tensor: Handle) => Status,
  ) => {
    const tensor = make((made) =>
      createTensor(memory, data, data.byteLength, dims, dims.length, FLOAT, made),
    );
    check(to(binding, name, tensor));
    releaseTensor(tensor); // the binding holds it
  };

  return {
    version,
    handle: library,
    gemm: (kind) => {
      const model = gemmModel(kind);
      const session = make((made) => createSession(environment, model, model.length, options, made));
      return {
        bind: ({ a, b, c, y }) => {
          const binding = make((made) => createBinding(session, made));
          bind(binding, 'a', a, bindInput);
          bind(binding, 'b', b, bindInput);
          if (c !== undefined) bind(binding, 'c', c, bindInput);
          bind(binding, 'y', y, bindOutput);
          return {
            run: () => check(run(session, null, binding)),
            release: () => releaseBinding(binding),
          };
        },
      };
    },
  };
}
