import assert from 'node:assert/strict';
import { test } from 'node:test';
import { applySet, parseYaml, show } from './index.js';

const refused = (message: RegExp) => ({ name: 'UserError', message });

// Deep enough, the parser's own recursion ended the whole process: V8 has no stack left to compile an expression.
for (const [name, text] of [
  ['brackets', '['.repeat(200_000)],
  ['braces', '{"a":'.repeat(50_000)],
  ['items', '- '.repeat(50_000)],
  ['keys', '? '.repeat(50_000)],
] as const) {
  test(`a document nested without end in ${name} is refused before it is parsed`, () => {
    assert.throws(() => parseYaml(text, 'x.yaml'), refused(/^x\.yaml is nested more than 100 deep, which/));
    assert.throws(
      () => applySet({}, `run.steps=${text}`),
      refused(/^The value of --set run\.steps is nested/),
    );
  });
}

test('a hundred levels are read, and a flat config of many lines too', () => {
  const deep = 98;
  let inner = parseYaml(`${'['.repeat(deep)}7${']'.repeat(deep)}`, 'x.yaml');
  for (let level = 0; level < deep; level++) {
    assert.ok(Array.isArray(inner));
    [inner] = inner;
  }
  assert.equal(inner, 7);
  const sources = Array.from({ length: 1000 }, (_, i) => `  - {path: text-${i}, weight: ${i + 1}}`);
  const read = parseYaml(`data:\n  sources:\n${sources.join('\n')}`, 'x.yaml');
  assert.deepEqual(Object.keys(Object(read)), ['data']);
});

// Every key is compared with each before it: 100,000 of them took minutes.
test('a mapping of keys without end is refused by its length', () => {
  const keys = Array.from({ length: 100_000 }, (_, i) => `k${i}: 1`);
  assert.throws(() => parseYaml(keys.join('\n'), 'x.yaml'), refused(/more than 32768 YAML tokens, which no/));
});

// The library read the whole line once more for each of thirty thousand errors in it.
test('of many errors in a long line the first is told, by line and column', () => {
  const text = `a: 1\n[${','.repeat(10_000)} #${'x'.repeat(500_000)}`;
  assert.throws(
    () => parseYaml(text, 'x.yaml'),
    refused(/^x\.yaml is not YAML: .* at line 2, column \d+\.$/),
  );
});

test('what is told of a document is short, in one line, and nothing that a terminal obeys', () => {
  for (const text of [`*${'x'.repeat(5000)}`, '*a\u009b2Jb', '"\\u{', `a: 'b\u007f\u001b[2J`]) {
    assert.throws(() => parseYaml(text, 'x.yaml'), refused(/^[^\p{Cc}]{1,300}$/u));
  }
  assert.equal(show('a\u009b2J\u202eb\u007f\nc'), '"a 2J b \\nc"');
});
