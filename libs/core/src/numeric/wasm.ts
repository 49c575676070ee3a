import { readFileSync } from 'node:fs';

export type WasmFunction = (...values: number[]) => number;

const compiled = new Map<string, WebAssembly.Module>();

/**
 * The named functions of a new instance of build/FILE, which is compiled once a thread.
 * @throws Error where the file or one of the functions is missing: it belongs to another build
 */
export function wasmFunctions<Name extends string>(
  file: string,
  names: readonly Name[],
  environment: Record<string, unknown> = {},
): Record<Name, WasmFunction> {
  let module = compiled.get(file);
  if (module === undefined) {
    module = new WebAssembly.Module(readFileSync(new URL(`../../build/${file}`, import.meta.url)));
    compiled.set(file, module);
  }
  const { exports } = new WebAssembly.Instance(module, { env: environment });
  const functions = names.map((name): [Name, WasmFunction] => {
    const value = exports[name];
    if (!isFunction(value)) throw new Error(`${file} does not export ${name}: build it again`);
    return [name, value];
  });
  return Object.fromEntries(functions) as Record<Name, WasmFunction>;
}

/** WebAssembly's functions reach TypeScript untyped; those of assembly/ take and return numbers. */
function isFunction(value: unknown): value is WasmFunction {
  return typeof value === 'function';
}
