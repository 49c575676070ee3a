import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** Which rooms each room may import. What is not named here is forbidden. */
const rooms: Record<string, readonly string[]> = {
  'libs/core': [],
  'libs/tokenizer': [],
  'libs/checkers': [],
  // Where what a run learns meets how it is trained.
  'libs/tasks': ['libs/core', 'libs/checkers'],
  proto: [],
  'apps/coordinator': ['libs/core', 'libs/tokenizer', 'libs/tasks', 'proto'],
  'apps/worker': ['libs/core', 'libs/tasks', 'proto'],
  'apps/cli': [
    'libs/core',
    'libs/tokenizer',
    'libs/checkers',
    'libs/tasks',
    'proto',
    'apps/coordinator',
    'apps/worker',
  ],
  test: [
    'libs/core',
    'libs/tokenizer',
    'libs/checkers',
    'libs/tasks',
    'proto',
    'apps/coordinator',
    'apps/worker',
    'apps/cli',
  ],
};

const packages: Record<string, string> = {
  '@manyhands/core': 'libs/core',
  '@manyhands/tokenizer': 'libs/tokenizer',
  '@manyhands/checkers': 'libs/checkers',
  '@manyhands/tasks': 'libs/tasks',
  '@manyhands/proto': 'proto',
  '@manyhands/coordinator': 'apps/coordinator',
  '@manyhands/worker': 'apps/worker',
  manyhands: 'apps/cli',
};

/** The folders of libs/core and what each may import of the others. */
const folders: Record<string, readonly string[]> = {
  config: [],
  numeric: [],
  reduce: [],
  learning: ['numeric'],
  trace: [],
  kernels: ['numeric'],
  graph: ['kernels', 'numeric'],
  model: ['graph', 'kernels', 'numeric', 'config'],
  data: ['config', 'numeric'],
  optim: ['model', 'numeric', 'config'],
  train: ['graph', 'model', 'kernels', 'reduce'],
  checkpoint: ['learning', 'model', 'numeric', 'config'],
  inference: ['graph', 'model', 'kernels', 'numeric', 'config'],
};

/** A source file's path from the root, and what it imports, as written. */
type Sources = ReadonlyMap<string, readonly string[]>;

function roomOf(file: string): string {
  return Object.keys(rooms).find((room) => file.startsWith(`${room}/`)) ?? '';
}

/** `libs/core/src/graph/graph.ts` → `graph`; '' outside of core. */
function folderOf(file: string): string {
  return /^libs\/core\/src\/([^/]+)\//.exec(file)?.[1] ?? '';
}

const isTest = (file: string) =>
  file.endsWith('.test.ts') || file.startsWith('test/') || /\/testing\//.test(file);

/** The file that an import means; null for npm packages and Node's own modules. */
function resolve(file: string, specifier: string): string | null {
  if (specifier.startsWith('.')) {
    return path.posix.join(path.posix.dirname(file), specifier).replace(/\.js$/, '.ts');
  }
  const [, name, rest] = /^(@manyhands\/[^/]+|manyhands)(?:\/(.*))?$/.exec(specifier) ?? [];
  if (name === undefined) return null;
  const room = packages[name] ?? name;
  return rest === undefined ? `${room}/src/index.ts` : `${room}/src/${rest}/index.ts`;
}

function edges(sources: Sources): [string, string][] {
  return [...sources].flatMap(([file, specifiers]) =>
    specifiers.flatMap((specifier): [string, string][] => {
      const target = resolve(file, specifier);
      return target === null ? [] : [[file, target]];
    }),
  );
}

/** What each file imports. */
function targets(sources: Sources): (file: string) => readonly string[] {
  const all = new Map<string, string[]>();
  for (const [from, to] of edges(sources)) all.set(from, [...(all.get(from) ?? []), to]);
  return (file) => all.get(file) ?? [];
}

/** Imports from one room into another that the design does not allow, or that reach past the other's index. */
function forbiddenBetweenRooms(sources: Sources): string[] {
  return edges(sources)
    .filter(([from, to]) => roomOf(from) !== roomOf(to))
    .filter(([from, to]) => !rooms[roomOf(from)].includes(roomOf(to)) || !isIndex(to))
    .map(describe);
}

/** An index: of a room, or of a folder of libs/core. */
function isIndex(file: string): boolean {
  const depth = file.startsWith('libs/core/') ? '[^/]+/' : '';
  return new RegExp(`^${roomOf(file)}/src/${depth}index\\.ts$`).test(file);
}

/** Imports between folders of libs/core against the order, or past a folder's index. Tests may look anywhere. */
function forbiddenInCore(sources: Sources): string[] {
  return edges(sources)
    .filter(([from, to]) => folderOf(from) !== '' && folderOf(to) !== '' && folderOf(from) !== folderOf(to))
    .filter(([from, to]) => {
      const allowed = isTest(from) || (folders[folderOf(from)] ?? []).includes(folderOf(to));
      return !allowed || !isIndex(to);
    })
    .map(describe);
}

/** Every file that `start` needs, directly or not. */
function reachable(sources: Sources, start: (file: string) => boolean): Set<string> {
  const next = targets(sources);
  const seen = new Set([...sources.keys()].filter(start));
  for (const file of seen) for (const to of next(file)) seen.add(to);
  return seen;
}

