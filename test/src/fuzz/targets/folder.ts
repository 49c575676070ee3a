import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A folder for a reader's files, and its removal. */
export function temporaryFolder(): { folder: string; close(): void } {
  const folder = mkdtempSync(join(tmpdir(), 'manyhands-fuzz-'));
  return { folder, close: () => rmSync(folder, { recursive: true, force: true }) };
}
