import { createInterface, type Interface } from 'node:readline/promises';
import {
  CheckersError,
  type Colour,
  colourNames,
  type Evaluate,
  type Found,
  formatMove,
  type Game,
  legalMoves,
  type Move,
  newGame,
  type Position,
  parseMove,
  play as played,
  result,
  search,
  Table,
  valueInWords,
} from '@manyhands/checkers';
import { exitStatus } from '../failure.js';
import { count } from '../format.js';
import { Interrupt } from '../interrupt.js';
import { colors, print } from '../output.js';
import type { Judge } from './asked.js';
import { drawBoard } from './draw-board.js';

export interface PlayOptions {
  readonly judge: Judge;
  readonly start: Position;
  /** The colour of the person, 0 or 1. */
  readonly human: number;
  readonly limit: { readonly nodes: number } | { readonly seconds: number };
}

/** Plays one game in the terminal, to its end, the end of input or Ctrl-C. Returns the exit status. */
export async function play({ judge, start, human, limit }: PlayOptions): Promise<number> {
  const lines = createInterface({
    input: process.stdin,
    output: process.stdout,
    terminal: process.stdin.isTTY,
  });
  const interrupt = new Interrupt(() => lines.close());
  // A terminal that is read line by line gives Ctrl-C as a key.
  lines.on('SIGINT', () => process.kill(process.pid, 'SIGINT'));
  const think = machine(judge.evaluate, limit);
  print(
    `You are ${colourNames[human]}. The machine judges by ${judge.name}; its values are in ${judge.unit}.`,
  );
  print('Write a move as 11-15 or 15x22, or its number; undo takes back, help explains, quit ends.');
  try {
    const ended = await playOn(newGame(start), human as Colour, think, lines);
    if (ended !== null) print(ended);
  } finally {
    interrupt.dispose();
    lines.close();
  }
  if (!interrupt.happened) return exitStatus.done;
  print('');
  return exitStatus.interrupted;
}

/** How the game ended; null where it was left. */
async function playOn(
  start: Game,
  human: Colour,
  think: (game: Game) => Found,
  lines: Interface,
): Promise<string | null> {
  const games = [start];
  const input = lines[Symbol.asyncIterator]();
  for (;;) {
    const game = games[games.length - 1];
    const { position } = game;
    const ended = result(game);
    if (ended !== null || position.turn === human) print(`\n${drawBoard(position, human, colors)}`);
    if (ended !== null) {
      const who = ended.winner === null ? 'A draw' : `${colourNames[ended.winner]} wins`;
      return `${who}: ${ended.reason}.`;
    }
    if (position.turn !== human) {
      const found = think(game);
      print(told(found, position));
      games.push(played(game, found.move));
      continue;
    }
    const wish = await asked(lines, input, position);
    if (wish === 'quit') return null;
    if (wish === 'undo') undo(games, human);
    else games.push(played(game, wish));
  }
}

/** Asks until there is an answer that can be followed; the end of input is one. */
async function asked(
  lines: Interface,
  input: AsyncIterator<string>,
  position: Position,
): Promise<Move | 'undo' | 'quit'> {
  const moves = legalMoves(position);
  print(moves.map((move, i) => `${colors.dim(`${i + 1})`)} ${formatMove(move)}`).join('  '));
  for (;;) {
    const answer = await ask(lines, input);
    if (answer === null) return 'quit';
    if (answer === 'undo' || answer === 'quit') return answer;
    const move = answer === 'help' ? help : answer === '' ? null : chosen(answer, moves, position);
    if (typeof move === 'string') print(move);
    else if (move !== null) return move;
  }
}

/** The next line of input, in lower case; null at its end. */
async function ask(lines: Interface, input: AsyncIterator<string>): Promise<string | null> {
  lines.setPrompt('your move: ');
  lines.prompt();
  const { done, value } = await input.next();
  return done ? null : value.trim().toLowerCase();
}

/** The move that a person means, by number or squares, or why it is none. */
function chosen(answer: string, moves: readonly Move[], position: Position): Move | string {
  if (/^\d+$/.test(answer)) {
    return (
      moves[Number(answer) - 1] ?? `There is no move ${answer.slice(0, 9)}: they are 1 to ${moves.length}.`
    );
  }
  try {
    return parseMove(answer, position);
  } catch (error) {
    if (error instanceof CheckersError) return `${error.message}.`;
    throw error;
  }
}

/** Back to the person's move before this one, where there was one. */
function undo(games: Game[], human: Colour): void {
  const before = games.slice(0, -1).findLastIndex(({ position }) => position.turn === human);
  if (before < 0) print('There is no move of yours to take back.');
  else games.length = before + 1;
}

/** What the machine plays, what it thinks of it, and what it expects to follow. */
function told({ move, value, line, depth, nodes }: Found, { turn }: Position): string {
  const rest = line.slice(1, 9).map(formatMove).join(' ');
  const expected = rest === '' ? '' : `, expects ${rest}`;
  const looked = `${depth} ${depth === 1 ? 'move' : 'moves'} ahead, ${count(nodes)} positions`;
  const words = `${valueInWords(value, turn)}${expected}  ${colors.dim(`(${looked})`)}`;
  return `${colourNames[turn]} plays ${colors.bold(formatMove(move))}: ${words}`;
}

function machine(evaluate: Evaluate, limit: PlayOptions['limit']): (game: Game) => Found {
  const table = new Table();
  return (game) => {
    if ('nodes' in limit) return search(game, { evaluate, table, nodes: limit.nodes });
    const end = performance.now() + 1000 * limit.seconds;
    return search(game, { evaluate, table, stop: () => performance.now() >= end });
  };
}

const help = `Men (b, w) move one square ahead, on the dark squares; kings (B, W) back too. A piece jumps over one of the
other's onto the empty square behind it and captures it; who can capture must, and goes on while that piece can. A man
that reaches the last row is a king and its move ends. Who cannot move has lost. The same position three times, or 40
moves of each without a capture or a man that moves, is a draw.`;
