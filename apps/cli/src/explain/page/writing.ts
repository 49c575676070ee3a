import { bar, chip, h, percent, section, slide, table } from './dom.js';
import { hashRow } from './learning.js';
import type { Picture } from './picture.js';

/** Inference, token by token: the first half of a training step, again and again, and nothing of the second. */
export function inferencePart({ inference, tokens, asked }: Picture): HTMLElement {
  const { before, after } = inference.weightsSha256;
  const prompt = tokens.slice(0, tokens.length - asked);
  const body = h('div', {});
  const show = (number: number) => {
    const { fed, held, candidates, picked } = inference.tokens[number - 1];
    const written = inference.tokens.slice(0, number).map((token) => token.picked);
    const rows = candidates.map((guess) => [
      chip(guess, guess.id === picked.id ? 'picked' : ''),
      percent(guess.probability),
      bar(guess.probability, guess.id === picked.id ? 'good' : 'value'),
    ]);
    body.replaceChildren(
      h('h3', {}, 'Fed in'),
      h('p', { id: 'fed', class: 'chips' }, ...fed.map((token) => chip(token))),
      h('p', { class: 'dim' }, heldInWords(number, held, fed.length)),
      h('h3', {}, 'Considered'),
      h('div', { class: 'scroll', id: 'candidates' }, table(['token', 'probability', ''], rows)),
      h('h3', {}, 'Text so far'),
      h(
        'p',
        { class: 'chips', id: 'written' },
        ...prompt.map((token) => chip(token)),
        ...written.map((token) => chip(token, 'picked')),
      ),
    );
  };
  return section(
    'inference',
    'Inference: the same way forward, and no way back',
    'Prompt in, forward, the likeliest token out, appended, and again. No answer is known, so there is no loss, no gradient and no step. The weights are those from before the first step.',
    slide('token', 'Token', inference.tokens.length, show),
    body,
    h(
      'p',
      { class: 'verdict', id: 'weights-changed' },
      `Weights changed: ${before === after ? 'none' : 'they differ, which must not be'}`,
    ),
    h('dl', { class: 'hashes' }, ...hashRow('weights before', before), ...hashRow('weights after', after)),
  );
}

function heldInWords(number: number, held: number, fed: number): string {
  if (number === 1) return 'The whole prompt at first.';
  if (held > 0) return `Its own last token, fed back; of the ${held} before it, keys and values are held.`;
  return `More than the model sees at once: its last ${fed} tokens are read anew.`;
}
