import { renderSingleFile } from '../page/single-file.js';
import type { Report } from './page/report.js';
import { style } from './style.js';

/** The modules of the page, each after those that it imports. */
const modules = ['../explain/page/dom', ...['figures', 'passages', 'main'].map((name) => `page/${name}`)];

/** Where a model is weak, as a page that needs nothing beside itself. */
export function renderPage(report: Report): string {
  return renderSingleFile({
    title: 'manyhands eval',
    style,
    data: report,
    modules: modules.map((name) => new URL(`${name}.js`, import.meta.url)),
  });
}
