import { reportFailure } from './failure.js';
import { jsonLogOf } from './log.js';
import { tolerateClosedPipes } from './output.js';
import { createProgram } from './program.js';

const verbose = process.argv.includes('--verbose');
const args = process.argv.slice(2);
const log = jsonLogOf(args);
tolerateClosedPipes();
process.on('uncaughtException', (error) => process.exit(reportFailure(error, verbose, log)));
process.on('unhandledRejection', (error) => process.exit(reportFailure(error, verbose, log)));

try {
  await (await createProgram(args)).parseAsync();
} catch (error) {
  process.exitCode = reportFailure(error, verbose, log);
}
