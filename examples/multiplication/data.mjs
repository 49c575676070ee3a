// Lines to learn from: node examples/multiplication/data.mjs FOLDER [--seed N]
// memory.jsonl has a few products, plainly written; rule.jsonl has all of them, worked out, and plain.jsonl the same ones
// plainly, to compare with. Each is there many times, in an order drawn by the seed. What is kept for validation the run decides by a line's hash, so equal lines stay together.
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { pairs, question, ways } from './lines.mjs';

const usage = 'node examples/multiplication/data.mjs FOLDER [--seed N]';

/** The squares up to 9 * 9, which come first, and so many other products. */
const few = 64;

function fail(sentence) {
  console.error(sentence);
  process.exit(2);
}

function read() {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: { seed: { type: 'string', default: '1' } },
    });
    const [folder, more] = positionals;
    if (folder === undefined || more !== undefined) fail(`Give one folder: ${usage}`);
    if (!/^\d{1,9}$/.test(values.seed))
      fail(`--seed is ${JSON.stringify(values.seed)}, but must be a whole number from 0 to 999999999.`);
    return { folder, seed: Number(values.seed) };
  } catch (error) {
    fail(`${error.message}: ${usage}`);
  }
}

const { folder, seed } = read();

/** In the order of hashes: a shuffle that is the same on every machine. */
function shuffled(list, purpose) {
  const place = (pair) =>
    createHash('sha256')
      .update(`${seed} ${purpose} ${question(pair)}`)
      .digest('hex');
  return list
    .map((pair) => ({ pair, at: place(pair) }))
    .sort((a, b) => (a.at < b.at ? -1 : 1))
    .map(({ pair }) => pair);
}

/** `order` names the shuffles: files of the same name for it ask in the same order. */
function write(name, { chosen, way, times, order }) {
  const lines = Array.from({ length: times }, (_, round) => shuffled(chosen, `${order} ${round}`))
    .flat()
    .map((pair) => `${JSON.stringify({ text: question(pair) + ways[way](pair) })}\n`);
  const file = path.join(folder, `${name}.jsonl`);
  writeFileSync(file, lines.join(''));
  console.log(`${file}: ${chosen.length} products, each ${times} times, such as ${lines[0].trim()}`);
}

const square = ({ x, y }) => x === y;
const some = [
  ...pairs.filter(square),
  ...shuffled(
    pairs.filter((pair) => !square(pair)),
    'few',
  ),
].slice(0, few);
try {
  mkdirSync(folder, { recursive: true });
  write('memory', { chosen: some, way: 'plain', times: 100, order: 'memory' });
  write('rule', { chosen: pairs, way: 'worked', times: 40, order: 'rule' });
  write('plain', { chosen: pairs, way: 'plain', times: 40, order: 'rule' });
} catch (error) {
  fail(`${folder} cannot be written (${error.code ?? error.message}): choose another folder.`);
}
