import { createServer } from 'node:net';
import { availableParallelism, cpus, totalmem } from 'node:os';
import { createKernels, KernelError, machineKind, nativeLibrary } from '@manyhands/core/kernels';
import { version } from './version.js';

/** The one thing that is asked of it here; TypeScript knows it only from the browser's types. */
declare const WebAssembly: { validate(module: Uint8Array): boolean };

/** What this machine has for training. */
export interface MachineReport {
  readonly manyhands: string;
  readonly node: string;
  readonly platform: string;
  readonly processor: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly simd: boolean;
  readonly relaxedSimd: boolean;
  /** onnxruntime-node for matrix products, or why there is none. */
  readonly nativeLibrary: { readonly version: string } | { readonly missing: string };
  /** What `--backend cpu` computes with; machines of one kind compute the same bits. */
  readonly cpu: { readonly mode: string; readonly kind: string };
  /** The adapter that gpu.js would compute on, or why there is none. */
  readonly gpu: { readonly available: boolean; readonly mode: string | null; readonly detail: string };
  /** Whether this machine's own connections work, which `train` needs. */
  readonly ports: { readonly loopback: boolean; readonly detail: string };
  /** What `--backend auto` takes, and why. */
  readonly auto: { readonly backend: string; readonly mode: string; readonly reason: string };
}

export async function examineMachine(): Promise<MachineReport> {
  const { kernels, reason } = await createKernels('auto', {});
  const { backend, mode } = kernels.info;
  await kernels.dispose();
  return {
    manyhands: version,
    node: process.versions.node,
    platform: `${process.platform}-${process.arch}`,
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    simd: WebAssembly.validate(simdModule),
    relaxedSimd: WebAssembly.validate(relaxedSimdModule),
    nativeLibrary: nativeLibrary(),
    cpu: { mode: await cpuMode(), kind: machineKind() },
    gpu: await examineGpu(),
    ports: await examinePorts(),
    auto: { backend, mode, reason },
  };
}

async function examineGpu(): Promise<MachineReport['gpu']> {
  try {
    const { kernels } = await createKernels('gpujs');
    const { mode, device } = kernels.info;
    await kernels.dispose();
    return { available: mode === 'webgpu', mode, detail: device };
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    return { available: false, mode: null, detail: error.message };
  }
}

function examinePorts(): Promise<MachineReport['ports']> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error) => resolve({ loopback: false, detail: error.message }));
    server.listen(0, '127.0.0.1', () =>
      server.close(() => resolve({ loopback: true, detail: '127.0.0.1 answers' })),
    );
  });
}

async function cpuMode(): Promise<string> {
  const { kernels } = await createKernels('cpu');
  await kernels.dispose();
  return kernels.info.mode;
}

/** How to come by the native library, where it is missing: it is optional, and npm may have left it out. */
export const NATIVE_ADVICE =
  '`npm install onnxruntime-node koffi` brings it, and training becomes several times faster';

/** What a person who starts to train should know of the native library; null for nothing. */
export function nativeNote(reproducible: boolean): string | null {
  if (reproducible) {
    return 'reproducible: matrix products in WebAssembly alone, which has the same bits on every processor';
  }
  const library = nativeLibrary();
  return 'missing' in library ? `${library.missing}: ${NATIVE_ADVICE}` : null;
}

/** A module of one function: `i32.const 0; i8x16.splat; drop`, with `f32x4.relaxed_madd` in the second one. */
const header = [0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0];
const zero = [65, 0, 253, 15];
const simdModule = Uint8Array.from([...header, 10, 9, 1, 7, 0, ...zero, 26, 11]);
const relaxedSimdModule = Uint8Array.from([
  ...header,
  10,
  20,
  1,
  18,
  0,
  ...zero,
  ...zero,
  ...zero,
  253,
  133,
  2,
  26,
  11,
]);
