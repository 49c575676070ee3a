import { fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { HEAP_MEGABYTES, type Outcome, readProgress } from './engine.js';

/** A reader that needs longer for one input hangs. */
const PATIENCE_SECONDS = 10;

const report = z.union([
  z.object({
    tally: z.object({
      inputs: z.number(),
      accepted: z.number(),
      refused: z.number(),
      kinds: z.number(),
      seconds: z.number(),
    }),
  }),
  z.object({ what: z.string(), index: z.number() }),
]);

/** Fuzzes one target of the table in a process that is ended where an input hangs, and survives what kills it. */
export async function runTarget(
  name: string,
  { seed, inputs, patience = PATIENCE_SECONDS }: { seed: number; inputs: number; patience?: number },
): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), 'manyhands-fuzz-'));
  const progress = join(folder, 'progress');
  const underWay = () => (existsSync(progress) ? readProgress(readFileSync(progress)) : null);
  const child = fork(
    fileURLToPath(new URL('./child.js', import.meta.url)),
    [name, String(seed), String(inputs), progress],
    { execArgv: [`--max-old-space-size=${HEAP_MEGABYTES}`], stdio: ['ignore', 'ignore', 'pipe', 'ipc'] },
  );
  let said = '';
  child.stderr?.on('data', (text) => {
    said = (said + text).slice(0, 20_000);
  });
  let told: unknown = null;
  child.on('message', (message) => {
    told = message;
  });
  let last: number | null = null;
  let since = performance.now();
  let hung = false;
  const watch = setInterval(() => {
    const index = underWay()?.index ?? null;
    if (index !== last) [last, since] = [index, performance.now()];
    // Before the first input it sets up, which may take its time.
    if (performance.now() - since < 1000 * (index === null ? 6 * PATIENCE_SECONDS : patience)) return;
    hung = true;
    child.kill('SIGKILL');
  }, 250);
  try {
    const [status, signal]: unknown[] = await once(child, 'close');
    const parsed = report.safeParse(told);
    if (parsed.success && 'tally' in parsed.data) return parsed.data;
    const { index = -1, input = new Uint8Array() } = underWay() ?? {};
    const [cause] = /^(?:FATAL ERROR|\w*Error).*$/m.exec(said) ?? [said.trim().slice(-500)];
    const died = `ended its process (${signal ?? `status ${status}`}): ${cause}`;
    const what =
      parsed.success && 'what' in parsed.data
        ? parsed.data.what
        : hung
          ? `hung for more than ${patience} s`
          : died;
    return { defect: { index, input, what } };
  } finally {
    clearInterval(watch);
    rmSync(folder, { recursive: true, force: true });
  }
}

/** So many targets at a time. */
const TOGETHER = 2;

/** Fuzzes each target of [name, inputs] with one seed; `report` is told each as it ends. */
export async function runTargets(
  shares: readonly (readonly [name: string, inputs: number])[],
  seed: number,
  report: (name: string, outcome: Outcome) => void,
): Promise<void> {
  const waiting = [...shares];
  const work = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [name, inputs] = next;
      report(name, await runTarget(name, { seed, inputs }));
    }
  };
  await Promise.all(Array.from({ length: TOGETHER }, work));
}
