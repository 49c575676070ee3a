import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { FinishReason, GeneratedToken } from './index.js';
import { generateText, stoppingText } from './index.js';

/** Token i decodes to piece i; `tail` was held by the decoder to the end. */
const decoderOf = (pieces: readonly string[], tail = '') => ({
  push: (id: number) => pieces[id],
  end: () => tail,
});

async function* tokensOf(
  count: number,
  finishReason: FinishReason = 'length',
): AsyncGenerator<GeneratedToken> {
  for (let id = 0; id < count; id++) {
    yield { id, logProbability: 0, position: id, finishReason: id === count - 1 ? finishReason : null };
  }
}

async function collect(
  pieces: readonly string[],
  stops: readonly string[],
  tail = '',
  reason: FinishReason = 'length',
) {
  const out = [];
  for await (const one of generateText(tokensOf(pieces.length, reason), decoderOf(pieces, tail), stops))
    out.push(one);
  return { text: out.map(({ text }) => text).join(''), out, finishReason: out.at(-1)?.finishReason };
}

/** Letter by letter: at the first letter that completes a stop string, the text before that string. */
function letterByLetter(text: string, stops: readonly string[]): { text: string; stopped: boolean } {
  for (let end = 1; end <= text.length; end++) {
    const met = stops.filter((stop) => text.slice(0, end).endsWith(stop));
    if (met.length > 0)
      return { text: text.slice(0, end - Math.max(...met.map((stop) => stop.length))), stopped: true };
  }
  return { text, stopped: false };
}

test('text ends before the first stop string, wherever tokens are cut', async () => {
  const letters = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 5 });
  const stop = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(
      fc.array(letters, { minLength: 1, maxLength: 8 }),
      fc.array(stop, { maxLength: 3 }),
      letters,
      async (pieces, stops, tail) => {
        const expected = letterByLetter(pieces.join('') + tail, stops);
        const { text, finishReason } = await collect(pieces, stops, tail);
        assert.deepEqual(
          { text, finishReason },
          { text: expected.text, finishReason: expected.stopped ? 'stop' : 'length' },
        );
      },
    ),
    { numRuns: 1000 },
  );
});

test('what may begin a stop string is held back until it is certain', () => {
  const watched = stoppingText(decoderOf(['Hello\n', 'Us', 'age', '\nUser', ':']), ['\nUser:']);
  const pushed = [0, 1, 2, 3, 4].map((id) => watched.push(id));
  assert.deepEqual(
    pushed.map(({ text }) => text),
    ['Hello', '', '\nUsage', '', ''],
  );
  assert.deepEqual(
    pushed.map(({ stopped }) => stopped),
    [false, false, false, false, true],
  );
});

test('held text comes out at the end, with what the decoder still had', async () => {
  const { out } = await collect(['one E', 'N'], ['END'], '\ufffd');
  assert.deepEqual(
    out.map(({ text }) => text),
    ['one ', 'EN\ufffd'],
  );
});

test('tokens after a stop string are not asked for, and their generator is closed', async () => {
  let asked = 0;
  let closed = false;
  async function* endless(): AsyncGenerator<GeneratedToken> {
    try {
      for (;;) yield { id: asked++, logProbability: 0, position: 0, finishReason: null };
    } finally {
      closed = true;
    }
  }
  for await (const _ of generateText(endless(), decoderOf(['a', 'b', '.', 'c']), ['.']));
  assert.equal(asked, 3);
  assert.ok(closed);
});

test('the end-of-text token has no text', async () => {
  const { text, finishReason } = await collect(['a', 'b', '<|endoftext|>'], [], '', 'endOfText');
  assert.deepEqual([text, finishReason], ['ab', 'endOfText']);
});

test('an empty stop string is refused', () => {
  assert.throws(() => stoppingText(decoderOf([]), ['x', '']), { name: 'UserError', message: /^stop is ""/ });
});
