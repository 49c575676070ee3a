import { featureNames } from '@manyhands/checkers';
import { UserError } from '@manyhands/core/config';
import { renderSingleFile } from '../page/single-file.js';
import type { Judge } from './asked.js';
import type { Weighing } from './page/judge.js';
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

/**
 * A page to play on, with the engine in it.
 * @throws UserError where a network judges: the page weighs features
 */
export function renderPage({ name, unit, weights }: Judge): string {
  if (weights === null) {
    throw new UserError(
      `${name} is a network, but the page shows the weights of features: play it in the terminal.`,
    );
  }
  const data: Weighing = {
    name,
    unit,
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
