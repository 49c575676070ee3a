import { z } from 'zod';
import { fakeWorker } from './fake-worker.js';

/** Many fake workers in one process; its first message is what they are, its answer what each of them served. */

const order = z.object({ join: z.string(), workers: z.number(), pace: z.number() });

process.once('disconnect', () => process.exit(1));
process.once('message', (message) => {
  const { join, workers, pace } = order.parse(message);
  void Promise.all(
    Array.from({ length: workers }, (_, i) => fakeWorker({ join, name: `fake${i}`, pace })),
  ).then((each) => {
    const served = each.map((one) => one.served);
    const weightBytes = Math.max(...each.map((one) => one.weightBytes));
    process.send?.({ served, weightBytes }, () => process.exit());
  });
});
