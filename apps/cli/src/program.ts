import { Command } from 'commander';
import { version } from './version.js';

/** Every command of the front door, in the order of `--help`. Each brings its libraries, which take time to load. */
const commands: Readonly<Record<string, () => Promise<() => Command>>> = {
  train: async () => (await import('./commands/train.js')).train,
  coordinator: async () => (await import('./commands/coordinator.js')).coordinator,
  worker: async () => (await import('./commands/worker.js')).worker,
  generate: async () => (await import('./commands/generate.js')).generate,
  eval: async () => (await import('./commands/eval.js')).evaluate,
  explain: async () => (await import('./commands/explain.js')).explain,
  tokenizer: async () => (await import('./commands/tokenizer.js')).tokenizer,
  data: async () => (await import('./commands/data.js')).data,
  checkers: async () => (await import('./commands/checkers.js')).checkers,
  inspect: async () => (await import('./commands/inspect.js')).inspect,
  bench: async () => (await import('./commands/bench.js')).bench,
  doctor: async () => (await import('./commands/doctor.js')).doctor,
};

/**
 * The command line for `args`: the command that they begin with, or else all of them. Parsing throws CommanderError
 * for what it cannot parse, and never ends the process itself.
 */
export async function createProgram([first = '']: readonly string[]): Promise<Command> {
  const program = new Command('manyhands')
    .description('Trains language models; the batch, not the cluster, decides the result.')
    .version(version, '--version', 'the version of manyhands');
  const wanted = Object.hasOwn(commands, first) ? [commands[first]] : Object.values(commands);
  for (const load of wanted) program.addCommand((await load())());
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
