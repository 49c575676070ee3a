import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

export interface SingleFile {
  readonly title: string;
  readonly style: string;
  /** What the script finds as JSON in the element `data`. */
  readonly data: unknown;
  /** Compiled modules, each after those that it imports. Their names at top level differ, as in one module. */
  readonly modules: readonly URL[];
}

/**
 * One page that needs nothing beside itself: what it shows stands in it as JSON, and its policy lets only this very
 * script and style in (Content Security Policy Level 3, hashes).
 */
export function renderSingleFile({ title, style, data, modules }: SingleFile): string {
  const script = modules.map(readModule).join('\n');
  const policy = `default-src 'none'; script-src ${hashOf(script)}; style-src ${hashOf(style)}; base-uri 'none'; form-action 'none'`;
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<style>${style}</style>
<body>
<noscript>This page draws itself with JavaScript, which is switched off.</noscript>
<script type="application/json" id="data">${embed(data)}</script>
<script type="module">${script}</script>
</body>
</html>
`;
}

/** JSON that cannot end its own element; numbers with the nine digits that tell any two float32 apart. */
function embed(data: unknown): string {
  const rounded = (_key: string, value: unknown) =>
    typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(9)) : value;
  return JSON.stringify(data, rounded).replaceAll('<', '\\u003c');
}

/** A compiled module as a part of one script: its imports stand before it already. */
function readModule(file: URL): string {
  return readFileSync(file, 'utf8')
    .replaceAll(/^import [^;]*;\n/gm, '')
    .replaceAll(/^export \{[^}]*\};?\n/gm, '')
    .replaceAll(/^export /gm, '')
    .replaceAll(/^\/\/# sourceMappingURL=.*\n?/gm, '');
}

function hashOf(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
}
