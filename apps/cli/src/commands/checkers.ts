import { writeFileSync } from 'node:fs';
import { type Match, type Player, perft, playMatch, randomPlayer, searchPlayer } from '@manyhands/checkers';
import type { Command } from 'commander';
import {
  BOTH,
  evenGames,
  type Judge,
  material,
  modelOption,
  positionOption,
  untrained,
} from '../checkers/asked.js';
import { play } from '../checkers/play.js';
import { renderPage } from '../checkers/render-page.js';
import { count, duration } from '../format.js';
import { choice, real, subcommand, whole } from '../options.js';
import { note, print, printJson } from '../output.js';
import { checkOutputFile } from '../output-file.js';
import { required, wording } from './shared.js';

const words = {
  model: 'what judges: a run of the task checkers, or a checkpoint of one (default: material alone)',
  nodes: 'positions that the machine may look at for a move',
  position: 'begin with this position, as in B:W21,22,K30:B1,2 (default: the start)',
} as const;

const thinking = { least: 0, most: 30, above: true };

export function checkers(): Command {
  return subcommand(
    'checkers',
    'play English draughts, let evaluations play each other, count lines of moves',
  )
    .addCommand(playCommand(), { isDefault: true })
    .addCommand(pageCommand())
    .addCommand(matchCommand())
    .addCommand(perftCommand());
}

interface PlayOptions {
  readonly as: (typeof BOTH)[number];
  readonly model?: string;
  readonly best?: boolean;
  readonly nodes: number;
  readonly seconds?: number;
  readonly position?: string;
}

function playCommand(): Command {
  return subcommand('play', 'play against the machine, here in the terminal')
    .addOption(choice('--as <colour>', 'your colour; Black moves first', BOTH).default('black'))
    .option('--model <dir>', words.model)
    .option('--best', wording.best)
    .addOption(whole('--nodes <n>', words.nodes, 1, 10_000_000).default(100_000))
    .addOption(real('--seconds <s>', 'think for so long instead', thinking))
    .option('--position <text>', words.position)
    .action(async (options: PlayOptions) => {
      const { as, nodes, seconds } = options;
      const start = positionOption(options.position);
      const limit = seconds === undefined ? { nodes } : { seconds };
      process.exitCode = await play({
        start,
        human: BOTH.indexOf(as),
        limit,
        judge: modelOption(options.model, options),
      });
    });
}

function pageCommand(): Command {
  return subcommand('page', 'the same as a page for a browser, engine and all')
    .option('--html <file>', 'the file to write')
    .option('--model <dir>', words.model)
    .option('--best', wording.best)
    .action((options: { html?: string; model?: string; best?: boolean }) => {
      const html = required(options.html, '--html', 'the file to write');
      checkOutputFile('--html', html);
      writeFileSync(html, renderPage(modelOption(options.model, options)));
      note(`${html} is written: open it in a browser.`);
    });
}

interface MatchOptions {
  readonly model?: string;
  readonly best?: boolean;
  readonly against: string;
  readonly games: number;
  readonly nodes: number;
  readonly seconds?: number;
  readonly seed: number;
  readonly json?: boolean;
}

function matchCommand(): Command {
  return subcommand('match', 'games between two evaluations, each opening with either colour')
    .option('--model <dir>', words.model)
    .option('--best', wording.best)
    .option(
      '--against <other>',
      'start (what the run began with), material, random, or another run',
      'material',
    )
    .addOption(whole('--games <n>', 'an even number of games', 2, 100_000).default(400))
    .addOption(whole('--nodes <n>', words.nodes, 1, 10_000_000).default(1000))
    .addOption(real('--seconds <s>', 'seconds a move instead; no two such matches are the same', thinking))
    .addOption(whole('--seed <n>', 'which openings, and which random moves', 0, 4294967295).default(1))
    .option('--json', `${wording.json}: {"wins","draws","losses","score","low","high","moves"}`)
    .action(match);
}

function match(options: MatchOptions): void {
  const { seed, nodes, seconds } = options;
  const games = evenGames(options.games);
  const limit = seconds === undefined ? { nodes } : { milliseconds: 1000 * seconds };
  const player = ({ evaluate }: Judge) => searchPlayer(evaluate, limit);
  const judge = modelOption(options.model, options);
  const other = opponent(options, player);
  const started = performance.now();
  const onGame = ({ wins, draws, losses }: Match) => {
    const played = wins + draws + losses;
    if (played % 20 === 0) note(`${played} of ${games} games: ${wins} won, ${draws} drawn, ${losses} lost`);
  };
  const told = playMatch(player(judge), other.player, { games, seed, onGame });
  if (options.json) {
    printJson(told);
    return;
  }
  const percent = (share: number) => `${(100 * share).toFixed(1)}%`;
  const thought = seconds === undefined ? `${count(nodes)} positions` : `${seconds} s`;
  print(`${judge.name} against ${other.name}: ${games} games, ${thought} a move`);
  print(`${games / 2} openings (seed ${seed}), each played with both colours`);
  print(`${told.wins} won, ${told.draws} drawn, ${told.losses} lost`);
  print(
    `score ${percent(told.score)} of the points, a draw being half of one (95%: ${percent(told.low)} to ${percent(told.high)})`,
  );
  note(`${count(told.moves)} moves in ${duration((performance.now() - started) / 1000)}`);
}

function opponent(
  { against, model }: MatchOptions,
  player: (judge: Judge) => Player,
): { name: string; player: Player } {
  if (against === 'random') return { name: 'random moves', player: randomPlayer };
  const judge =
    against === 'start' ? untrained(model) : against === 'material' ? material : modelOption(against, {});
  return { name: judge.name, player: player(judge) };
}

function perftCommand(): Command {
  return subcommand('perft', 'how many lines of moves there are: the check of the rules')
    .addOption(whole('--depth <n>', 'moves in a line', 1, 14).default(8))
    .option('--position <text>', words.position)
    .option('--json', `${wording.json}: {"lines": [for 1 move, for 2, …]}`)
    .action(({ depth, position, json }: { depth: number; position?: string; json?: boolean }) => {
      const start = positionOption(position);
      const lines: number[] = [];
      for (let moves = 1; moves <= depth; moves++) {
        lines.push(perft(start, moves));
        if (!json) print(`${String(moves).padStart(2)} ${count(lines[moves - 1]).padStart(15)}`);
      }
      if (json) printJson({ lines });
    });
}
