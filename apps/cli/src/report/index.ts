export { renderPage } from './render-page.js';
export { scoreOf, Weakness } from './weakness.js';
