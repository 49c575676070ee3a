import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import {
  type Checkpoint,
  loadCheckpoint,
  loadModel,
  openJournal,
  openRunDirectory,
  openSafetensors,
  readJournal,
  safetensorsParts,
  saveCheckpoint,
} from '@manyhands/core/checkpoint';
import { createModel, initialWeights, resolveModelConfig } from '@manyhands/core/model';
import { textOf } from '../mutate.js';
import type { Target } from '../target.js';
import { temporaryFolder } from './folder.js';

const model = createModel(
  resolveModelConfig({
    arch: 'gpt2',
    layers: 1,
    heads: 2,
    kvHeads: 2,
    channels: 4,
    context: 4,
    vocab: 5,
    dropout: 0,
    tieEmbeddings: true,
  }),
);

/** A run directory with one whole checkpoint. */
async function saved(): Promise<{ folder: string; checkpoint: Checkpoint; close(): void }> {
  const { folder, close } = temporaryFolder();
  const weights = initialWeights(model, 1);
  const state = {
    seed: 7,
    appliedSteps: 5,
    skippedSteps: 0,
    tokensSeen: 500,
    bestValidationLoss: 1.5,
    bestStep: 5,
    metricsBytes: 100,
    versions: { manyhands: '0.1.0' },
  };
  const optimizer = { exp_avg: new Float32Array(model.size), exp_avg_sq: new Float32Array(model.size) };
  const tokenizerJson = '{"added_tokens":[]}';
  const content = { step: 5, model, weights, optimizer, state, tokenizerJson };
  return { folder, checkpoint: await saveCheckpoint(folder, content, { keepLast: 1 }), close };
}

const state: Target = {
  form: 'json',
  share: 4,
  open: async () => {
    const { checkpoint, close } = await saved();
    const path = join(checkpoint.path, 'state.json');
    return {
      seeds: [readFileSync(path)],
      close,
      // The sha256 of all lines before it.
      seal: (input) => {
        const body = textOf(input).replace(/(?:,?\n {2}"sha256": "[^"]*")?\n}\s*$/, '');
        const sha256 = createHash('sha256').update(body).digest('hex');
        return Buffer.from(`${body},\n  "sha256": "${sha256}"\n}\n`);
      },
      read: (input) => {
        writeFileSync(path, input);
        loadCheckpoint(checkpoint.path, model);
      },
    };
  },
};

/** A file of a model directory, beside whole ones. */
function modelFile(name: string, form: Target['form'], share: number): Target {
  return {
    form,
    share,
    open: async () => {
      const { checkpoint, close } = await saved();
      const path = join(checkpoint.path, name);
      return {
        seeds: [readFileSync(path)],
        close,
        read: (input) => {
          writeFileSync(path, input);
          loadModel(checkpoint.path);
        },
      };
    },
  };
}

/** Reads every tensor of floats. */
function readTensors(file: Uint8Array): void {
  const { tensors, read } = openSafetensors(file);
  for (const [name, { dtype }] of tensors) if (/^(?:F16|BF16|F32|F64)$/.test(dtype)) read(name);
}

const tensors = [
  { name: 'a', shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) },
  { name: 'b', shape: [], data: Float32Array.of(Number.NaN) },
  { name: 'empty', shape: [0, 4], data: new Float32Array() },
];

const safetensors: Target = {
  form: 'bytes',
  share: 8,
  open: async () => ({
    seeds: [safetensorsParts(tensors, { format: 'pt' }), safetensorsParts([])].map((parts) =>
      Buffer.concat(parts),
    ),
    read: readTensors,
  }),
};

/** The header alone, before as many bytes of data as the seed has. */
const safetensorsHeader: Target = {
  form: 'json',
  share: 10,
  open: async () => {
    const [head, ...data] = safetensorsParts(tensors, { format: 'pt' });
    const seed = textOf(head.subarray(8)).trim();
    const others = seed
      .replaceAll('"F32"', '"U16"')
      .replace('[2,3]', '[4,3]')
      .replace('"shape":[],', '"shape":[2],');
    return {
      seeds: [seed, others].map((text) => Buffer.from(text)),
      read: (input) => {
        const length = Buffer.alloc(8);
        length.writeBigUInt64LE(BigInt(input.length));
        readTensors(Buffer.concat([length, input, ...data]));
      },
    };
  },
};

const LINES = [
  { time: '2026-01-01T00:00:00.000Z', event: 'joined', step: 0, worker: 'ada-1', reason: '2 threads' },
  { kind: 'train', step: 1, loss: 4.1, learningRate: 1e-3, tokens: 100 },
  { kind: 'train', step: 6, loss: 3.1, learningRate: 1e-3, tokens: 100 },
];

const journal: Target = {
  form: 'text',
  share: 2,
  open: async () => {
    const { folder, close } = temporaryFolder();
    const path = join(folder, 'metrics.jsonl');
    const written = openJournal(path);
    for (const line of LINES) written.append(line);
    written.close();
    return {
      seeds: [readFileSync(path)],
      close,
      read: (input) => {
        writeFileSync(path, input);
        readJournal(path);
        for (const until of [undefined, { step: 5, bytes: input.length + 10 }]) {
          const opened = openJournal(path, until);
          opened.append({ kind: 'eval', step: 5 });
          opened.close();
          const last = readJournal(path).at(-1);
          if (last?.kind !== 'eval') throw new TypeError('a line that was appended does not read back');
        }
      },
    };
  },
};

/** Processes beyond the largest number that Linux gives to one. */
const NOBODY = 2 ** 22 + 1;

const lock: Target = {
  form: 'json',
  share: 4,
  open: async () => {
    const { folder, close } = temporaryFolder();
    const path = join(folder, 'run.lock');
    // What a run writes, as if by a process of this machine that is no more.
    const run = await openRunDirectory(folder, { resume: false });
    const owner = { ...JSON.parse(readFileSync(path, 'utf8')), pid: NOBODY, host: hostname() };
    run.close();
    const since = '2026-01-01T00:00:00.000Z';
    return {
      seeds: [
        { ...owner, since },
        { ...owner, since, processStart: null },
      ].map((text) => Buffer.from(`${JSON.stringify(text)}\n`)),
      close,
      read: async (input) => {
        writeFileSync(path, input);
        try {
          (await openRunDirectory(folder, { resume: false })).close();
        } finally {
          if (existsSync(path)) rmSync(path);
        }
      },
    };
  },
};

/** What lies in a run directory or a model directory. */
export const checkpointTargets = {
  'state.json': state,
  'config.json': modelFile('config.json', 'json', 6),
  'model.safetensors': modelFile('model.safetensors', 'bytes', 4),
  safetensors,
  'safetensors-header': safetensorsHeader,
  journal,
  'run.lock': lock,
} as const satisfies Record<string, Target>;
