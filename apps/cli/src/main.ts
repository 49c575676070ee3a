import { reportFailure } from './failure.js';
import { tolerateClosedPipes } from './output.js';
import { createProgram } from './program.js';

const verbose = process.argv.includes('--verbose');
tolerateClosedPipes();
process.on('uncaughtException', (error) => process.exit(reportFailure(error, verbose)));
process.on('unhandledRejection', (error) => process.exit(reportFailure(error, verbose)));

try {
  await createProgram().parseAsync();
} catch (error) {
  process.exitCode = reportFailure(error, verbose);
}
