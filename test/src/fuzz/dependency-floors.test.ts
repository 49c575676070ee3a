import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { z } from 'zod';

/**
 * The oldest version of a library that may be installed, and why: what it was vulnerable to before. No advisory service
 * is asked when this is built, so this list is kept by hand; a row whose library is gone goes with it.
 */
const floors: readonly { readonly library: string; readonly floor: string; readonly reason: string }[] = [
  {
    library: '@grpc/grpc-js',
    floor: '1.14.4',
    reason: 'memory above the receive limit, also by compression (CVE-2024-37168 and what followed)',
  },
  {
    library: 'protobufjs',
    floor: '7.5.8',
    reason:
      'prototype pollution (CVE-2023-36665), code from names, unbounded recursion (CVE-2026-44291 and others)',
  },
  { library: 'yaml', floor: '2.2.2', reason: 'an uncaught exception for some documents (CVE-2023-2251)' },
  { library: 'zod', floor: '3.22.3', reason: 'quadratic time for some texts (CVE-2023-4316)' },
  { library: 'dns-packet', floor: '5.2.2', reason: 'bytes of other memory in answers (CVE-2021-23386)' },
  { library: 'ansi-regex', floor: '5.0.1', reason: 'quadratic time for some texts (CVE-2021-3807)' },
  { library: 'semver', floor: '7.5.2', reason: 'quadratic time for some ranges (CVE-2022-25883)' },
  { library: 'minimatch', floor: '3.0.5', reason: 'exponential time for some patterns (CVE-2022-3517)' },
  { library: 'brace-expansion', floor: '4.0.1', reason: 'quadratic time for some patterns (CVE-2025-5889)' },
  { library: 'json5', floor: '2.2.2', reason: 'prototype pollution (CVE-2022-46175)' },
  { library: 'minimist', floor: '1.2.6', reason: 'prototype pollution (CVE-2021-44906)' },
  { library: 'debug', floor: '2.6.9', reason: 'quadratic time for some texts (CVE-2017-16137)' },
  { library: 'ejs', floor: '3.1.10', reason: 'code by polluted options (CVE-2024-33883)' },
  {
    library: 'follow-redirects',
    floor: '1.15.6',
    reason: 'credentials sent to another host (CVE-2024-28849)',
  },
  { library: 'undici', floor: '7.5.0', reason: 'a leak for certificates that are wrong (CVE-2025-47279)' },
  { library: 'tar-fs', floor: '3.1.1', reason: 'files outside of the folder by links (CVE-2025-59343)' },
  { library: 'tmp', floor: '0.2.4', reason: 'files outside of the folder by links (CVE-2025-54798)' },
  {
    library: 'adm-zip',
    floor: '0.5.2',
    reason: 'files outside of the folder (CVE-2018-1002204 and its like)',
  },
];

/** A version's numbers; of a pre-release none, since it is older than what it precedes. */
function numbersOf(version: string): number[] | null {
  const match = /^(\d+)\.(\d+)\.(\d+)(?:\+.*)?$/.exec(version);
  return match?.slice(1).map(Number) ?? null;
}

function isBelow(version: string, floor: string): boolean {
  const [own, wanted] = [version, floor].map(numbersOf);
  if (own === null || wanted === null) return true;
  const at = own.findIndex((number, index) => number !== wanted[index]);
  return at >= 0 && own[at] < wanted[at];
}

const lock = z
  .object({ packages: z.record(z.string(), z.object({ version: z.string().optional() })) })
  .parse(JSON.parse(readFileSync(new URL('../../../package-lock.json', import.meta.url), 'utf8')));

/** Every installed copy, wherever it lies: [path, version]. */
function copiesOf(library: string): [string, string][] {
  return Object.entries(lock.packages).flatMap(([path, { version }]): [string, string][] =>
    version !== undefined && path.split('node_modules/').at(-1) === library ? [[path, version]] : [],
  );
}

test('versions are compared by their numbers', () => {
  for (const [version, floor, below] of [
    ['7.5.7', '7.5.8', true],
    ['7.5.8', '7.5.8', false],
    ['7.5.10', '7.5.8', false],
    ['7.10.0', '7.5.8', false],
    ['6.11.4', '7.5.8', true],
    ['10.0.0', '7.5.8', false],
    ['7.5.8-beta.1', '7.5.8', true],
    ['7.6.0+build', '7.5.8', false],
    ['git+ssh://somewhere', '7.5.8', true],
  ] as const) {
    assert.equal(isBelow(version, floor), below, version);
  }
});

for (const { library, floor, reason } of floors) {
  test(`every copy of ${library} is at least ${floor}: before, ${reason}`, () => {
    const copies = copiesOf(library);
    assert.notDeepEqual(copies, [], 'it is installed no more: take its row away');
    assert.deepEqual(
      copies.filter(([, version]) => isBelow(version, floor)),
      [],
    );
  });
}
