import type { Command } from 'commander';
import { bytes, plural } from '../format.js';
import { examineMachine, type MachineReport, NATIVE_ADVICE } from '../machine.js';
import { subcommand } from '../options.js';
import { colors, print, printJson } from '../output.js';
import { Waiting } from '../waiting.js';
import { wording } from './shared.js';

export function doctor(): Command {
  return subcommand('doctor', 'what this machine has, and what `--backend auto` would choose and why')
    .option('--json', wording.json)
    .action(async (options: { json?: boolean }) => {
      const waiting = new Waiting('looking for processors');
      const report = await examineMachine().finally(() => waiting.end());
      if (options.json) printJson(report);
      else print(rows(report).join('\n'));
    });
}

function rows(report: MachineReport): string[] {
  const { gpu, ports, auto, cpu, nativeLibrary: library } = report;
  const row = (good: boolean | null, name: string, text: string) => {
    const mark = good === null ? colors.dim('–') : good ? colors.green('✓') : colors.yellow('!');
    return `${mark} ${name.padEnd(16)}${text}`;
  };
  return [
    row(true, 'versions', `manyhands ${report.manyhands}, Node ${report.node}, ${report.platform}`),
    row(true, 'processor', `${plural(report.cores, 'core')}, ${report.processor}`),
    row(true, 'memory', bytes(report.memoryBytes)),
    row(
      report.simd,
      'SIMD',
      report.simd ? 'WebAssembly SIMD works' : 'no WebAssembly SIMD: training needs it',
    ),
    row(
      report.relaxedSimd ? true : null,
      'relaxed SIMD',
      report.relaxedSimd ? 'available' : 'not available (not needed)',
    ),
    'missing' in library
      ? row(null, 'native library', `${library.missing}; ${NATIVE_ADVICE}`)
      : row(true, 'native library', `onnxruntime-node ${library.version}`),
    row(true, 'cpu', cpuText(cpu.mode)),
    row(gpu.available ? true : null, 'GPU', gpuText(gpu)),
    row(ports.loopback, 'ports', ports.detail),
    row(true, 'auto', `${auto.backend} (${auto.mode}): ${auto.reason}`),
  ];
}

function cpuText(mode: string): string {
  return mode.endsWith('+native')
    ? `${mode}: WebAssembly, and native code for the matrix products that it was measured to speed up`
    : `${mode}: WebAssembly alone`;
}

function gpuText({ available, mode, detail }: MachineReport['gpu']): string {
  if (mode === null) return detail;
  return available
    ? `gpu.js runs on ${detail}`
    : `no adapter answers; gpu.js falls back to ${mode} on the processor`;
}
