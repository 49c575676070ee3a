// What was learned, in games: node examples/checkers/match.mjs RUN [--games 400] [--depth 3] [--milliseconds 20] [--best]
// Plays a checkers run's model against its own untrained start, against random moves, and against the plain count of
// material, colours exchanged over many openings. With --depth the match is the same every time; with --milliseconds
// both have equal time for each move.
import { parseArgs } from 'node:util';
import { linear, playMatch, randomPlayer, searchPlayer, startWeights } from '@manyhands/checkers';
import { loadAnyModel, readRunConfig, resolveModelDirectory } from '@manyhands/core/checkpoint';
import { initialWeights, isLanguageModel } from '@manyhands/core/model';
import { evaluationOf } from '@manyhands/tasks';

const usage = 'node examples/checkers/match.mjs RUN [--games N] [--depth N] [--milliseconds N] [--best]';

function whole(name, text, least, most) {
  const value = Number(text);
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  fail(`--${name} is ${JSON.stringify(text)}, but must be a whole number from ${least} to ${most}.`);
}

function fail(sentence) {
  console.error(sentence);
  process.exit(2);
}

function read() {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        games: { type: 'string', default: '400' },
        depth: { type: 'string' },
        milliseconds: { type: 'string' },
        best: { type: 'boolean', default: false },
      },
    });
    const [run] = positionals;
    if (run === undefined) fail(`A run directory is missing: ${usage}`);
    const { task, run: settings } = readRunConfig(run);
    const directory = resolveModelDirectory(run, { best: values.best });
    const { model, weights, weightsSha256 } = loadAnyModel(directory);
    if (isLanguageModel(model))
      fail(`${run} is a run of a language model, but must be one of the task checkers.`);
    const games = whole('games', values.games, 2, 100_000);
    if (games % 2 !== 0)
      fail(`--games is ${games}, but must be even: each opening is played with both colours.`);
    const limit =
      values.milliseconds === undefined
        ? { depth: whole('depth', values.depth ?? String(task.depth), 1, 20) }
        : { milliseconds: whole('milliseconds', values.milliseconds, 1, 60_000) };
    return { directory, model, weights, weightsSha256, seed: settings.seed, games, limit };
  } catch (error) {
    fail(error instanceof Error ? error.message : String(error));
  }
}

const { directory, model, weights, weightsSha256, seed, games, limit } = read();
const player = (of) => searchPlayer(evaluationOf(model, of), limit);
const learned = player(weights);
const opponents = [
  ['its untrained start', player(initialWeights(model, seed))],
  ['random moves', randomPlayer],
  ['counting material', searchPlayer(linear(startWeights), limit)],
];
const how = limit.depth === undefined ? `${limit.milliseconds} ms a move` : `${limit.depth} moves ahead`;
console.log(`${directory}\nweights ${weightsSha256}\n${games} games each, ${how}, openings of seed 1`);
for (const [name, opponent] of opponents) {
  const { wins, draws, losses, score, uncertainty } = playMatch(learned, opponent, { games, seed: 1 });
  const share = `${(100 * score).toFixed(1)} % ± ${(100 * uncertainty).toFixed(1)}`;
  console.log(
    `against ${name.padEnd(20)} ${share.padStart(14)}   ${wins} won, ${draws} drawn, ${losses} lost`,
  );
}
