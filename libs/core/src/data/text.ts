import { isUtf8 } from 'node:buffer';
import { type FileHandle, open } from 'node:fs/promises';
import { extname } from 'node:path';
import { UserError } from '../config/index.js';
import { codePointLength, lastSafeCut, wholeCodePoints } from './boundaries.js';
import { readFailure } from './files.js';
import type { InputFile } from './sources.js';

/** A text that belongs together: a file, or a line of a .jsonl. Bytes are UTF-8 without a byte order mark. */
export interface Document {
  /** For messages: the file, with a line number where it has many documents. */
  readonly label: string;
  readonly size: number;
  /** Bytes of the file before the document that are no part of it: a byte order mark. */
  readonly skipped: number;
  /** Fills `into` from `position` on; returns how many bytes there were. Valid until the next document is asked for. */
  read(into: Buffer, position: number): Promise<number>;
}

/** Part of a document, cut where the tokens of the parts are those of the whole (boundaries.ts). */
export interface Piece {
  readonly bytes: Buffer;
  /** In the document, in bytes. */
  readonly offset: number;
  /** Cut inside a word, since there was no better place in {@link longestPiece} bytes. */
  readonly forced: boolean;
}

/** How much text without any safe cut is held in memory; beyond it a word is cut, and the caller is told. */
export const longestPiece = 1 << 20;

/** A line of .jsonl is parsed whole. */
const longestLine = 64 << 20;

/** @throws UserError where the file cannot be read, is not text, or has a line that is not as it should be */
export async function* documentsOf(file: InputFile): AsyncGenerator<Document> {
  let handle: FileHandle;
  try {
    handle = await open(file.path, 'r');
  } catch (error) {
    throw readFailure(error, file.path);
  }
  try {
    if (extname(file.path).toLowerCase() === '.jsonl') yield* jsonDocuments(file.path, handle);
    else yield await textDocument(file, handle);
  } finally {
    await handle.close();
  }
}

/** How many documents the files hold, counted no further than `enough`. */
export async function countDocuments(files: readonly InputFile[], enough: number): Promise<number> {
  let count = files.length;
  for (const file of files) {
    if (count >= enough) break;
    if (extname(file.path).toLowerCase() !== '.jsonl') continue;
    count -= 1;
    for await (const _ of documentsOf(file)) if (++count >= enough) break;
  }
  return count;
}

/**
 * Reads the bytes `start` to `end` of a document in pieces of about `size` bytes, holding one piece at a time.
 * @throws UserError where they are not UTF-8 text, with the offset of the first wrong byte
 */
export async function* pieces(
  doc: Document,
  start: number,
  end: number,
  size: number,
): AsyncGenerator<Piece> {
  if (start >= end) return;
  let buffer = Buffer.allocUnsafe(Math.min(size, end - start));
  let filled = 0;
  let checked = 0;
  let offset = start;
  for (;;) {
    while (filled < buffer.length) {
      const read = await doc.read(buffer.subarray(filled), offset + filled);
      if (read === 0)
        throw new UserError(`${doc.label} became shorter while it was read: prepare the data again.`);
      filled += read;
    }
    const last = offset + filled === end;
    const whole = last ? filled : wholeCodePoints(buffer.subarray(0, filled));
    checkText(buffer.subarray(checked, whole), doc.label, doc.skipped + offset + checked);
    checked = whole;
    const safe = last ? filled : lastSafeCut(buffer.subarray(0, whole));
    if (safe === 0 && filled < longestPiece) {
      const longer = Buffer.allocUnsafe(Math.min(filled * 2, longestPiece, end - offset));
      buffer.copy(longer, 0, 0, filled);
      buffer = longer;
      continue;
    }
    const cut = safe === 0 ? whole : safe;
    yield {
      bytes: last ? buffer.subarray(0, cut) : Buffer.from(buffer.subarray(0, cut)),
      offset,
      forced: safe === 0,
    };
    if (last) return;
    offset += cut;
    filled -= cut;
    checked -= cut;
    const rest = buffer.subarray(cut, cut + filled);
    buffer = Buffer.allocUnsafe(Math.min(Math.max(size, filled), end - offset));
    rest.copy(buffer);
  }
}

/** The start of the code point at `position`, so that a document is never split inside a character. */
export async function characterStart(doc: Document, position: number): Promise<number> {
  const from = Math.max(0, position - 3);
  const bytes = Buffer.alloc(Math.min(doc.size - from, 4));
  await doc.read(bytes, from);
  let start = position;
  while (start > from && (bytes[start - from] & 0xc0) === 0x80) start -= 1;
  return start;
}

