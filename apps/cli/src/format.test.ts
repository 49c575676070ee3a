import assert from 'node:assert/strict';
import { test } from 'node:test';
import { wrap } from './format.js';

test('long lines are broken between words and keep their indent, and colours take no room', () => {
  assert.equal(wrap('   one two three', 10), '   one two\n   three');
  assert.equal(wrap('   \x1b[1mone\x1b[22m two three', 10), '   \x1b[1mone\x1b[22m two\n   three');
  assert.equal(wrap('a  table   row\n\n  and another', 14), 'a  table   row\n\n  and another');
  assert.equal(wrap('  indivisible', 5), '  indivisible');
  assert.equal(wrap('any length', Infinity), 'any length');
});
