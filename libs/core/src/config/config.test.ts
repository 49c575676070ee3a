import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { distance } from 'fastest-levenshtein';
import {
  applySet,
  configToYaml,
  knownKeys,
  microBatchCount,
  microBatchSize,
  type PresetName,
  parseConfig,
  parseYaml,
  presets,
  readYaml,
  settleMicroBatch,
  UserError,
} from './index.js';

const allPresets = Object.keys(presets) as PresetName[];

function refusal(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    assert.ok(error instanceof UserError, `${String(error)} is no UserError`);
    return error.message;
  }
  return assert.fail('nothing was refused');
}

test('an empty config is the recipe of nanoGPT on a CPU', () => {
  const config = parseConfig({});
  assert.deepEqual(
    { ...config.model, ...config.batch },
    {
      arch: 'gpt2',
      layers: 4,
      heads: 4,
      kvHeads: 4,
      channels: 128,
      context: 64,
      vocab: null,
      dropout: 0,
      tieEmbeddings: true,
      sequences: 12,
      microBatch: 'auto',
      recompute: false,
      gradientClip: 1,
    },
  );
  assert.deepEqual(config.optimizer.betas, [0.9, 0.99]);
  assert.deepEqual(
    [config.optimizer.lr, config.schedule.minLr, config.schedule.warmup, config.run.steps],
    [1e-3, 1e-4, 100, 2000],
  );
});

test('the presets have the shapes that the command line promises', () => {
  const shape = (preset: PresetName) => {
    const { layers, heads, channels, context } = parseConfig({}, preset).model;
    return [layers, heads, channels, context];
  };
  assert.deepEqual(allPresets.map(shape), [
    [4, 4, 128, 64],
    [6, 6, 384, 256],
    [12, 12, 768, 1024],
  ]);
});

test('a run stops when it has converged as it is told: not at all, as usual, or with bounds of its own', () => {
  const stopping = (value: unknown, data = {}) =>
    parseConfig({ run: { stopWhenConverged: value }, data }).run.stopWhenConverged;
  const usual = { patience: 5, minImprovement: 0.001, beforeDecay: false };
  assert.equal(parseConfig({}).run.stopWhenConverged, false);
  assert.deepEqual(stopping(true), usual);
  assert.deepEqual(stopping({ patience: 2 }), { ...usual, patience: 2 });
  assert.deepEqual(stopping({ ...usual, beforeDecay: true }), { ...usual, beforeDecay: true });
  assert.match(
    refusal(() => stopping('yes')),
    /^run\.stopWhenConverged is "yes", but must be true, false, or \{patience, minImprovement, beforeDecay\}\.$/,
  );
  assert.match(
    refusal(() => stopping({ patience: 0 })),
    /^run\.stopWhenConverged/,
  );
  assert.match(
    refusal(() => stopping({ wait: 3 })),
    /stopWhenConverged/,
  );
  assert.match(
    refusal(() => stopping(true, { validation: 0 })),
    /must be false where run\.evalEvery or data\.validation is 0/,
  );
  assert.match(
    refusal(() => parseConfig({ run: { stopWhenConverged: true, measure: false } })),
    /must be false where .* or run\.measure false: it is judged by the validation loss/,
  );
});

test('what a person writes goes before the preset, key by key', () => {
  const config = parseConfig(
    { model: { layers: 2 }, run: { steps: 7, maxTime: undefined }, batch: null },
    'small',
  );
  assert.equal(config.model.layers, 2);
  assert.equal(config.model.channels, 384);
  assert.equal(config.run.steps, 7);
  assert.equal(config.run.maxTime, null);
  assert.equal(config.batch.sequences, 8);
});

test('keys that were left out follow from others', () => {
  const config = parseConfig({ model: { heads: 8 }, optimizer: { lr: 0.02 }, run: { steps: 50 } });
  assert.equal(config.model.kvHeads, 8);
  assert.equal(config.schedule.minLr, 0.002);
  assert.equal(config.schedule.warmup, 5, 'a short run is not all warm-up');
  assert.equal(parseConfig({ optimizer: { name: 'muon' } }).optimizer.nesterov, true);
});

