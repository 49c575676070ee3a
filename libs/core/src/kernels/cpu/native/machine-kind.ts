import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { sha256 } from '../../../numeric/index.js';
import { relaxedSimd } from '../module.js';
import { nativeLibrary } from './onnxruntime.js';

/**
 * What decides the bits of a run that is not reproducible: the processor and what it can do, the library, and whether
 * this Node knows fused instructions. Machines that say the
 * same compute the same. At most 200 ASCII characters.
 */
export function machineKind(): string {
  const library = nativeLibrary();
  const model = cpus()[0]?.model.trim() ?? 'unknown';
  const version = 'missing' in library ? 'none' : library.version;
  const simd = relaxedSimd() ? 'relaxed' : 'plain';
  const text = `onnxruntime ${version} ${simd} ${process.platform}-${process.arch} ${processorFlags()} ${model}`;
  return text.replace(/[^\x20-\x7e]/g, '?').slice(0, 200);
}

/** Virtual machines hide features of the same model. Elsewhere than on Linux the model tells all that can be known. */
function processorFlags(): string {
  if (process.platform !== 'linux') return '';
  try {
    const line = /^(?:flags|Features)\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'latin1'));
    return line === null ? '' : sha256(new TextEncoder().encode(line[1])).slice(0, 12);
  } catch {
    return '';
  }
}
