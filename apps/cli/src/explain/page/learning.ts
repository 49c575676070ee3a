import {
  bar,
  chip,
  decimal,
  h,
  type Part,
  percent,
  placesOf,
  quoted,
  s,
  section,
  signed,
  table,
} from './dom.js';
import type { Picture, Prediction } from './picture.js';

/** What the model expected, against the answer, before and after the step. */
export function predictionPart({ tokens, asked, moments }: Picture): Part {
  const body = h('div', {});
  const first = tokens.length - asked;
  const element = section(
    'prediction',
    'Prediction against the answer',
    'At each place the model gives every token of its vocabulary a probability of coming next. Only the known answer counts.',
    body,
  );
  const one = (before: Prediction, after: Prediction, at: number) => {
    const [best] = before.guesses;
    const right = best.id === before.answer.id;
    const given = tokens.slice(Math.max(0, first + at - 12), first + at).map(({ text }) => text);
    const says = right ? 'says so too, at' : `says ${quoted(best.text)} at`;
    const shown =
      right || before.rank <= before.guesses.length ? before.guesses : [...before.guesses, before.answer];
    const rows = shown.map((guess) => {
      const known = guess.id === before.answer.id;
      return [
        chip(guess, known ? 'answer' : ''),
        percent(guess.probability),
        bar(guess.probability, known ? 'good' : 'value'),
      ];
    });
    return h(
      'article',
      { class: 'prediction' },
      h(
        'p',
        { class: 'verdict' },
        `After ${quoted(given.join(''))} expected ${quoted(before.answer.text)}, the model ${says} ${percent(best.probability)}.`,
      ),
      h('div', { class: 'scroll' }, table(['token', 'probability', ''], rows)),
      h(
        'p',
        { class: 'change' },
        `${quoted(before.answer.text)} goes from ${percent(before.answer.probability)} (guess ${before.rank}) to ${percent(after.answer.probability)} (guess ${after.rank}) by this step.`,
      ),
    );
  };
  return {
    element,
    show(step) {
      const [now, then] = [moments[step], moments[step + 1]];
      body.replaceChildren(...now.predictions.map((before, at) => one(before, then.predictions[at], at)));
    },
  };
}

/** The loss in numbers, and over the steps. */
export function lossPart({ moments, model }: Picture): Part {
  const losses = moments.map(({ loss }) => loss);
  const [least, most] = [Math.min(...losses), Math.max(...losses)];
  const [width, height] = [300, 100];
  const x = (at: number) => (at / (losses.length - 1)) * width;
  const y = (loss: number) => height - ((loss - least) / (most - least || 1)) * height;
  const mark = s('circle', { class: 'mark', r: 5 });
  const after = s('circle', { class: 'mark after', r: 5 });
  const curve = s(
    'svg',
    { class: 'curve', viewBox: `-8 -8 ${width + 16} ${height + 16}`, role: 'img' },
    s('title', {}, `loss from ${losses[0].toFixed(4)} to ${losses[losses.length - 1].toFixed(4)}`),
    s('polyline', { points: losses.map((loss, at) => `${x(at)},${y(loss)}`).join(' ') }),
    mark,
    after,
  );
  const formula = h('p', { class: 'formula' });
  const element = section(
    'loss',
    'How wrong was it? The loss',
    `The loss is the surprise at the answer, −ln(its probability), on average over its tokens. Knowing nothing costs ln(${model.vocab}) = ${Math.log(model.vocab).toFixed(4)}, being certain and right costs 0.`,
    formula,
    h(
      'figure',
      {},
      curve,
      h(
        'figcaption',
        {},
        `Highest ${most.toFixed(4)}, lowest ${least.toFixed(4)}; before the first step, and after each.`,
      ),
    ),
  );
  return {
    element,
    show(step) {
      const { predictions, loss } = moments[step];
      const parts = predictions.slice(0, 4).map(({ answer }) => `−ln(${decimal(answer.probability)})`);
      const sum = predictions.length > 4 ? `${parts.join(' + ')} + …` : parts.join(' + ');
      formula.textContent =
        predictions.length === 1
          ? `${sum} = ${loss.toFixed(4)}`
          : `(${sum}) / ${predictions.length} = ${loss.toFixed(4)}`;
      for (const [circle, at] of [
        [mark, step],
        [after, step + 1],
      ] as const) {
        circle.setAttribute('cx', String(x(at)));
        circle.setAttribute('cy', String(y(losses[at])));
      }
    },
  };
}

/** The weights that moved most, and what the step did to the loss. */
export function weightsPart({ steps, moments, rule, model }: Picture): Part {
  const told = h('p', {});
  const body = h('div', { class: 'scroll', id: 'moved' });
  const loss = h('p', { class: 'formula', id: 'loss-after' });
  const hashes = h('dl', { class: 'hashes' });
  const element = section(
    'weights',
    'The weights move',
    `The optimiser (${rule.optimizer}, learning rate ${rule.learningRate}) moves each of the ${model.parameters.toLocaleString('en-US')} weights a little against its gradient. The ${steps[0].moved.length} that moved most:`,
    body,
    told,
    loss,
    hashes,
  );
  return {
    element,
    show(step) {
      const { moved, gradientNorm } = steps[step];
      const rows = moved.map(({ name, index, before, after }) => {
        const places = Math.min(9, placesOf(after - before)); // as many as the change needs to be seen
        return [
          h('code', {}, `${name}[${index.join(',')}]`),
          h('b', { class: after < before ? 'down' : 'up' }, signed(after - before)),
          `${decimal(before, places)} → ${decimal(after, places)}`,
        ];
      });
      body.replaceChildren(table(['weight', 'change', 'before → after'], rows));
      const clipped = rule.gradientClip > 0 && gradientNorm > rule.gradientClip;
      told.textContent = `All gradients together have length ${decimal(gradientNorm)}${clipped ? `, shortened to ${rule.gradientClip} before use, so that one odd example cannot throw the model off` : ''}.`;
      const [from, to] = [moments[step], moments[step + 1]];
      loss.textContent = `loss ${from.loss.toFixed(4)} → ${to.loss.toFixed(4)}`;
      hashes.replaceChildren(
        ...hashRow('weights before', from.weightsSha256),
        ...hashRow('weights after', to.weightsSha256),
      );
    },
  };
}

export function hashRow(name: string, hash: string): HTMLElement[] {
  return [h('dt', {}, name), h('dd', {}, h('code', {}, hash))];
}
