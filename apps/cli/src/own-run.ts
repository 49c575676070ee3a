import { type CoordinatorOptions, startCoordinator } from '@manyhands/coordinator';
import { Interrupted } from './failure.js';
import { shellWord } from './format.js';
import { Interrupt } from './interrupt.js';
import type { Teller } from './log.js';

/** The commands that own a run. */
export type OwningCommand = 'train' | 'coordinator';

/** What to type to go on with a run. */
export function resumeLine(command: OwningCommand, out: string): string {
  return `npx manyhands ${command} --resume --out ${shellWord(out)}`;
}

/**
 * Starts a coordinator that the first Ctrl-C ends cleanly: while the run is being opened it gives up, later it
 * finishes the step under way and saves. A second one ends the process, after `atOnce`. The caller disposes of
 * `interrupt` when the run is over.
 * @throws Interrupted where the run was not open yet; what startCoordinator throws
 */
export async function ownRun(
  command: OwningCommand,
  options: Omit<CoordinatorOptions, 'signal'>,
  display: Teller,
  atOnce?: () => void,
) {
  const opening = new AbortController();
  let running: Awaited<ReturnType<typeof startCoordinator>> | null = null;
  const interrupt = new Interrupt(() => {
    if (running === null) {
      const so = options.resume ? 'nothing more was trained' : 'nothing was trained yet';
      const line = resumeLine(command, options.out);
      return opening.abort(new Interrupted(`interrupted: ${so}; go on with ${line}`));
    }
    display.status('interrupted: finishing this step and saving (Ctrl-C again leaves at once)');
    running.stop();
  }, atOnce);
  // Only now: whoever reads this may press Ctrl-C.
  display.line(`run directory ${options.out}`);
  try {
    running = await startCoordinator({ ...options, signal: opening.signal });
  } catch (error) {
    interrupt.dispose();
    throw error;
  }
  if (interrupt.happened) running.stop(); // too late to give up, before anybody could stop it
  return { ...running, interrupt };
}
