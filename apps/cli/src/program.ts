import { Command } from 'commander';
import { bench } from './commands/bench.js';
import { coordinator } from './commands/coordinator.js';
import { data } from './commands/data.js';
import { doctor } from './commands/doctor.js';
import { evaluate } from './commands/eval.js';
import { explain } from './commands/explain.js';
import { generate } from './commands/generate.js';
import { inspect } from './commands/inspect.js';
import { tokenizer } from './commands/tokenizer.js';
import { train } from './commands/train.js';
import { worker } from './commands/worker.js';
import { version } from './version.js';

/** Every command of the front door, in the order of `--help`. */
const commands: readonly (() => Command)[] = [
  train,
  coordinator,
  worker,
  generate,
  evaluate,
  explain,
  tokenizer,
  data,
  inspect,
  bench,
  doctor,
];

/** The whole command line. Throws CommanderError for what it cannot parse, and never ends the process itself. */
export function createProgram(): Command {
  const program = new Command('manyhands')
    .description('Trains language models; the batch, not the cluster, decides the result.')
    .version(version, '--version', 'the version of manyhands');
  for (const command of commands) program.addCommand(command());
  for (const command of withDescendants(program)) {
    command
      .helpOption('--help', 'this help')
      .helpCommand(false)
      .exitOverride()
      .configureOutput({ outputError: () => {} });
  }
  return program;
}

function withDescendants(command: Command): Command[] {
  return [command, ...command.commands.flatMap(withDescendants)];
}
