import { featureNames } from '@manyhands/checkers';
import { renderSingleFile } from '../page/single-file.js';
import type { Weights } from './asked.js';
import type { Judge } from './page/judge.js';
import { style } from './style.js';

/** The modules of the engine that the page needs, each after those that it imports. */
const engine = [
  ...[
    'errors',
    'board',
    'position',
    'moves',
    'game',
    'notation',
    'random',
    'table',
    'features',
    'evaluation',
  ],
  ...['search', 'words'],
];
const page = ['squares', 'judge', 'main'];

/** A page to play on, with the engine in it. */
export function renderPage({ name, weights }: Weights): string {
  const data: Judge = {
    name,
    weights: Object.fromEntries(featureNames.map((feature, i) => [feature, weights[i]])),
  };
  const library = import.meta.resolve('@manyhands/checkers');
  return renderSingleFile({
    title: 'manyhands checkers',
    style,
    data,
    modules: [
      new URL('../explain/page/dom.js', import.meta.url),
      ...engine.map((module) => new URL(`${module}.js`, library)),
      ...page.map((module) => new URL(`page/${module}.js`, import.meta.url)),
    ],
  });
}