/** The files of each import cycle that there is. */
function cycles(sources: Sources): string[] {
  const next = targets(sources);
  const state = new Map<string, 'open' | 'done'>();
  const found: string[] = [];
  const visit = (file: string, trail: readonly string[]): void => {
    if (state.get(file) === 'done') return;
    if (state.get(file) === 'open') {
      found.push([...trail.slice(trail.indexOf(file)), file].join(' → '));
      return;
    }
    state.set(file, 'open');
    for (const to of next(file)) visit(to, [...trail, file]);
    state.set(file, 'done');
  };
  for (const file of sources.keys()) visit(file, []);
  return found;
}

function describe([from, to]: [string, string]): string {
  return `${from} imports ${to}`;
}

/** Static and dynamic imports, and re-exports. */
const imports = [
  /^(?:import|export)\b[^;'"]*?\bfrom\s+'([^']+)'/gm,
  /^import\s+'([^']+)'/gm,
  /\bimport\(\s*'([^']+)'\s*\)/g,
];
/** Files that threads and processes are started from. */
const starts = [/\bnew URL\(\s*'(\.[^']+\.js)',\s*import\.meta\.url\s*\)/g];

function namesIn(source: string, patterns: readonly RegExp[]): string[] {
  return patterns.flatMap((pattern) => [...source.matchAll(pattern)].map(([, specifier]) => specifier));
}

function readSources(patterns: readonly RegExp[], wanted: (file: string) => boolean): Sources {
  const files = Object.keys(rooms).flatMap((room) =>
    readdirSync(path.join(root, room, 'src'), { recursive: true, encoding: 'utf8' })
      .map((file) => `${room}/src/${file.split(path.sep).join('/')}`)
      // This very file quotes imports that are not its own.
      .filter((file) => file.endsWith('.ts') && file !== 'test/src/architecture.test.ts' && wanted(file)),
  );
  return new Map(files.map((file) => [file, namesIn(readFileSync(path.join(root, file), 'utf8'), patterns)]));
}

const isShipped = (file: string) => !isTest(file);
const sources = readSources([...imports, ...starts], () => true);

test('every source file is read, and every import of our own leads to one', () => {
  assert.ok(sources.size > 100, `only ${sources.size} files were found`);
  assert.deepEqual(
    edges(sources)
      .filter(([, to]) => !sources.has(to))
      .map(describe),
    [],
  );
});

test('arrows between rooms point one way, and end at an index', () => {
  assert.deepEqual(forbiddenBetweenRooms(sources), []);
});

test('the folders of core keep their order, and nothing imports past an index', () => {
  assert.deepEqual(forbiddenInCore(sources), []);
});

test('every folder of core has its place in the order', () => {
  const present = new Set([...sources.keys()].map(folderOf).filter((folder) => folder !== ''));
  assert.deepEqual([...present].sort(), Object.keys(folders).sort());
});

test('inference cannot reach the optimiser or training, however far one follows its imports', () => {
  const shipped = readSources([...imports, ...starts], isShipped);
  const found = reachable(shipped, (file) => folderOf(file) === 'inference');
  assert.ok([...found].some((file) => folderOf(file) === 'kernels'));
  assert.deepEqual(
    [...found].filter((file) => ['optim', 'train'].includes(folderOf(file))),
    [],
  );
});

test('no file imports itself by a detour', () => {
  // A process that starts itself anew is no cycle.
  assert.deepEqual(cycles(readSources(imports, isShipped)), []);
});

test('these checks find what they are for', () => {
  const broken: Sources = new Map([
    ['libs/tokenizer/src/index.ts', ['@manyhands/core/config']],
    ['apps/worker/src/index.ts', ['@manyhands/coordinator']],
    ['apps/cli/src/index.ts', ['@manyhands/core/graph/graph.js']],
    ['apps/coordinator/src/index.ts', ['../../../proto/src/wire.js']],
    ['libs/core/src/graph/index.ts', ['../model/index.js', '../kernels/kernels.js', './graph.js']],
    ['libs/core/src/graph/graph.ts', ['./index.js']],
    ['libs/core/src/inference/index.ts', ['../model/index.js']],
    ['libs/core/src/model/index.ts', ['../optim/index.js']],
  ]);
  assert.equal(forbiddenBetweenRooms(broken).length, 4);
  assert.deepEqual(forbiddenInCore(broken), [
    'libs/core/src/graph/index.ts imports libs/core/src/model/index.ts',
    'libs/core/src/graph/index.ts imports libs/core/src/kernels/kernels.ts',
    'libs/core/src/model/index.ts imports libs/core/src/optim/index.ts',
  ]);
  assert.ok(reachable(broken, (file) => folderOf(file) === 'inference').has('libs/core/src/optim/index.ts'));
  assert.deepEqual(cycles(broken), [
    'libs/core/src/graph/index.ts → libs/core/src/graph/graph.ts → libs/core/src/graph/index.ts',
  ]);
  assert.deepEqual(
    namesIn(
      [
        "import type { A } from './a.js';",
        "export * from './b.js';",
        "import './c.js';",
        "const d = await import('./d.js');",
        "new Worker(new URL('./e.js', import.meta.url));",
        "import {\n  F,\n} from './f.js';",
      ].join('\n'),
      [...imports, ...starts],
    ).sort(),
    ['./a.js', './b.js', './c.js', './d.js', './e.js', './f.js'],
  );
});
