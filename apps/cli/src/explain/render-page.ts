import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Picture } from './page/picture.js';
import { style } from './style.js';

/** The modules of the page, each after those that it imports. */
const modules = ['dom', 'reading', 'learning', 'layout', 'view', 'graph', 'writing', 'main'];

/**
 * One page that needs nothing beside itself: what it shows stands in it as JSON, and its policy lets only this very
 * script and style in (Content Security Policy Level 3, hashes).
 */
export function renderPage(picture: Picture): string {
  const script = modules.map(readModule).join('\n');
  const policy = `default-src 'none'; script-src ${hashOf(script)}; style-src ${hashOf(style)}; base-uri 'none'; form-action 'none'`;
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>manyhands explain</title>
<style>${style}</style>
<body>
<noscript>This page draws itself with JavaScript, which is switched off.</noscript>
<script type="application/json" id="picture">${embed(picture)}</script>
<script type="module">${script}</script>
</body>
</html>
`;
}

/** JSON that cannot end its own element; numbers with the nine digits that tell any two float32 apart. */
function embed(picture: Picture): string {
  const rounded = (_key: string, value: unknown) =>
    typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(9)) : value;
  return JSON.stringify(picture, rounded).replaceAll('<', '\\u003c');
}

/** A compiled module as a part of one script: its imports stand before it already. */
function readModule(name: string): string {
  return readFileSync(new URL(`page/${name}.js`, import.meta.url), 'utf8')
    .replaceAll(/^import [^;]*;\n/gm, '')
    .replaceAll(/^export \{[^}]*\};?\n/gm, '')
    .replaceAll(/^export /gm, '');
}

function hashOf(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
}
