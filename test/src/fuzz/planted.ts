import type { Reader, Target } from './target.js';

/** Readers that are broken on purpose, each in a way that must be noticed. */
export const planted: Readonly<Record<string, Target>> = {
  'planted-none': broken(() => {}),
  'planted-internal': broken((input) => {
    const table: Record<string, { length: number }> = {};
    return table[input].length;
  }),
  'planted-words': broken((input) => {
    throw new Error(`${input} is undefined`);
  }),
  'planted-control': broken(() => {
    throw new Error('the key \u001b[2J is not known');
  }),
  'planted-length': broken((input) => {
    throw new Error(`not known: ${input.repeat(2000)}`);
  }),
  'planted-hang': broken(() => {
    for (;;);
  }),
  'planted-silence': broken(() => new Promise((resolve) => setTimeout(resolve, 1e9))),
  'planted-crash': broken(() => {
    setImmediate(() => {
      throw new Error('out of turn');
    });
    return new Promise((resolve) => setTimeout(resolve, 1000));
  }),
  'planted-death': broken(() => process.kill(process.pid, 'SIGSEGV')),
  'planted-memory': broken((input) => Buffer.alloc(400 * 2 ** 20, input)),
  'planted-leak': broken((input) => {
    const held: string[][] = [];
    for (let i = 0; i < 200; i++) held.push(new Array<string>(1e6).fill(input));
    return held.length;
  }),
  'planted-pollution': broken(() => {
    Object.defineProperty(Object.prototype, 'polluted', { value: true, configurable: true });
  }),
  'planted-refusal': {
    ...broken(() => {}),
    open: async (): Promise<Reader> => ({
      seeds: [Buffer.from('1')],
      read: () => {
        throw new Error('not today');
      },
    }),
  },
};

/** Reads whole numbers rightly, and anything else by `failure`. */
function broken(failure: (input: string) => unknown): Target {
  return {
    form: 'text',
    share: 1,
    open: async () => ({
      seeds: [Buffer.from('1'), Buffer.from('20')],
      read: (bytes) => {
        const input = Buffer.from(bytes).toString('utf8');
        return /^\d+$/.test(input) ? Number(input) : failure(input || 'nothing');
      },
    }),
  };
}
