import { renderSingleFile } from '../page/single-file.js';
import type { Picture } from './page/picture.js';
import { style } from './style.js';

/** The modules of the page, each after those that it imports. */
const modules = ['dom', 'reading', 'learning', 'layout', 'view', 'graph', 'writing', 'main'];

/** A training step as a page that needs nothing beside itself. */
export function renderPage(picture: Picture): string {
  return renderSingleFile({
    title: 'manyhands explain',
    style,
    data: picture,
    modules: modules.map((name) => new URL(`page/${name}.js`, import.meta.url)),
  });
}
