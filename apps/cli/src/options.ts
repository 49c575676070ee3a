import { UserError } from '@manyhands/core/config';
import { isInRange, rangeInWords, type SamplingRange } from '@manyhands/core/inference';
import { Command, Option } from 'commander';

/** A subcommand with what all of them have. */
export function subcommand(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .option('--verbose', 'where something fails, also show where in the code')
    .allowExcessArguments(false);
}

/** An option that takes a whole number. */
export function whole(flags: string, description: string, minimum: number, maximum = 1e9): Option {
  const allowed =
    maximum === 1e9 ? `a whole number from ${minimum} up` : `a whole number from ${minimum} to ${maximum}`;
  return new Option(flags, description).argParser((text: string) => {
    const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= minimum && value <= maximum)) throw misfit(flags, text, allowed);
    return value;
  });
}

/** An option that may be given several times and takes whole numbers, one or several apart by commas. */
export function wholes(flags: string, description: string, minimum: number, maximum: number): Option {
  const parse = whole(flags, description, minimum, maximum).parseArg;
  return new Option(flags, description).argParser((text: string, before: unknown) => {
    const values = text.split(',').map((part) => parse?.(part, undefined));
    return [...new Set([...(Array.isArray(before) ? before : []), ...values])];
  });
}

/** An option that takes any number of a range. */
export function real(flags: string, description: string, range: SamplingRange): Option {
  return new Option(flags, description).argParser((text: string) => {
    const value = text.trim() === '' ? Number.NaN : Number(text);
    if (!isInRange(value, range)) throw misfit(flags, text, rangeInWords(range));
    return value;
  });
}

/** An option that takes one of a few names. */
export function choice(flags: string, description: string, names: readonly string[]): Option {
  return new Option(flags, `${description} (${names.join(', ')})`).argParser((text: string) => {
    if (!names.includes(text)) throw misfit(flags, text, `one of ${names.join(', ')}`);
    return text;
  });
}

/** An option that may be given several times and takes one of a few names each time. */
export function choices(flags: string, description: string, names: readonly string[]): Option {
  const one = choice(flags, description, names);
  const parse = one.parseArg;
  return one.argParser((text: string, before: unknown) => [
    ...(Array.isArray(before) ? before : []),
    parse?.(text, undefined),
  ]);
}

/** An option that may be given several times, a value each time, which is not empty. */
export function repeated(flags: string, description: string): Option {
  return new Option(flags, description).argParser((text: string, before: string[] | undefined) => {
    if (text === '') throw misfit(flags, text, 'at least one character');
    return [...(before ?? []), text];
  });
}

function misfit(flags: string, value: string, allowed: string): UserError {
  const name = flags.split(' ')[0];
  return new UserError(`${name} is ${JSON.stringify(value)}, but must be ${allowed}.`);
}
