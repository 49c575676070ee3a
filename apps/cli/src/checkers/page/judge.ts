import {
  colourNames,
  type FeatureName,
  type Found,
  featureMeanings,
  featureNames,
  features,
  formatMove,
  type Position,
  valueInWords,
} from '@manyhands/checkers';
import { decimal, h, section, signed, table } from '../../explain/page/dom.js';

/** What the page is given: the weights that the machine judges by. */
export interface Weighing {
  readonly name: string;
  readonly unit: string;
  readonly weights: Readonly<Partial<Record<FeatureName, number>>>;
}

/** What the machine thinks: the value, and the line that it expects. */
export function thoughtPart({ unit }: Weighing): {
  element: HTMLElement;
  show: (found: Found | null, turn: Position['turn']) => void;
} {
  const value = h('p', { id: 'value' });
  const line = h('p', { id: 'line', class: 'text' });
  const looked = h('p', { id: 'looked', class: 'dim' });
  const about = `In ${unit}, after its search; a win is told with the moves until then.`;
  const element = section('thought', 'What the machine expects', about, value, line, looked);
  return {
    element,
    show(found, turn) {
      value.textContent = found === null ? 'It has not looked yet.' : valueInWords(found.value, turn);
      line.textContent = found === null ? '' : found.line.map(formatMove).join(' ');
      looked.textContent =
        found === null
          ? ''
          : `${found.depth} moves ahead, ${found.nodes.toLocaleString('en-US')} positions looked at`;
    },
  };
}

/** The features of the position with their weights: what the value is made of before any search. */
export function weightsPart({ name, unit, weights }: Weighing): {
  element: HTMLElement;
  show: (position: Position) => void;
} {
  const sum = h('p', { id: 'sum' });
  const box = h('div', { class: 'scroll' });
  const about = `Each feature is counted for the side to move less the other, and weighs what it weighs; the sum is the value, in ${unit}. Weights: ${name}.`;
  const element = section('weights', 'How a position is judged', about, sum, box);
  return {
    element,
    show(position) {
      const found = features(position);
      let total = 0;
      const rows = featureNames.map((feature, i) => {
        const weight = weights[feature] ?? 0;
        total += weight * found[i];
        return [
          h('span', {}, feature, h('small', {}, featureMeanings[feature])),
          decimal(found[i], Number.isInteger(found[i]) ? 0 : 2),
          weight === 0 ? '0' : signed(weight),
          weight * found[i] === 0 ? '0' : signed(weight * found[i]),
        ];
      });
      sum.textContent = `Without looking ahead: ${total === 0 ? '0' : signed(total)} for ${colourNames[position.turn]}, who is to move`;
      box.replaceChildren(table(['feature', 'now', 'weight', 'adds'], rows));
    },
  };
}
