// Compiles every target of asconfig.json from assembly/ to build/*.wasm. The sources of `kernels-relaxed` are those of
// `kernels`: they ask which instructions are enabled.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';

const baseDir = fileURLToPath(new URL('..', import.meta.url));
const { targets } = JSON.parse(readFileSync(new URL('../asconfig.json', import.meta.url), 'utf8'));

for (const target of Object.keys(targets)) {
  const source = `assembly/${target.replace(/-relaxed$/, '')}.ts`;
  const { error, stdout, stderr } = await asc.main([source, '--target', target, '--baseDir', baseDir]);
  process.stdout.write(stdout.toString());
  process.stderr.write(stderr.toString());
  if (error) {
    process.stderr.write(`manyhands: ${source} does not compile: ${error.message}\n`);
    process.exit(1);
  }
}
