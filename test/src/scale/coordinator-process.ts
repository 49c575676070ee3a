import { startCoordinator } from '@manyhands/coordinator';
import { parseConfig } from '@manyhands/core/config';
import { z } from 'zod';

/** A coordinator in a process of its own; its first message is the run, its answers the join URL and what the run took. */

const order = z.object({ config: z.unknown(), out: z.string(), listen: z.string() });

process.once('disconnect', () => process.exit(1));
process.once('message', (message) => {
  const { config, out, listen } = order.parse(message);
  void run(parseConfig(config), out, listen).then((taken) => process.send?.({ taken }, () => process.exit()));
});

async function run(config: ReturnType<typeof parseConfig>, out: string, listen: string) {
  let first: { step: number; time: number; cpu: NodeJS.CpuUsage } | null = null;
  let [wall, cpu, steps] = [0, 0, 0];
  const coordinator = await startCoordinator({
    config,
    out,
    resume: false,
    listen,
    insecure: true,
    report(event) {
      if (event.kind !== 'step') return;
      // In the first half workers join, code is compiled, and it is found how many are to share a step.
      if (event.step < Math.floor(event.steps / 2)) return;
      if (first === null) {
        first = { step: event.step, time: performance.now(), cpu: process.cpuUsage() };
        return;
      }
      const { user, system } = process.cpuUsage(first.cpu);
      cpu = (user + system) / 1e6;
      wall = (performance.now() - first.time) / 1e3;
      steps = event.step - first.step;
    },
  });
  process.send?.({ join: coordinator.joinUrl });
  await coordinator.done;
  return {
    secondsPerStep: wall / steps,
    cpuSecondsPerStep: cpu / steps,
    peakBytes: 1024 * process.resourceUsage().maxRSS,
  };
}