test('sources may be texts, and times may have units', () => {
  const sources = (value: unknown) => parseConfig({ data: { sources: value } }).data.sources;
  assert.deepEqual(sources('a.txt'), [{ path: 'a.txt', weight: 1 }]);
  assert.deepEqual(sources(['a.txt', { path: 'b' }, { path: 'c', weight: 0.5 }]), [
    { path: 'a.txt', weight: 1 },
    { path: 'b', weight: 1 },
    { path: 'c', weight: 0.5 },
  ]);
  const told = {
    path: 'd',
    name: 'mail',
    weight: [
      [0, 1],
      [500, 0],
    ],
  };
  assert.deepEqual(sources(['a', { path: 'b', heldOut: true }, { path: 'c', heldOut: false }, told]), [
    { path: 'a', weight: 1 },
    { path: 'b', heldOut: true },
    { path: 'c', weight: 1 },
    told,
  ]);
  const seconds = (value: unknown) => parseConfig({ run: { maxTime: value } }).run.maxTime;
  assert.deepEqual(['90', '90s', '30m', '1.5h', '2d', 12.5, null].map(seconds), [
    90,
    90,
    1800,
    5400,
    172800,
    12.5,
    null,
  ]);
});

const checkers = (keys: object = {}) => ({ name: 'checkers', ...keys });

