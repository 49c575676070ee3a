import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { RunEvent } from '@manyhands/coordinator';
import { Display } from './display.js';
import { step } from './test-events.js';

/** A display on a screen that remembers, with a clock that the test moves. */
function onScreen(context: TestContext, isTTY: boolean, columns = 200) {
  context.mock.timers.enable({ apis: ['setInterval'] });
  const written: string[] = [];
  let time = 0;
  const display = new Display({ isTTY, columns, write: (text) => written.push(text) }, () => time);
  return {
    display,
    text: () => written.join(''),
    pass(seconds: number) {
      for (let i = 0; i < seconds; i++) {
        time += 1;
        context.mock.timers.tick(1000);
      }
    },
  };
}

/** What a terminal shows after this text: escape sequences carried out, line by line. */
function shown(text: string): string[] {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: a terminal's own sequence
  return text.split('\n').map((line) => line.split(/\r\x1b\[2K/).at(-1) ?? '');
}

const evaluation: Extract<RunEvent, { kind: 'eval' }> = {
  kind: 'eval',
  step: 50,
  trainLoss: 2.1,
  validationLoss: 2.2222,
  bitsPerByte: 3.2,
  sources: { books: 2.2222 },
  trainSources: { books: 2.1 },
  heldOut: [],
};

test('in a pipe there is a line for the first step, then one every five seconds, and no escape sequence', (context) => {
  const { display, text, pass } = onScreen(context, false);
  for (let number = 1; number <= 12; number++) {
    display.report(step(number));
    pass(1);
  }
  display.end();
  assert.deepEqual(
    text()
      .trim()
      .split('\n')
      .map((line) => line.split(' ')[1]),
    ['1/100', '6/100', '11/100', '12/100'],
  );
  assert.ok(!text().includes('\x1b') && !text().includes('\r'));
});

test('a line of a step names its loss, learning rate, speed, workers and the time left', (context) => {
  const { display, text } = onScreen(context, false);
  display.report(step(1));
  for (const part of ['1/100', '2.5000', '0.00100', '12,345 tokens/s', '2 workers', '1:05']) {
    assert.ok(text().includes(part), `${part} is not in ${text()}`);
  }
});

test('a step that only some workers share says how many, in a pipe and on a terminal', (context) => {
  for (const isTerminal of [false, true]) {
    const { display, text } = onScreen(context, isTerminal);
    display.report({ kind: 'worker', text: 'c-3 joined', workers: 3, threads: 6 });
    display.report(step(9, { workers: 3, crew: 2 }));
    assert.ok(text().includes(' 2 of 3 workers'), text());
    display.end();
    context.mock.timers.reset();
  }
});

test('on a terminal one line is drawn over and over, and evaluations stay above it', (context) => {
  const { display, text } = onScreen(context, true);
  for (let number = 1; number <= 50; number++) display.report(step(number));
  display.report(evaluation);
  display.report(step(51));
  const lines = shown(text());
  assert.equal(lines.length, 2);
  assert.match(lines[0], /^step 50 .*2\.2222/);
  assert.match(lines[1], /51%.*step 51\/100.*val 2\.222/);
  display.end();
  assert.equal(shown(text()).at(-1), '');
});

test('an evaluation of several sources tells each of them, what is held out last, in one line', (context) => {
  const { display, text } = onScreen(context, false);
  const sources = { forum: 3.25, books: 2.1, mail: 2.5 };
  display.report({
    ...evaluation,
    sources,
    trainSources: { books: 2, mail: 2.25, notes: 1 },
    heldOut: ['forum'],
  });
  assert.equal(
    text().split('\n')[1],
    'step 50  by source: books 2.1000 (train 2.0000), mail 2.5000 (train 2.2500), notes – (train 1.0000), forum 3.2500 (held out)',
  );
});

test('of very many sources the line has those with the highest losses', (context) => {
  const { display, text } = onScreen(context, false);
  const losses = Object.fromEntries(Array.from({ length: 30 }, (_, at) => [`s${at}`, at]));
  display.report({ ...evaluation, sources: losses, trainSources: losses });
  const line = text().split('\n')[1];
  assert.deepEqual(
    [...line.matchAll(/s(\d+) /g)].map(([, at]) => Number(at)),
    [22, 23, 24, 25, 26, 27, 28, 29],
  );
  assert.match(line, /, and 22 with lower ones$/);
});

test('a narrow terminal keeps the loss and the time left', (context) => {
  const { display, text } = onScreen(context, true, 70);
  display.report(step(3));
  assert.match(shown(text())[0], /loss 2\.500 {2}ETA 1:05 .*…$/);
});

test('in a pipe a step is told before the checkpoint that holds it', (context) => {
  const { display, text } = onScreen(context, false);
  for (let number = 97; number <= 100; number++) {
    display.report(step(number));
    if (number !== 99) display.report({ kind: 'checkpoint', step: number, path: 'x', weightsSha256: '' });
  }
  display.end();
  const words = text()
    .trim()
    .split('\n')
    .map((line) => line.split(/ +/).slice(1, 3).join(' '));
  assert.deepEqual(words, [
    '97/100 loss',
    '97 saved',
    '98/100 loss',
    '98 saved',
    '100/100 loss',
    '100 saved',
  ]);
});

test('the live line never reaches the terminal’s last column', (context) => {
  const { display, text } = onScreen(context, true, 40);
  display.report(step(3));
  assert.equal(shown(text())[0].length, 39);
});

test('a wait that nothing ends is named after six seconds, then ever more seldom', (context) => {
  const { display, text, pass } = onScreen(context, false);
  display.status('encoding text');
  pass(5);
  assert.equal(text(), 'encoding text\n');
  pass(60);
  const reminders = text().trim().split('\n').slice(1);
  assert.deepEqual(
    reminders,
    [6, 12, 24, 48].map((waited) => `… encoding text (${waited} s so far)`),
  );
});

test('a step that hangs is named on a terminal too', (context) => {
  const { display, text, pass } = onScreen(context, true);
  display.report(step(3));
  pass(9);
  assert.match(shown(text())[0], /^step 4: 9 s so far/);
});
