import { readFileSync } from 'node:fs';

interface MathExports {
  exp(x: number): number;
  log(x: number): number;
  tanh(x: number): number;
  cos(x: number): number;
  sin(x: number): number;
  pow(x: number, y: number): number;
  erf(x: number): number;
}

/**
 * Elementary functions in float64 with the same last bit on every machine: WebAssembly of our own build, never the
 * engine's `Math`, whose results may differ between versions. `Math.sqrt`, `abs`, `floor`, `ceil`, `trunc`, `min`,
 * `max`, `fround` and `imul` are exact by the standard and need no stand-in.
 */
export const math: MathExports = load();

function load(): MathExports {
  const bytes = readFileSync(new URL('../../build/math.wasm', import.meta.url));
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), {
    env: {
      abort(): never {
        throw new Error('math.wasm aborted');
      },
    },
  });
  const named = (name: string) => exported(exports, name);
  return {
    exp: named('exp'),
    log: named('log'),
    tanh: named('tanh'),
    cos: named('cos'),
    sin: named('sin'),
    pow: named('pow'),
    erf: named('erf'),
  };
}

/** WebAssembly's functions reach TypeScript untyped. */
function exported(exports: Record<string, unknown>, name: string): (...values: number[]) => number {
  const value = exports[name];
  if (typeof value !== 'function') throw new Error(`math.wasm does not export ${name}: build it again`);
  return value as (...values: number[]) => number;
}
