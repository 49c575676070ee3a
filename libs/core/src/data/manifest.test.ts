import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseManifest } from './manifest.js';

test('a manifest of another form is refused in plain words, short and in one line', () => {
  const refused = (text: string, message: RegExp) =>
    assert.throws(() => parseManifest(text, 'data/manifest.json'), { name: 'UserError', message });
  refused('{}', /of another version: format: .*; delete the folder data and/);
  const begun = { format: 'manyhands-tokens', version: 1 };
  refused(JSON.stringify(begun), /: plan: .*expected string, but it is missing; delete/);
  refused(JSON.stringify({ ...begun, plan: 'x' }), /: plan: no sha256 of 64 hex digits; delete/);
  refused(JSON.stringify({ [`${'x'.repeat(5000)}\u001b[2J`]: 1 }), /^[^\p{Cc}]{1,400}$/u);
  refused('['.repeat(100_000), /is damaged \(not JSON\)/);
});
