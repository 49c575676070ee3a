import type { RunEvent } from '@manyhands/coordinator';

type Losses = Pick<Extract<RunEvent, { kind: 'eval' }>, 'sources' | 'trainSources' | 'heldOut'>;

/** A source at an evaluation: mean losses in nats a token; null where it has no such text. */
export interface SourceLoss {
  readonly name: string;
  readonly train: number | null;
  readonly validation: number | null;
  /** Never trained on, and no part of the validation loss. */
  readonly heldOut: boolean;
}

/** Those that are trained on first. */
export function sourceLosses({ sources, trainSources, heldOut }: Losses): SourceLoss[] {
  const names = [...new Set([...Object.keys(trainSources), ...Object.keys(sources)])];
  const all = names.map((name) => ({
    name,
    train: of(trainSources, name),
    validation: of(sources, name),
    heldOut: heldOut.includes(name),
  }));
  return [...all.filter((source) => !source.heldOut), ...all.filter((source) => source.heldOut)];
}

function of(losses: Readonly<Record<string, number>>, name: string): number | null {
  return Object.hasOwn(losses, name) ? losses[name] : null;
}

/** Sources that one line has room for; of more, those with the highest losses are told. */
const TOLD = 8;

/** In one line; null where there is one source, whose losses are the run's. */
export function sourceLine(losses: Losses): string | null {
  const all = sourceLosses(losses);
  if (all.length < 2) return null;
  const surprise = ({ train, validation }: SourceLoss) => validation ?? train ?? 0;
  const least = all.map(surprise).sort((a, b) => b - a)[Math.min(TOLD, all.length) - 1];
  const told = all.filter((source) => surprise(source) >= least).slice(0, TOLD);
  const words = told.map((source) => {
    const { name, train, validation, heldOut } = source;
    if (heldOut) return `${name} ${loss(validation)} (held out)`;
    return `${name} ${loss(validation)} (train ${loss(train)})`;
  });
  const rest = all.length > told.length ? `, and ${all.length - told.length} with lower ones` : '';
  return `by source: ${words.join(', ')}${rest}`;
}

function loss(value: number | null): string {
  return value === null ? '–' : value.toFixed(4);
}
