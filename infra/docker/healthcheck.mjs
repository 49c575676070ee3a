// The exit status says how a container is: MANYHANDS_PROBE is the URL to ask (of a coordinator's --metrics), such as
// http://127.0.0.1:9464/healthz; a worker has none, and is well while it runs. What has ended on purpose is well too.
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const { MANYHANDS_PROBE: probe } = process.env;
if (probe !== undefined && !existsSync(path.join(tmpdir(), 'manyhands-ended'))) {
  const well = await fetch(probe, { signal: AbortSignal.timeout(4000) }).then(
    ({ ok }) => ok,
    () => false,
  );
  process.exitCode = well ? 0 : 1;
}
