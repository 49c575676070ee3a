import type { Model } from '@manyhands/core/model';
import { bar } from '../bar.js';
import { count, percent, plural } from '../format.js';
import { colors } from '../output.js';
import type { Example } from './example.js';
import type { NodeReport } from './network.js';
import type { StepRule } from './optimizer.js';
import { movedWeights, type Prediction, predictionAt, type TensorReport, tensorReports } from './outcome.js';
import type { Walk } from './walk.js';

export interface Subject {
  readonly model: Model;
  /** Flat, as they were before. */
  readonly weights: Float32Array;
  readonly example: Example;
  readonly rule: StepRule;
  readonly walk: Walk;
  /** A token as a person reads it; null where the model came without a tokenizer. */
  readonly text: ((id: number) => string) | null;
}

/** Rows of a table that are shown before the rest is counted. */
const SHOWN = 6;

/** One training step in words and numbers, section by section, for somebody who has never seen one. */
export function tellStory(subject: Subject): string {
  const sections: [string, string[]][] = [
    ['Text becomes tokens', tokens(subject)],
    ['The model guesses', guesses(subject)],
    ['How wrong was it? The loss', loss(subject)],
    ['How the guess was made: the compute graph', computeGraph(subject)],
    ['The way back: gradients', gradients(subject)],
    ['The weights move', moves(subject)],
    ['Did it help?', afterwards(subject)],
  ];
  return sections
    .map(([title, lines], i) => [
      colors.bold(`${i + 1}. ${title}`),
      ...lines.map((line) => `   ${line}`.trimEnd()),
    ])
    .map((lines) => lines.join('\n'))
    .join('\n\n');
}

function tokens({ example, model, text }: Subject): string[] {
  const { batch, time, asked, dropped = 0 } = example;
  const row = Array.from(example.inputs.subarray(0, time));
  const first = askedPositions(example)[0];
  const last = example.targets[time - 1];
  const numbered = (id: number) => (text === null ? String(id) : `${text(id)}${colors.dim(`·${id}`)}`);
  const shown = row.slice(-24).map(numbered);
  return [
    'A model reads numbers, so the text is cut into tokens, and each token has a number:',
    '',
    `  ${row.length > 24 ? '… ' : ''}${shown.join('  ')}${last < 0 ? '' : `  →  ${colors.green(numbered(last))}`}`,
    '',
    batch === 1
      ? `The first ${first + 1} are given. ${asked === 1 ? 'One token should follow.' : `What should follow are ${count(asked)} tokens, and the model is asked for each in turn.`}`
      : `That is the first of ${batch} sequences of ${time} tokens; ${count(asked)} positions are asked for what follows.`,
    ...(dropped > 0
      ? [`The prompt is too long: its first ${plural(dropped, 'token')} did not fit and are left out.`]
      : []),
    `This model knows ${count(model.config.vocab)} different tokens and sees at most ${count(model.config.context)} at once.`,
  ];
}

function guesses(subject: Subject): string[] {
  const { example, model, walk } = subject;
  const token = namer(subject);
  const { vocab } = model.config;
  const positions = askedPositions(example);
  const predictions = positions.map((at) => predictionAt(walk.logits, vocab, at, example.targets[at]));
  const { answer, rank, guesses: best } = predictions[0];
  const width = Math.max(...[...best, answer].map(({ id }) => token(id).length));
  const line = (id: number, probability: number, note: string) =>
    `  ${token(id).padEnd(width)}  ${percent(probability).padStart(8)}  ${bar(probability, 24).replaceAll('·', ' ')}${note}`;
  const known = (id: number) => (id === answer.id ? colors.green('  ← the known answer') : '');
  const lines = [
    'At each position the model gives every token it knows a probability of coming next.',
    `After ${before(subject, positions[0])} it found these likeliest:`,
    '',
    ...best.map(({ id, probability }) => line(id, probability, known(id))),
  ];
  if (!best.some(({ id }) => id === answer.id)) {
    lines.push(line(answer.id, answer.probability, `${known(answer.id)}, its guess number ${count(rank)}`));
  }
  if (predictions.length > 1) lines.push('', ...otherGuesses(predictions.slice(1), token));
  if (example.batch === 1 && predictions.length > 1) {
    const answerText = `"${positions.map((at) => subject.text?.(example.targets[at]) ?? '#').join('')}"`;
    lines.push(
      '',
      `The known answer ${colors.green(answerText)}, all of it: ${percent(whole(example, walk.losses[0]))}.`,
    );
  }
  return lines;
}