async function textDocument(file: InputFile, handle: FileHandle): Promise<Document> {
  const read = async (into: Buffer, position: number) => {
    try {
      return (await handle.read(into, 0, into.length, position)).bytesRead;
    } catch (error) {
      throw readFailure(error, file.path);
    }
  };
  const head = Buffer.alloc(3);
  await read(head, 0);
  if ((head[0] === 0xff && head[1] === 0xfe) || (head[0] === 0xfe && head[1] === 0xff)) {
    throw new UserError(`${file.path} is UTF-16 text: convert it to UTF-8 first.`);
  }
  const mark = head.equals(Buffer.from([0xef, 0xbb, 0xbf])) ? 3 : 0;
  return {
    label: file.path,
    size: Math.max(0, file.size - mark),
    skipped: mark,
    read: (into, position) => read(into, position + mark),
  };
}

async function* jsonDocuments(path: string, handle: FileHandle): AsyncGenerator<Document> {
  let number = 0;
  for await (const line of lines(path, handle)) {
    number += 1;
    const text = textOfLine(line, path, number);
    if (text === '') continue;
    const content = Buffer.from(text);
    const read = async (into: Buffer, position: number) => content.copy(into, 0, position);
    yield { label: `${path}:${number}`, size: content.length, skipped: 0, read };
  }
}

function textOfLine(line: Buffer, path: string, number: number): string {
  if (!isUtf8(line)) throw new UserError(`${path}:${number} is not UTF-8 text.`);
  const json = line.toString('utf8').replace(number === 1 ? /^\ufeff/ : /^(?!)/, '');
  if (json.trim() === '') return '';
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    const reason = error instanceof Error ? error.message.replace(/\s+/g, ' ') : 'unreadable';
    throw new UserError(
      `${path}:${number} is not JSON (${reason.slice(0, 100)}): each line must be {"text": "…"}.`,
    );
  }
  const text = typeof value === 'object' && value !== null && 'text' in value ? value.text : undefined;
  if (typeof text !== 'string')
    throw new UserError(`${path}:${number} has no "text": each line must be {"text": "…"}.`);
  if (/\p{Surrogate}/u.test(text)) {
    throw new UserError(`${path}:${number} has half a surrogate pair in its "text", which is no character.`);
  }
  return text;
}

async function* lines(path: string, handle: FileHandle): AsyncGenerator<Buffer> {
  let carried: Buffer[] = [];
  let length = 0;
  let number = 1;
  for (let position = 0; ; ) {
    const chunk = Buffer.allocUnsafe(1 << 20);
    let bytesRead: number;
    try {
      ({ bytesRead } = await handle.read(chunk, 0, chunk.length, position));
    } catch (error) {
      throw readFailure(error, path);
    }
    position += bytesRead;
    let start = 0;
    for (let end = chunk.indexOf(10); end !== -1 && end < bytesRead; end = chunk.indexOf(10, start)) {
      carried.push(chunk.subarray(start, end));
      yield carried.length === 1 && carried[0] ? carried[0] : Buffer.concat(carried);
      carried = [];
      length = 0;
      number += 1;
      start = end + 1;
    }
    carried.push(chunk.subarray(start, bytesRead));
    length += bytesRead - start;
    if (length > longestLine) {
      throw new UserError(
        `${path}:${number} is longer than ${longestLine >> 20} MiB: split it into more lines.`,
      );
    }
    if (bytesRead === 0) break;
  }
  const rest = Buffer.concat(carried);
  if (rest.length > 0) yield rest;
}

function checkText(bytes: Buffer, label: string, offset: number): void {
  const zero = bytes.indexOf(0);
  if (zero !== -1) {
    throw new UserError(
      `${label} is not text: it has a zero byte at offset ${offset + zero}; give UTF-8 text.`,
    );
  }
  if (isUtf8(bytes)) return;
  let wrong = 0;
  for (let length = 1; wrong < bytes.length; wrong += length) {
    length = codePointLength(bytes[wrong]);
    if (!isUtf8(bytes.subarray(wrong, wrong + length))) break;
  }
  throw new UserError(
    `${label} is not UTF-8 text: byte ${hex(bytes[wrong])} at offset ${offset + wrong} is not valid; give UTF-8 text.`,
  );
}

function hex(byte: number): string {
  return `0x${byte.toString(16).padStart(2, '0')}`;
}
