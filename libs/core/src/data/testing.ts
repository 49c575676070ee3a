/** Folders, texts and encoders for the tests of this room. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { EncoderSpec } from './encoder.js';

/** A new folder that is removed after the test. */
export function folder(
  context: TestContext,
  files: Readonly<Record<string, string | Uint8Array>> = {},
): string {
  const dir = mkdtempSync(join(tmpdir(), 'manyhands-data-'));
  context.after(() => rmSync(dir, { recursive: true, force: true }));
  for (const [name, content] of Object.entries(files)) writeFileSync(join(dir, name), content);
  return dir;
}

function encoderModule(source: string): EncoderSpec {
  return { module: `data:text/javascript,${encodeURIComponent(source)}`, spec: 'bytes' };
}

/** A token is a byte; 256 ends a text. */
export const byteEncoder = encoderModule(`export function createEncoder(spec) {
  const utf8 = new TextEncoder();
  return { encode: (text) => utf8.encode(text), endOfText: 256, vocabSize: 257, hash: spec };
}`);

/** As nanoGPT's character-level data: a token is a UTF-16 unit, and there is no end of text. */
export const charEncoder = encoderModule(`export function createEncoder() {
  return {
    encode: (text) => Uint32Array.from({ length: text.length }, (_, at) => text.charCodeAt(at)),
    endOfText: null, vocabSize: 65536, hash: 'utf-16',
  };
}`);

/** Splits as GPT-2 does; a token is the hash of a piece. Sees every difference between two ways to split a text. */
export const pieceEncoder = encoderModule(`export function createEncoder() {
  const pattern = /'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+/gu;
  const id = (piece) => {
    let hash = 7;
    for (let at = 0; at < piece.length; at++) hash = (Math.imul(hash, 31) + piece.charCodeAt(at)) & 0xfffff;
    return hash;
  };
  return {
    encode: (text) => (text.match(pattern) ?? []).map(id),
    endOfText: 0x100000, vocabSize: 0x100001, hash: 'pieces',
  };
}`);

/** Refuses the letter z, as a character tokenizer that has not seen it. */
export const fussyEncoder = encoderModule(`export function createEncoder() {
  const encode = (text) => {
    if (text.includes('z')) throw new Error('the character "z" is not in the vocabulary');
    return new TextEncoder().encode(text);
  };
  return { encode, endOfText: null, vocabSize: 256, hash: 'fussy' };
}`);

/** English-like text of about `bytes` bytes, the same for the same seed. */
export function prose(bytes: number, seed = 1): string {
  const words = [
    'the',
    'whale',
    'a',
    'sea,',
    'captain',
    'never',
    'ship.',
    'of',
    '“white”',
    'in',
    '42',
    'días\n',
  ];
  const parts: string[] = [];
  let state = seed >>> 0;
  for (let size = 0; size < bytes; ) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const word = words[(state >>> 16) % words.length] ?? '';
    parts.push(word);
    size += word.length + 1;
  }
  return parts.join(' ');
}
