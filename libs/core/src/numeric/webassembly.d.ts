/** The part of WebAssembly's JavaScript interface that core uses; Node's types leave it to the browser's. */
declare namespace WebAssembly {
  class Module {
    constructor(bytes: Uint8Array);
  }
  class Instance {
    constructor(module: Module, imports: Record<string, Record<string, unknown>>);
    readonly exports: Record<string, unknown>;
  }
  class Memory {
    constructor(limits: { initial: number; maximum: number });
    readonly buffer: ArrayBuffer;
    /** In pages of 64 KiB; throws RangeError where the memory cannot grow. */
    grow(pages: number): number;
  }
}