const refused: readonly [input: unknown, sentence: string][] = [
  [
    5,
    'The config is 5, but must be sections of keys: task, model, data, optimizer, schedule, batch, run, steering, cluster.',
  ],
  [{ model: { layers: 0 } }, 'model.layers is 0, but must be a whole number from 1 to 1024.'],
  [{ model: { layers: 'six' } }, 'model.layers is "six", but must be a whole number from 1 to 1024.'],
  [{ model: { layers: 2.5 } }, 'model.layers is 2.5, but must be a whole number from 1 to 1024.'],
  [{ model: { layers: null } }, 'model.layers is null, but must be a whole number from 1 to 1024.'],
  [{ model: { arch: 'bert' } }, 'model.arch is "bert", but must be one of gpt2, llama.'],
  [{ model: { heads: 3 } }, 'model.channels is 128, but must be a multiple of model.heads, 3.'],
  [
    { model: { arch: 'llama', heads: 4, kvHeads: 3 } },
    'model.kvHeads is 3, but must be a divisor of model.heads, 4.',
  ],
  [
    { model: { kvHeads: 2 } },
    'model.kvHeads is 2, but must be equal to model.heads, 4, with model.arch gpt2 (llama can group its queries).',
  ],
  [
    { model: { arch: 'llama', channels: 12 } },
    'model.channels is 12, but must be an even multiple of model.heads, 4, with model.arch llama, which rotates pairs.',
  ],
  [{ model: { dropout: 1 } }, 'model.dropout is 1, but must be a number from 0 up to, but not including, 1.'],
  [{ model: { tieEmbeddings: 'yes' } }, 'model.tieEmbeddings is "yes", but must be true or false.'],
  [{ data: { sources: [] } }, 'data.sources is [], but must be a list of at least one path.'],
  [
    { data: { sources: ['a', { path: 'b', weight: -1 }] } },
    'data.sources[1].weight is -1, but must be a number above 0 and at most 1000000000, or at most 1000 points [[step, weight], …] whose steps rise, not all of weight 0.',
  ],
  [
    {
      data: {
        sources: [
          {
            path: 'a',
            weight: [
              [9, 1],
              [3, 2],
            ],
          },
        ],
      },
    },
    'data.sources[0].weight is [[9,1],[3,2]], but must be a number above 0 and at most 1000000000, or at most 1000 points [[step, weight], …] whose steps rise, not all of weight 0.',
  ],
  [
    { data: { sources: ['b', { path: 'a', weight: 2, heldOut: true }] } },
    'data.sources[1].weight is 2, but must be left out where heldOut is true: nothing is drawn from it.',
  ],
  [
    { data: { sources: ['b', { path: 'a', heldOut: 'yes' }] } },
    'data.sources[1].heldOut is "yes", but must be true or false.',
  ],
  [
    { data: { sources: [{ path: 'a', heldOut: true }] } },
    'data.sources is [{"path":"a","heldOut":true}], but must be a list with a source that is not held out: there is nothing to learn from.',
  ],
  [
    {
      data: {
        sources: [
          { path: 'a', name: 'x' },
          { path: 'b', name: 'x', heldOut: true },
        ],
      },
    },
    'data.sources[1].name is "x", but must be another than that of data.sources[0].',
  ],
  [
    { data: { sources: [{ path: 'a', name: 'x\ny' }] } },
    'data.sources[0].name is "x\\ny", but must be one line of 1 to 100 characters.',
  ],
  [
    {
      data: {
        sources: [
          {
            path: 'a',
            weight: [
              [0, 1],
              [9, 0],
            ],
          },
        ],
      },
    },
    'data.sources is [{"path":"a","weight":[[0,1],[9,0]]}], but must be a list with a weight above 0 at every step, and at step 9 none is.',
  ],
  [
    { data: { sources: ['b', { path: 'a', weight: 2 }], temperature: 2 } },
    'data.sources[1].weight is 2, but must be left out where data.temperature gives the weights.',
  ],
  [
    { data: { temperature: 0.5 } },
    'data.temperature is 0.5, but must be a number from 1 to 1000000000, or null for the weights of data.sources.',
  ],
  [
    { optimizer: { betas: [0.9] } },
    'optimizer.betas is [0.9], but must be two numbers such as [0.9, 0.95], each from 0 up to, but not including, 1.',
  ],
  [{ optimizer: { lr: Number.NaN } }, 'optimizer.lr is NaN, but must be a number above 0.'],
  [
    { optimizer: { lr: 0.1 }, schedule: { minLr: 0.2 } },
    'schedule.minLr is 0.2, but must be at most optimizer.lr, 0.1.',
  ],
  [
    { schedule: { name: 'sweep', minLr: 0 } },
    'schedule.minLr is 0, but must be above 0 with schedule.name sweep, which rises from there.',
  ],
  [{ batch: { microBatch: 13 } }, 'batch.microBatch is 13, but must be at most batch.sequences, 12.'],
  [
    { batch: { microBatch: 'all' } },
    'batch.microBatch is "all", but must be auto, or a whole number from 1 up.',
  ],
  [{ batch: { recompute: 'auto' } }, 'batch.recompute is "auto", but must be true or false.'],
  [{ run: { seed: -1 } }, 'run.seed is -1, but must be a whole number from 0 to 4294967295.'],
  [
    { run: { maxTime: -1 } },
    'run.maxTime is -1, but must be a number of seconds above 0, or a time such as 90s, 30m, 1.5h or 2d, or null for no limit.',
  ],
  [
    { run: { maxTime: '5 weeks' } },
    'run.maxTime is "5 weeks", but must be a number of seconds above 0, or a time such as 90s, 30m, 1.5h or 2d, or null for no limit.',
  ],
  [
    { cluster: { listen: '127.0.0.1:70000' } },
    'cluster.listen is "127.0.0.1:70000", but must be HOST:PORT, such as 127.0.0.1:0 or [::]:7070.',
  ],
  [
    { cluster: { minWorkers: 9, maxWorkers: 3 } },
    'cluster.maxWorkers is 3, but must be at least cluster.minWorkers, 9.',
  ],
  [
    { cluster: { lostAfterSeconds: 1 } },
    'cluster.lostAfterSeconds is 1, but must be longer than cluster.heartbeatSeconds, 1.',
  ],
  [
    { steering: { policy: 'ignore' } },
    'steering.policy is "ignore", but must be one of warn, skip, rollback, stop.',
  ],
  [{ steering: { policy: null } }, 'steering.policy is null, but must be one of warn, skip, rollback, stop.'],
  [{ steering: { zScore: 2 } }, 'steering.zScore is 2, but must be a number from 3 to 1000.'],
  [{ steering: { zScore: '10x' } }, 'steering.zScore is "10x", but must be a number from 3 to 1000.'],
  [{ steering: { window: 7 } }, 'steering.window is 7, but must be a whole number from 8 to 10000.'],
  [{ steering: { window: 8.5 } }, 'steering.window is 8.5, but must be a whole number from 8 to 10000.'],
  [{ steering: { rateFactor: 1 } }, 'steering.rateFactor is 1, but must be a number above 0 and below 1.'],
  [{ steering: { rateFactor: 0 } }, 'steering.rateFactor is 0, but must be a number above 0 and below 1.'],
  [
    { steering: { maxRollbacks: -1 } },
    'steering.maxRollbacks is -1, but must be a whole number from 0 to 1000.',
  ],
  [{ task: { name: 'chess' } }, 'task.name is "chess", but must be one of language, checkers.'],
  [{ task: checkers({ depth: 0 }) }, 'task.depth is 0, but must be a whole number from 1 to 20.'],
  [{ task: checkers({ lambda: 2 }) }, 'task.lambda is 2, but must be a number from 0 to 1.'],
  [
    { task: checkers({ exploration: 1 }) },
    'task.exploration is 1, but must be a number from 0 up to, but not including, 1.',
  ],
  [
    { task: checkers({ evaluation: 'samuels' }) },
    'task.evaluation is "samuels", but must be one of samuel, network.',
  ],
  [
    { task: checkers(), model: { layers: 3 } },
    'model.layers is 3, but must be left out where task.name is checkers, which has no use for it.',
  ],
  [
    { task: checkers(), data: { tokenizer: 'bpe' } },
    'data.tokenizer is "bpe", but must be left out where task.name is checkers, which has no use for it.',
  ],
  [
    { task: { depth: 4 } },
    'task.depth is 4, but must be left out where task.name is language, which has no use for it.',
  ],
];

