// What `eval --json` said of several models, as one table: node examples/distribution/table.mjs FILE.json…
// A row is what a model was trained on, a column what it was tested on; bits a byte ± standard error over documents.
import { readFileSync } from 'node:fs';
import path from 'node:path';

const files = process.argv.slice(2);
if (files.length === 0) {
  console.error('Files are missing: node examples/distribution/table.mjs FILE.json…');
  process.exit(2);
}

const nameOf = (file) => path.basename(file, path.extname(file));
const rows = files.map((file) => ({
  name: nameOf(file),
  sources: JSON.parse(readFileSync(file, 'utf8')).sources,
}));
const columns = Object.keys(rows[0].sources);
const lowest = Object.fromEntries(
  columns.map((source) => [source, Math.min(...rows.map(({ sources }) => sources[source].bitsPerByte))]),
);

function cell(source, { bitsPerByte, loss, standardError }) {
  const figure = bitsPerByte.toFixed(2);
  const marked = bitsPerByte === lowest[source] ? `**${figure}**` : figure;
  const error = standardError === null ? '' : ` ± ${((standardError * bitsPerByte) / loss).toFixed(2)}`;
  return `${marked}${error}`;
}

const line = (cells) => `| ${cells.join(' | ')} |`;
console.log(line(['trained on', ...columns.map(nameOf)]));
console.log(line(['---', ...columns.map(() => '---:')]));
for (const { name, sources } of rows) {
  console.log(line([name, ...columns.map((source) => cell(source, sources[source]))]));
}
