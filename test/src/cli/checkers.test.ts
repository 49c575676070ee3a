import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { sampleText } from '../cluster/cluster.js';
import { manyhands, start, temporaryFolder, tiny } from './command-line.js';

const game = ['checkers', '--nodes', '300'];

test('a game in the terminal: moves by number and by squares, what is wrong is said, undo goes back', async () => {
  const input = '1\nfoo\n99\n9-14\nundo\n9-14\nhelp\nquit\n';
  const { status, stdout, stderr } = await manyhands(['checkers', 'play', '--nodes', '300'], { input });
  assert.deepEqual([status, stderr], [0, '']);
  assert.match(stdout, /You are Black\. The machine judges by material alone; its values are in men/);
  assert.match(stdout, /1\) 9-13 {2}2\) 9-14/);
  assert.match(stdout, /White plays \d+-\d+: (even|\w+ \+\d\.\d\d), expects [\d x-]+ \(\d+ moves ahead, \d/);
  for (const said of [/"foo" is no move/, /no move 99: they are 1 to \d+/, /"9-14" is not legal for Black/]) {
    assert.match(stdout, said);
  }
  // At the start, after the first move, after undo, and after 9-14: what is wrong draws no board.
  assert.equal(stdout.match(/\+-{33}\+\n/g)?.length, 2 * 4);
  assert.match(stdout, /who can capture must/);
});

test('the board lies as the person sits, with kings as capitals', async () => {
  const { stdout } = await manyhands([...game, '--as', 'white', '--position', 'W:WK32,18:B1,K14'], {
    input: '',
  });
  const board = stdout.split('\n').filter((line) => line.startsWith('  |'));
  assert.match(board[0], /^ {2}\| {5}b 1 {5}· 2/);
  assert.match(board[7], /·29 {5}·30 {5}·31 {5}W32 {5}\|$/);
  assert.match(stdout, /B14/);
});