for (const [input, sentence] of refused) {
  test(`refused: ${sentence}`, () =>
    assert.equal(
      refusal(() => parseConfig(input)),
      sentence,
    ));
}

test('a config of checkers parses to itself; each of its games is a micro-batch, whatever the preset', () => {
  for (const preset of ['nano', 'small'] as const) {
    const config = parseConfig({ task: checkers({ depth: 4 }), batch: { sequences: 6 } }, preset);
    assert.equal(config.batch.microBatch, 1);
    assert.deepEqual(parseConfig(parseYaml(configToYaml(config), 'config.yaml')), config);
  }
});

test('an unknown key is refused with the one that was meant', () => {
  const nearest = (input: unknown) =>
    refusal(() => parseConfig(input)).match(/^Unknown key "(.*)": the nearest known one is (.*)\.$/);
  const expectations: [input: unknown, unknown: string, meant: string][] = [
    [{ model: { layer: 2 } }, 'model.layer', 'model.layers'],
    [{ model: { tieEmbedings: true } }, 'model.tieEmbedings', 'model.tieEmbeddings'],
    [{ modle: { layers: 2 } }, 'modle', 'model'],
    [{ steps: 5 }, 'steps', 'run.steps'],
    [{ model: { sequences: 5 } }, 'model.sequences', 'batch.sequences'],
    [{ optimizer: { learningRate: 1 } }, 'optimizer.learningRate', 'optimizer.lr'],
    [{ optimizer: { weight_decay: 1 } }, 'optimizer.weight_decay', 'optimizer.weightDecay'],
    [{ model: { block_size: 1 } }, 'model.block_size', 'model.context'],
    [{ steering: { maxRollback: 3 } }, 'steering.maxRollback', 'steering.maxRollbacks'],
    [{ steering: { polcy: 'skip' } }, 'steering.polcy', 'steering.policy'],
    [{ batch: { recomptue: true } }, 'batch.recomptue', 'batch.recompute'],
    [{ model: { gradient_checkpointing: true } }, 'model.gradient_checkpointing', 'batch.recompute'],
    [{ data: { sources: [{ pth: 'x' }] } }, 'data.sources[0].pth', 'data.sources[0].path'],
  ];
  for (const [input, unknown, meant] of expectations)
    assert.deepEqual(nearest(input)?.slice(1), [unknown, meant]);
});

test('every known key, with any letter dropped, is taken for itself, or for another that is as near', () => {
  for (const key of knownKeys) {
    const [section, leaf] = key.split('.');
    if (leaf.length <= 4) continue;
    for (let at = 0; at < leaf.length; at++) {
      const mistyped = leaf.slice(0, at) + leaf.slice(at + 1);
      const sentence = refusal(() => parseConfig({ [section]: { [mistyped]: 1 } }));
      const suggested = /is ([\w.]+)\.$/.exec(sentence)?.[1] ?? '';
      const asNear =
        suggested.startsWith(`${section}.`) &&
        distance(suggested.toLowerCase(), `${section}.${mistyped}`.toLowerCase()) <= 1;
      assert.ok(suggested === key || asNear, `${section}.${mistyped}: ${sentence}`);
    }
  }
});

