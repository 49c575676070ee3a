// Compiles every target of asconfig.json from assembly/ to build/*.wasm.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';

const baseDir = fileURLToPath(new URL('..', import.meta.url));
const { targets } = JSON.parse(readFileSync(new URL('../asconfig.json', import.meta.url), 'utf8'));

for (const target of Object.keys(targets)) {
  const { error, stdout, stderr } = await asc.main([
    `assembly/${target}.ts`,
    '--target',
    target,
    '--baseDir',
    baseDir,
  ]);
  process.stdout.write(stdout.toString());
  process.stderr.write(stderr.toString());
  if (error) {
    process.stderr.write(`manyhands: assembly/${target}.ts does not compile: ${error.message}\n`);
    process.exit(1);
  }
}
