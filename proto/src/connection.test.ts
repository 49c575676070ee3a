import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect } from './connection.js';

test('a token that no header can carry is refused without being told', () => {
  for (const token of ['SECRET\ntoken', 'SECRET\u0000', 'SECRET\u00e9']) {
    assert.throws(
      () => connect({ host: '127.0.0.1', port: 9 }, { kind: 'token', token }),
      (error: Error) => /copy the join line/.test(error.message) && !error.message.includes('SECRET'),
    );
  }
});