test('--set reads its value as YAML and refuses what is no key', () => {
  const set = (...assignments: string[]) =>
    assignments.reduce<unknown>((config, one) => applySet(config, one), {});
  assert.deepEqual(
    set('run.steps=5', 'optimizer.betas=[0.8, 0.9]', 'data.tokenizer=a=b.json', 'run.maxTime=null'),
    {
      run: { steps: 5, maxTime: null },
      optimizer: { betas: [0.8, 0.9] },
      data: { tokenizer: 'a=b.json' },
    },
  );
  assert.equal(
    refusal(() => set('run.step=5')),
    'Unknown key "run.step": the nearest known one is run.steps.',
  );
  assert.match(
    refusal(() => set('steps')),
    /^--set "steps" must be KEY=VALUE/,
  );
  for (const key of ['__proto__.polluted', '__proto__.x', 'q']) {
    assert.equal(
      refusal(() => set(`${key}=1`)),
      `Unknown key "${key}": the sections are task, model, data, optimizer, schedule, batch, run, steering, cluster.`,
    );
  }
  assert.match(
    refusal(() => set('model=5')),
    /^model is a section: give one of its keys, model\.arch, model\.layers, .*, model\.tieEmbeddings\.$/,
  );
  assert.match(
    refusal(() => set('optimizer.betas=[1')),
    /^The value of --set optimizer\.betas is not YAML: /,
  );
  assert.match(
    refusal(() => applySet({ run: 5 }, 'run.steps=5')),
    /^run is 5, but must be a section/,
  );
});

test('setting a key leaves the config that was given as it was', () => {
  const before = { run: { steps: 1 } };
  applySet(before, 'run.steps=2');
  assert.deepEqual(before, { run: { steps: 1 } });
});

const plausibleSource = fc.record(
  {
    path: fc.string({ minLength: 1 }),
    name: fc.string(),
    weight: fc.oneof(
      fc.double(),
      fc.integer({ min: 1, max: 9 }),
      fc.uniqueArray(fc.tuple(fc.nat(99), fc.nat(3)), { selector: ([step]) => step }),
      fc.array(fc.nat(99), { minLength: 1, maxLength: 3 }).map((steps) => {
        const rising = [...new Set(steps)].sort((a, b) => a - b);
        return rising.map((step, at) => [step, at + 1]);
      }),
    ),
    heldOut: fc.boolean(),
  },
  { requiredKeys: ['path'] },
);

/** Configs that a person might write, valid or nearly so. */
const plausible = fc.record(
  {
    model: fc.record(
      {
        arch: fc.constantFrom('gpt2', 'llama'),
        layers: fc.nat(12),
        heads: fc.nat(6),
        kvHeads: fc.nat(3),
        context: fc.nat(99),
      },
      { requiredKeys: [] },
    ),
    optimizer: fc.record(
      {
        name: fc.constantFrom('adamw', 'sgd', 'muon'),
        lr: fc.double(),
        betas: fc.array(fc.double({ min: 0, max: 1 })),
      },
      { requiredKeys: [] },
    ),
    data: fc.record(
      {
        sources: fc.oneof(
          fc.string(),
          fc.array(fc.oneof(fc.string(), fc.anything())),
          fc.array(plausibleSource, { minLength: 1, maxLength: 4 }),
        ),
        temperature: fc.oneof(fc.constant(null), fc.double()),
      },
      { requiredKeys: ['sources'] },
    ),
    run: fc.record({ maxTime: fc.oneof(fc.string(), fc.double(), fc.constant(null)), seed: fc.integer() }),
  },
  { requiredKeys: [] },
);

test('whatever is written is a config that reads back from its own YAML, or a UserError of one sentence', () => {
  let accepted = 0;
  fc.assert(
    fc.property(
      fc.oneof(plausible, fc.anything(), fc.object()),
      fc.constantFrom(...allPresets),
      (input, preset) => {
        try {
          const config = parseConfig(input, preset);
          accepted++;
          assert.deepEqual(parseConfig(parseYaml(configToYaml(config), 'config.yaml')), config);
        } catch (error) {
          if (!(error instanceof UserError)) throw error;
          assert.match(error.message, /^[^\n]{5,600}\.$/);
        }
      },
    ),
    { numRuns: 1000 },
  );
  assert.ok(accepted > 50, `only ${accepted} were valid: the test would prove little`);
});