function otherGuesses(predictions: readonly Prediction[], token: (id: number) => string): string[] {
  const shown = predictions.slice(0, SHOWN);
  const lines = shown.map(({ answer, guesses: [best] }) =>
    answer.id === best.id
      ? `  then ${token(answer.id)}: guessed right, ${percent(answer.probability)}`
      : `  then ${token(answer.id)}: ${percent(answer.probability)}; it guessed ${token(best.id)}, ${percent(best.probability)}`,
  );
  return predictions.length > SHOWN ? [...lines, `  … and ${predictions.length - SHOWN} more`] : lines;
}

function loss({ example, model, walk }: Subject): string[] {
  const at = askedPositions(example)[0];
  const { answer } = predictionAt(walk.logits, model.config.vocab, at, example.targets[at]);
  const surprise = -Math.log(answer.probability);
  return [
    'The loss is the surprise at the answer, −ln(its probability), averaged over all that was asked:',
    '',
    `  −ln(${answer.probability.toPrecision(3)}) = ${surprise.toFixed(4)}${example.asked > 1 ? ` for the first, ${walk.losses[0].toFixed(4)} on average` : ''}`,
    '',
    `Knowing nothing, all ${count(model.config.vocab)} tokens alike, costs ln(${count(model.config.vocab)}) = ${Math.log(model.config.vocab).toFixed(4)}; being certain and right costs 0.`,
  ];
}

function computeGraph({ walk, model }: Subject): string[] {
  const operations = walk.graph.filter(isOperation);
  const blocks = [...new Set(operations.flatMap(({ block }) => (block === null ? [] : [block])))];
  const first = blocks[0] ?? 0;
  const before = operations.filter(({ id, block }) => block === null && id < firstOf(operations, first));
  const after = operations.filter(({ id, block }) => block === null && id > firstOf(operations, first));
  const path = (nodes: readonly NodeReport[]) => nodes.map(({ operation }) => operation).join(' → ');
  const out = (nodes: readonly NodeReport[]) => `[${nodes.at(-1)?.shape.join('×') ?? ''}]`;
  const inside = operations.filter(({ block }) => block === first);
  return [
    `${plural(operations.length, 'operation')} on ${count(model.size)} weights led from the tokens to the loss. Each remembers what it did:`,
    '',
    `  tokens     ${path(before)}  ${colors.dim(out(before))}`,
    `  block ${first}    ${path(inside)}  ${colors.dim(out(inside))}`,
    ...(blocks.length > 1
      ? [`  ${colors.dim(`and ${plural(blocks.length - 1, 'more block')} of the same kind`)}`]
      : []),
    `  guess      ${path(after)}  ${colors.dim(out(after))}`,
    '',
    'Attention is where a token looks at the tokens before it; the rest works on each token by itself.',
  ];
}

function gradients({ walk, model, weights }: Subject): string[] {
  const operations = walk.graph.filter(isOperation);
  const blocks = [...new Set(operations.flatMap(({ block }) => (block === null ? [] : [block])))];
  const logits = operations.findLast(({ operation }) => operation === 'linear');
  const firstBlock = firstOf(operations, blocks[0] ?? 0);
  const embedded = operations.findLast(({ id, block }) => block === null && id < firstBlock);
  const stations: [string, number][] = [
    ['guesses', logits?.gradientNorm ?? 0],
    ...blocks.toReversed().map((block): [string, number] => {
      const last = operations.findLast((node) => node.block === block);
      return [`after block ${block}`, last?.gradientNorm ?? 0];
    }),
    ['embeddings', embedded?.gradientNorm ?? 0],
  ];
  const highest = Math.max(...stations.map(([, value]) => value));
  const tensors = tensorReports(model, weights, walk);
  const width = Math.max(...tensors.slice(0, SHOWN).map(({ name }) => name.length));
  return [
    'Backwards through the same operations: how much would the loss change if this value changed a little?',
    'That slope is the gradient. Its size on the way back:',
    '',
    ...stations.map(
      ([name, value]) =>
        `  ${name.padEnd(14)} ${value.toPrecision(3).padStart(9)}  ${bar(value / highest, 24).replaceAll('·', ' ')}`,
    ),
    '',
    'It reaches every weight. The largest gradients, tensor by tensor, and in each the steepest weight:',
    '',
    ...tensors.slice(0, SHOWN).map((tensor) => `  ${tensorLine(tensor, width)}`),
    '',
    `All gradients together have length ${walk.gradNorm.toPrecision(4)}.`,
  ];
}

function tensorLine({ name, gradientNorm, steepest }: TensorReport, width: number): string {
  const slope = signed(steepest.gradient);
  return `${name.padEnd(width)}  ${gradientNorm.toPrecision(3).padStart(9)}  ${colors.dim(`steepest [${steepest.index}] ${slope}`)}`;
}

