// Reads hostile inputs until they are through or one finds a defect.
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { tellUsage } from '../usage.js';
import { runTargets } from './run-target.js';
import { everyTarget, shareOut, targets } from './targets.js';

const USAGE = 'usage: fuzz [--inputs N] [--target NAME] [--seed N]';

function whole(text: string, option: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new Error(`--${option} is ${text}, but must be a whole number from 0 up`);
}

function options() {
  const { values } = parseArgs({
    options: {
      inputs: { type: 'string', default: '100000' },
      target: { type: 'string' },
      seed: { type: 'string', default: '1' },
    },
  });
  const { target } = values;
  if (target !== undefined && !Object.hasOwn(everyTarget, target)) {
    throw new Error(`--target is ${target}, but must be one of ${Object.keys(targets).join(', ')}`);
  }
  return { inputs: whole(values.inputs, 'inputs'), seed: whole(values.seed, 'seed'), target };
}

async function main(): Promise<number> {
  tellUsage(USAGE);
  let given: ReturnType<typeof options>;
  try {
    given = options();
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n${USAGE}`);
    return 2;
  }
  const { seed, target, inputs } = given;
  const shares = target === undefined ? shareOut(inputs) : [[target, inputs] as const];
  let defects = 0;
  let total = 0;
  await runTargets(shares, seed, (name, outcome) => {
    if ('tally' in outcome) {
      const { accepted, refused, kinds, seconds } = outcome.tally;
      total += outcome.tally.inputs;
      console.log(
        `${name.padEnd(20)} ${outcome.tally.inputs} inputs: ${accepted} accepted, ${refused} refused for ${kinds} reasons, ${seconds.toFixed(1)} s`,
      );
      return;
    }
    defects += 1;
    const { index, input, what } = outcome.defect;
    const file = `fuzz-${name}-${seed}-${index}.base64`;
    writeFileSync(file, Buffer.from(input).toString('base64'));
    console.log(`${name.padEnd(20)} DEFECT at input ${index} with --seed ${seed}: ${what}`);
    console.log(`${' '.repeat(20)} saved as ${file}: in test/src/fuzz/corpus/${name}/ it is tried first`);
  });
  console.log(`${total} inputs, ${defects === 0 ? 'no defect' : `${defects} targets with a defect`}`);
  return defects === 0 ? 0 : 1;
}

process.exitCode = await main();
