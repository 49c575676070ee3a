/** For tests: saves checkpoint 2 into a run directory and marks it as the best, and is killed before one operation. */
import { faultyStorage } from './faulty-storage.js';
import { markBest, saveCheckpoint } from './index.js';
import { contentOf } from './test-content.js';

const [runDirectory, killAt] = process.argv.slice(2);
const storage = faultyStorage((number) => {
  if (number !== Number(killAt)) return;
  process.kill(process.pid, 'SIGKILL');
  return new Promise<void>(() => {}); // nothing more happens until the signal arrives
});
await saveCheckpoint(runDirectory, contentOf(2), { keepLast: 1, storage });
await markBest(runDirectory, 2, storage);
