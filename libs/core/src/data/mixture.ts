import { UserError, type Weight } from '../config/index.js';
import { math } from '../numeric/index.js';
import type { ManifestSource } from './manifest.js';
import type { PreparedSource, TextSource } from './sources.js';

type Unweighed = Omit<ManifestSource, 'weight'>;

/**
 * Gives prepared sources the weights that were asked for, or those that follow from their training tokens.
 * @param made the text sources, and those inside of each prepared folder, in the order of `sources`
 * @throws UserError where a prepared folder's own weights cannot be shared out
 */
export function weighed(
  made: readonly Unweighed[],
  sources: readonly (TextSource | PreparedSource)[],
  temperature: number | null,
): ManifestSource[] {
  const weights =
    temperature === null
      ? sources.flatMap((source) => (source.kind === 'text' ? [source.weight] : adoptedWeights(source)))
      : temperedWeights(
          made.map(({ train }) => train.tokens),
          temperature,
        );
  return made.map(({ name, path, heldOut, train, validation }, index) => ({
    name,
    path,
    weight: heldOut === true ? 0 : weights[index],
    ...(heldOut && { heldOut }),
    train,
    validation,
  }));
}

/**
 * Shares in proportion to tokens^(1/temperature): at 1 every token is read equally often, at a high temperature every
 * source (Arivazhagan et al. 2019, section 4). They sum to 1.
 */
export function temperedWeights(tokens: readonly number[], temperature: number): number[] {
  const total = tokens.reduce((sum, count) => sum + count, 0);
  const powers = tokens.map((count) => (count === 0 ? 0 : math.pow(count / total, 1 / temperature)));
  const sum = powers.reduce((sum, power) => sum + power, 0);
  return powers.map((power) => (sum === 0 ? 0 : power / sum));
}

/** The weights of a prepared folder's sources: the folder's own weight, shared out as the folder does it. */
function adoptedWeights({ path, weight, manifest }: PreparedSource): Weight[] {
  const drawn = manifest.sources.filter(({ heldOut }) => heldOut !== true);
  const shares = manifest.sources.map((source) => {
    if (source.heldOut === true) return 0;
    if (typeof source.weight === 'number') return source.weight;
    if (drawn.length === 1) return 1;
    throw new UserError(
      `${path} was prepared with weights that follow a schedule, which cannot be shared out under another weight: name the folders or files that it was made from.`,
    );
  });
  const total = shares.reduce((sum, share) => sum + share, 0);
  return shares.map((share) => {
    const scaled = (value: number) => (total === 0 ? 0 : (value * share) / total);
    return typeof weight === 'number'
      ? scaled(weight)
      : weight.map(([step, value]): [number, number] => [step, scaled(value)]);
  });
}
