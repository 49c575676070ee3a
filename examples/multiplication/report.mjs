// What runs were taught and what they answer: node examples/multiplication/report.mjs RUN… [--html FILE] [--best]
// Asks each run for every pair, prints how many answers are right, and draws a page that needs nothing beside itself.
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { UserError } from '@manyhands/core/config';
import { TokenizerError } from '@manyhands/tokenizer';
import { checkOutputFile } from '../../apps/cli/dist/output-file.js';
import { renderSingleFile } from '../../apps/cli/dist/page/single-file.js';
import { examine, score } from './examine.mjs';
import { style } from './style.mjs';

const usage = 'node examples/multiplication/report.mjs RUN… [--html FILE] [--best]';

function options() {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: { html: { type: 'string' }, best: { type: 'boolean', default: false } },
    });
    if (positionals.length === 0 || positionals.length > 8)
      throw new UserError(`Give one to eight run directories: ${usage}`);
    if (values.html !== undefined) checkOutputFile('--html', values.html);
    return { ...values, runs: positionals };
  } catch (error) {
    throw error instanceof UserError ? error : new UserError(`${error.message}: ${usage}`);
  }
}

/** The settings in which the runs differ, a row each: the key, then every run's value. */
function differences(configs) {
  const flat = configs.map((config) =>
    Object.fromEntries(
      Object.entries(config).flatMap(([section, keys]) =>
        Object.entries(keys).map(([key, value]) => [`${section}.${key}`, shown(value)]),
      ),
    ),
  );
  return Object.keys(flat[0])
    .map((key) => [key, ...flat.map((each) => each[key])])
    .filter(([, first, ...others]) => others.some((value) => value !== first));
}

/** A setting as a person wrote it: a source of weight 1 is its path. */
function shown(value) {
  if (!Array.isArray(value)) return typeof value === 'string' ? value : JSON.stringify(value);
  return value.map((item) => (item?.weight === 1 ? item.path : JSON.stringify(item))).join(', ');
}

const percent = ({ right, asked }) => (asked === 0 ? 'none' : `${((100 * right) / asked).toFixed(1)} %`);

async function main() {
  const { runs, html, best } = options();
  const examined = [];
  for (const run of runs) {
    const { config, ...found } = await examine(run, { best });
    const [seen, unseen] = [score(found.cells, true), score(found.cells, false)];
    examined.push({ config, page: { ...found, seed: config.run.seed, seen, unseen } });
    console.log(`${run} (${found.checkpoint}, weights ${found.weightsSha256})`);
    for (const [what, part] of [
      ['saw', seen],
      ['never saw', unseen],
    ]) {
      console.log(
        `  pairs it ${what.padEnd(10)} ${percent(part).padStart(8)}   ${part.right} of ${part.asked}`,
      );
    }
    console.log(
      `  by chance            ${(100 * found.chance).toFixed(1).padStart(6)} %   drawing one of the answers that it was taught`,
    );
  }
  if (html === undefined) return;
  const data = {
    runs: examined.map(({ page }) => page),
    differences: differences(examined.map(({ config }) => config)),
  };
  const drawing = [
    new URL('../../apps/cli/dist/explain/page/dom.js', import.meta.url),
    ...['curves', 'grid', 'page'].map((name) => new URL(`./page/${name}.mjs`, import.meta.url)),
  ];
  const title = 'A rule or a memory: multiplication';
  writeFileSync(html, renderSingleFile({ title, style, data, modules: drawing }));
  console.log(html);
}

main().catch((error) => {
  const known = error instanceof UserError || error instanceof TokenizerError;
  console.error(known ? error.message : error);
  process.exitCode = known ? 2 : 1;
});
