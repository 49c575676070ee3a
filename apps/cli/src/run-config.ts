import { existsSync } from 'node:fs';
import path from 'node:path';
import {
  applySet,
  type PresetName,
  parseConfig,
  type RunConfig,
  readYaml,
  UserError,
} from '@manyhands/core/config';

/** The options of `train` and `coordinator` that end up in a run's config. */
export interface ConfigOptions {
  readonly config?: string;
  readonly data?: readonly string[];
  readonly preset?: PresetName;
  readonly tokenizer?: string;
  readonly steps?: number;
  readonly reproducible?: boolean;
  readonly seed?: number;
  readonly set?: readonly string[];
  readonly out?: string;
  readonly resume?: boolean;
}

/**
 * The run's config: the file (on resume without one, the run's own), then the options, then `--set`; what none of
 * them says comes from the preset.
 * @throws UserError with one sentence that names the key or the option
 */
export function runConfigFrom(options: ConfigOptions): RunConfig {
  const file = options.config ?? resumedConfig(options);
  let config: unknown = file === null ? {} : readYaml(file);
  for (const [key, value] of overrides(options)) config = applySet(config, `${key}=${JSON.stringify(value)}`);
  for (const assignment of options.set ?? []) config = applySet(config, assignment);
  return parseConfig(config, options.preset);
}

function resumedConfig({ resume, out }: ConfigOptions): string | null {
  if (!resume) return null;
  if (out === undefined) throw new UserError('--resume needs --out DIR: the run to go on with.');
  const file = path.join(out, 'config.yaml');
  if (!existsSync(file)) throw new UserError(`--out ${out} holds no run to resume: ${file} does not exist.`);
  return file;
}

/** JSON is YAML: each value passes through the same door as a person's `--set`. */
function overrides(options: ConfigOptions): [string, unknown][] {
  const all: [string, unknown][] = [
    ['data.sources', options.data?.map((source) => ({ path: source, weight: 1 }))],
    ['data.tokenizer', options.tokenizer],
    ['run.steps', options.steps],
    ['run.seed', options.seed],
    ['run.reproducible', options.reproducible],
  ];
  return all.filter(([, value]) => value !== undefined);
}

/** What a run's targets are called. */
export function unitOf({ task }: RunConfig): 'tokens' | 'positions' {
  return task.name === 'language' ? 'tokens' : 'positions';
}

/** `runs/DATE-NAME`, with a number behind it where that is taken. */
export function defaultRunDirectory(name: string, today = new Date()): string {
  const date = `${today.getFullYear()}-${two(today.getMonth() + 1)}-${two(today.getDate())}`;
  for (let number = 1; ; number++) {
    const out = path.join('runs', `${date}-${name}${number === 1 ? '' : `-${number}`}`);
    if (!existsSync(out)) return out;
  }
}

function two(value: number): string {
  return String(value).padStart(2, '0');
}