function moves({ walk, model, weights, rule }: Subject): string[] {
  const { optimizer, gradientClip, steps } = rule;
  const clipped = gradientClip > 0 && walk.gradNorm > gradientClip;
  const moved = movedWeights(model, weights, walk, SHOWN);
  const width = Math.max(...moved.map(({ name, index }) => `${name}[${index}]`.length));
  const change = norm2(walk.after, weights);
  return [
    `The optimiser (${optimizer.name}, learning rate ${optimizer.lr}) moves each weight a little against its gradient` +
      `${steps > 1 ? `, ${count(steps)} times` : ''}.`,
    clipped
      ? `A gradient longer than ${gradientClip} is first shortened to that, so that one odd example cannot throw the model off.`
      : `The gradient is short enough (limit ${gradientClip === 0 ? 'off' : gradientClip}) to be used as it is.`,
    '',
    'The weight that moved furthest in each of the tensors that moved most:',
    '',
    ...moved.map(({ name, index, before, after }) => {
      const place = `${name}[${index}]`.padEnd(width);
      return `  ${place}  ${decimal(before)} → ${decimal(after)}  ${colors.dim(signed(after - before))}`;
    }),
    '',
    `Over all ${count(model.size)} weights the change is ${percent(change)} of their size.`,
  ];
}

function afterwards(subject: Subject): string[] {
  const { walk, example, model } = subject;
  const token = namer(subject);
  const { vocab } = model.config;
  const at = askedPositions(example)[0];
  const before = predictionAt(walk.logits, vocab, at, example.targets[at]);
  const after = predictionAt(walk.logitsAfter, vocab, at, example.targets[at]);
  const [first, last] = [walk.losses[0], walk.losses.at(-1) ?? walk.losses[0]];
  const fell = last < first;
  return [
    `The same question again: loss ${first.toFixed(4)} → ${(fell ? colors.green : colors.yellow)(last.toFixed(4))}.`,
    `${token(before.answer.id)} went from ${percent(before.answer.probability)} (guess number ${count(before.rank)}) to ` +
      `${percent(after.answer.probability)} (guess number ${count(after.rank)}).`,
    ...(example.batch === 1 && example.asked > 1
      ? [`The whole answer: ${percent(whole(example, first))} → ${percent(whole(example, last))}.`]
      : []),
    ...(walk.losses.length > 2 ? ['', `Loss before and after each step: ${steps(walk.losses)}`] : []),
    '',
    fell
      ? 'That is all of training: this, again and again, over the whole text, many examples at a time.'
      : 'It got worse: a learning rate that is too large oversteps. Try a smaller one with --optimizer.',
    'The model on disk is as it was; nothing was saved.',
  ];
}

function steps(losses: readonly number[]): string {
  const shown = losses.length <= 12 ? losses : [...losses.slice(0, 6), Number.NaN, ...losses.slice(-5)];
  return shown.map((value) => (Number.isNaN(value) ? '…' : value.toFixed(4))).join('  ');
}

function askedPositions({ targets }: Example): number[] {
  return Array.from(targets.keys()).filter((at) => targets[at] >= 0);
}

/** Names a token in a sentence or a table. */
function namer({ text }: Subject): (id: number) => string {
  return (id) => (text === null ? `#${id}` : `"${text(id)}"`);
}

/** The last tokens up to a position, as text. */
function before({ example: { inputs, time }, text }: Subject, position: number): string {
  const start = Math.max(position - (position % time), position - 11);
  const ids = Array.from(inputs.subarray(start, position + 1));
  const shown = text === null ? ids.join(' ') : ids.map(text).join('');
  return colors.cyan(`"${start % time === 0 ? '' : '…'}${shown}"`);
}

/** The probability of all asked tokens in a row: the product of theirs. */
function whole({ asked }: Example, loss: number): number {
  return Math.exp(-loss * asked);
}

function isOperation({ operation }: NodeReport): boolean {
  return operation !== 'parameter' && operation !== 'input';
}

function firstOf(operations: readonly NodeReport[], block: number): number {
  return operations.find((node) => node.block === block)?.id ?? 0;
}

function decimal(value: number): string {
  return `${value < 0 ? '−' : ' '}${Math.abs(value).toFixed(6)}`;
}

function signed(value: number): string {
  return `${value < 0 ? '−' : '+'}${Math.abs(value).toPrecision(3)}`;
}

function norm2(after: Float32Array, before: Float32Array): number {
  let [moved, size] = [0, 0];
  for (let i = 0; i < after.length; i++) {
    moved += (after[i] - before[i]) ** 2;
    size += before[i] ** 2;
  }
  return size === 0 ? 0 : Math.sqrt(moved / size);
}