test('a game ends with who has won and why, by either side’s move', async () => {
  const won = await manyhands([...game, '--position', 'B:W15:B11'], { input: '11x18\n' });
  assert.deepEqual([won.status, won.stderr], [0, '']);
  assert.match(won.stdout, /Black wins: no piece of the other is left\.\n$/);
  const lost = await manyhands([...game, '--position', 'B:W15:B11', '--as', 'white'], { input: '' });
  assert.match(lost.stdout, /Black plays 11x18: Black wins in 1 {2}\(/);
  assert.match(lost.stdout, /Black wins: no piece of the other is left\.\n$/);
});

test('Ctrl-C leaves the game with 130', async () => {
  const running = start(game, { input: null });
  running.child.stdout?.on('data', (text: string) => {
    if (text.includes('your move: ')) running.child.kill('SIGINT');
  });
  const { status, signal, stderr } = await running.ended;
  assert.deepEqual([status, signal, stderr], [130, null, '']);
});

test('perft counts the lines of moves, and a match is the same each time', async () => {
  const perft = await manyhands(['checkers', 'perft', '--depth', '6', '--json']);
  assert.deepEqual(JSON.parse(perft.stdout), { lines: [7, 49, 302, 1469, 7361, 36768] });
  const match = ['checkers', 'match', '--against', 'random', '--games', '10', '--nodes', '50', '--json'];
  const [one, other] = [await manyhands(match), await manyhands(match)];
  const { wins, draws, losses, score } = JSON.parse(one.stdout);
  assert.equal(wins + draws + losses, 10);
  assert.ok(score > 0.8, one.stdout);
  assert.equal(other.stdout, one.stdout);
});

test('a match tells who played whom, how often, how it went and how sure that is', async () => {
  const match = ['checkers', 'match', '--against', 'random', '--games', '20', '--nodes', '50'];
  const { status, stdout, stderr } = await manyhands(match);
  assert.equal(status, 0, stderr);
  assert.match(
    stdout,
    /^material alone against random moves: 20 games, 50 positions a move\n10 openings \(seed 1\), each played with both colours\n\d+ won, \d+ drawn, \d+ lost\nscore [\d.]+% of the points, a draw being half of one \(95%: [\d.]+% to [\d.]+%\)\n$/,
  );
  assert.match(stderr, /^20 of 20 games: \d+ won, \d+ drawn, \d+ lost\n[\d,]+ moves in \d+ s\n$/);
  const { stdout: help } = await manyhands(['checkers', 'match', '--help']);
  assert.doesNotMatch(help, /\$/);
});

test('a model that reads text plays no checkers, on whichever side it is named', async (context) => {
  const folder = temporaryFolder(context);
  writeFileSync(path.join(folder, 'text.txt'), sampleText(2000));
  const trained = await manyhands(['train', '--data', 'text.txt', '--steps', '1', '--out', 'text', ...tiny], {
    cwd: folder,
  });
  assert.equal(trained.status, 0, trained.stderr);
  for (const args of [
    ['--model', 'text'],
    ['page', '--model', 'text', '--html', 'page.html'],
    ['match', '--model', 'text'],
    ['match', '--against', 'text'],
    ['match', '--model', 'text', '--against', 'start'],
  ]) {
    const { status, stdout, stderr } = await manyhands(['checkers', ...args], { cwd: folder });
    assert.deepEqual([status, stdout], [2, ''], args.join(' '));
    assert.equal(
      stderr,
      'manyhands: text holds a language model, but must be of a run of the task checkers.\n',
    );
  }
  assert.ok(!existsSync(path.join(folder, 'page.html')));
});

test('what a run learned plays, by its sum or its network, against what it began with', async (context) => {
  const folder = temporaryFolder(context);
  const run = async (...args: string[]) => {
    const { status, stdout, stderr } = await manyhands(args, { cwd: folder });
    assert.equal(status, 0, stderr);
    return stdout;
  };
  for (const [out, evaluation] of [
    ['sum', 'samuel'],
    ['net', 'network'],
  ]) {
    const task = `{task: {name: checkers, evaluation: ${evaluation}, depth: 1}, run: {steps: 8, seed: 5}, batch: {sequences: 16}, optimizer: {name: adamw, lr: 0.05, weightDecay: 0}}`;
    writeFileSync(path.join(folder, 'task.yaml'), task);
    await run('train', '--config', 'task.yaml', '--out', out, '--threads', '1', '--backend', 'cpu');
  }
  const match = ['checkers', 'match', '--nodes', '200', '--games', '20', '--json'];
  const learned = JSON.parse(await run(...match, '--model', 'sum', '--against', 'start'));
  assert.ok(learned.score > 0.6, JSON.stringify(learned));
  const mixed = JSON.parse(await run(...match, '--model', 'net', '--against', 'sum'));
  assert.equal(mixed.wins + mixed.draws + mixed.losses, 20);
  const told = await run('checkers', '--model', 'sum', '--nodes', '300', '--as', 'white');
  assert.match(told, /judges by sum; its values are in men/);
  assert.match(
    await run('checkers', '--model', 'net', '--nodes', '300'),
    /judges by net; its values are in log-odds of winning/,
  );
  await run('checkers', 'page', '--model', 'sum', '--html', 'sum.html');
  assert.match(
    readFileSync(path.join(folder, 'sum.html'), 'utf8'),
    /"name":"sum","unit":"men","weights":\{"men":1,/,
  );
  const page = await manyhands(['checkers', 'page', '--model', 'net', '--html', 'net.html'], { cwd: folder });
  assert.deepEqual([page.status, page.stderr.split('\n').length], [2, 2]);
  assert.match(page.stderr, /net is a network/);
});

for (const [args, sentence] of [
  [
    ['--position', 'B:W1:B2'],
    /--position: "B:W1:B2" is no checkers position: the man of White on 1 would be a king/,
  ],
  [['--position', 'W:W9,9:B2'], /square 9 is named twice/],
  [['--position', 'W:W9:B9'], /square 9 has a piece of each colour/],
  [['--position', 'B:W21-32:B1-13'], /Black has more than 12 pieces/],
  [['--position', 'B:W:B'], /it has no piece at all/],
  [['--position', 'nonsense'], /write who is to move/],
  [['perft', '--position', 'B:W1:B2'], /--position: "B:W1:B2" is no checkers position/],
  [['--position', 'B:W33:B2'], /square 33: they are 1 to 32/],
  [['--as', 'red'], /--as is "red", but must be one of black, white/],
  [['--nodes', '0'], /--nodes is "0"/],
  [['--seconds', '0'], /--seconds is "0", but must be a number above 0 and at most 30/],
  [['--model', 'nowhere'], /nowhere does not exist/],
  [['match', '--against', 'start'], /--against start is what a run began with/],
  [['match', '--games', '3'], /--games is "3", but must be even/],
  [['match', '--against', 'nowhere'], /nowhere does not exist/],
  [['perft', '--depth', '15'], /--depth is "15", but must be a whole number from 1 to 14/],
  [['page'], /--html is missing/],
  [['page', '--html', 'no/such/folder.html'], /make the folder no\/such first/],
  [['frobnicate'], /too many arguments|unknown command/],
] as const) {
  test(`refused with 2: checkers ${args.join(' ')}`, async () => {
    const { status, stdout, stderr } = await manyhands(['checkers', ...args]);
    assert.deepEqual([status, stdout], [2, '']);
    assert.match(stderr, sentence);
    assert.equal(stderr.trimEnd().split('\n').length, 1, stderr);
  });
}