test('no text makes the YAML reader throw anything but a UserError', () => {
  const hostile = [
    '['.repeat(20000),
    'a: &a [x]\nb: *a\nc: {<<: *a}',
    `a: &a [${'x,'.repeat(50)}]\nb: &b [${'*a,'.repeat(50)}]\nc: &c [${'*b,'.repeat(50)}]\nd: [${'*c,'.repeat(50)}]`,
    'a: 1\na: 2',
    '!!js/function "x"',
    '--- 1\n--- 2',
    '\u0000',
  ];
  const attempt = (text: string) => {
    try {
      parseConfig(parseYaml(text, 'x.yaml'));
    } catch (error) {
      assert.ok(error instanceof UserError, `${text.slice(0, 40)}: ${String(error)}`);
    }
  };
  assert.match(
    refusal(() => parseYaml('a: 1\na: 2', 'x.yaml')),
    /^x\.yaml is not YAML: Map keys must be unique/,
  );
  hostile.forEach(attempt);
  fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 200 }), attempt));
});

test('a config file that is missing, a folder, too long or no YAML is refused by its name', () => {
  const folder = mkdtempSync(join(tmpdir(), 'config-'));
  try {
    const file = (text: string) => {
      writeFileSync(join(folder, 'c.yaml'), text);
      return join(folder, 'c.yaml');
    };
    assert.deepEqual(readYaml(file('run:\n  steps: 5\n')), { run: { steps: 5 } });
    assert.match(
      refusal(() => readYaml(join(folder, 'none.yaml'))),
      /none\.yaml cannot be read \(no such file\)/,
    );
    assert.match(
      refusal(() => readYaml(folder)),
      /cannot be read \(it is a folder\)/,
    );
    assert.match(
      refusal(() => readYaml(file('a: [1\nb: 2'))),
      /c\.yaml is not YAML: .* at line 2, column 1\.$/,
    );
    assert.match(
      refusal(() => readYaml(file('#'.repeat(2 << 20)))),
      /has 2097152 bytes, but a config may have at most/,
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('the automatic micro-batch is the smallest divisor of the batch with at least 192 positions', () => {
  const size = (sequences: number, context: number) =>
    microBatchSize(parseConfig({ batch: { sequences }, model: { context } }));
  assert.equal(size(12, 64), 3);
  assert.equal(size(8, 256), 1);
  assert.equal(size(32, 16), 16);
  assert.equal(size(4, 64), 2, 'two halves rather than one whole');
  assert.equal(size(7, 64), 7, 'a prime has no smaller divisor that is large enough');
  assert.equal(size(10, 8), 10, 'all of a small batch');
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 200 }), fc.integer({ min: 1, max: 300 }), (sequences, context) => {
      const m = size(sequences, context);
      assert.equal(sequences % m, 0);
      for (let smaller = 1; smaller < m; smaller++) {
        const enough = m < sequences && m * context >= 192 ? 192 : 128;
        assert.ok(sequences % smaller !== 0 || smaller * context < enough);
      }
    }),
  );
});

test('a micro-batch that does not divide the batch leaves a smaller last one', () => {
  const config = parseConfig({ batch: { sequences: 10, microBatch: 4 } });
  assert.equal(microBatchSize(config), 4);
  assert.equal(microBatchCount(config), 3);
});

test('a run keeps the number that auto stood for, and goes on with it whatever auto means by then', () => {
  const asked = parseConfig({});
  const settled = settleMicroBatch(asked);
  assert.deepEqual(settled, { ...asked, batch: { ...asked.batch, microBatch: microBatchSize(asked) } });
  assert.equal(settleMicroBatch(settled), settled);
  const started = parseConfig({ batch: { microBatch: 6 } });
  assert.equal(settleMicroBatch(asked, started).batch.microBatch, 6);
  const other = parseConfig({ batch: { microBatch: 2 } });
  assert.equal(settleMicroBatch(other, started).batch.microBatch, 2, 'a number stays what was asked for');
});
