// One target's inputs, in a process of its own, which may hang or die: `child.js TARGET SEED INPUTS PROGRESS`.
import { openSync } from 'node:fs';
import { corpusOf } from './corpus.js';
import { fuzz } from './engine.js';
import { planted } from './planted.js';

const [name, seed, inputs, progress] = process.argv.slice(2);
// What is not asked for is not loaded.
const target = planted[name] ?? (await import('./targets.js')).targets[name];
const outcome = await fuzz(target, {
  seed: Number(seed),
  inputs: Number(inputs),
  corpus: corpusOf(name),
  progress: openSync(progress, 'w'),
});
const told = 'tally' in outcome ? outcome : { what: outcome.defect.what, index: outcome.defect.index };
process.send?.(told, () => process.exit(0));
