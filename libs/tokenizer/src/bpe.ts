import { TokenizerError } from './errors.js';
import type { Merges } from './merges.js';
import type { Pattern } from './patterns.js';
import { codeUnits, type IdBuffer, writeUtf8 } from './text.js';
import { TokenIndex } from './token-index.js';

/** All of a byte-level BPE model but its special tokens. */
export interface BpeModel {
  /** Byte strings by id, undefined where an id is unused. */
  readonly tokens: readonly (string | undefined)[];
  readonly merges: Merges;
  readonly pattern: Pattern;
  /** A piece that is a token by itself is that token, whatever the merges would make of it (as in tiktoken). */
  readonly wholePieces: boolean;
}

/**
 * The cache of pieces: a text has few distinct ones, and most are words. Set-associative like a processor's
 * cache, since its cost then has a bound that no text can exceed: four places a piece may be in, one of them
 * overwritten where all are taken. A record is 32 integers: units | ids << 8, then 12 that hold up to 24 units,
 * then up to 19 ids, so that most hits touch one cache line.
 */
const recordShift = 5;
const keyInts = 12;
const longestKey = keyInts * 2;
const mostIds = (1 << recordShift) - keyInts - 1;
const ways = 4;
const records = 1 << 16;

/** Text to ids by one BPE model. Not shared between threads: it owns a cache (8 MB) and scratch memory. */
export class BpeEncoder {
  private readonly cache = new Int32Array(records << recordShift);
  private readonly cacheUnits = new Uint16Array(this.cache.buffer);
  private readonly byteIds = new Int32Array(256).fill(-1);
  private readonly whole: TokenIndex | null;
  private bytes = Buffer.alloc(256);
  private ids = new Int32Array(256);

  constructor(private readonly model: BpeModel) {
    model.tokens.forEach((token, id) => {
      if (token?.length === 1) this.byteIds[token.charCodeAt(0)] = id;
    });
    this.whole = model.wholePieces ? new TokenIndex(model.tokens) : null;
  }

  encode(text: string, out: IdBuffer): void {
    const units = codeUnits(text);
    const { scan } = this.model.pattern;
    const { cache, cacheUnits } = this;
    for (let start = 0; start < units.length; ) {
      const end = scan(units, start, units.length);
      const length = end - start;
      if (length > longestKey) {
        this.emit(this.encodePiece(units, start, end), out);
        start = end;
        continue;
      }
      let hash = length;
      for (let i = start; i < end; i++) hash = Math.imul(hash ^ units[i], 0x01000193);
      hash ^= hash >>> 15;
      let record = 0;
      let found = false;
      for (let way = 0; way < ways && !found; way++) {
        record = ((hash + way) & (records - 1)) << recordShift;
        const held = cache[record] & 0xff;
        if (held === 0) break;
        if (held !== length) continue;
        const key = (record + 1) << 1;
        let i = 0;
        while (i < length && cacheUnits[key + i] === units[start + i]) i++;
        found = i === length;
      }
      if (found) {
        const count = cache[record] >>> 8;
        const from = record + 1 + keyInts;
        const into = out.reserve(count);
        const at = out.end;
        for (let i = 0; i < count; i++) into[at + i] = cache[from + i];
        out.advance(count);
      } else {
        const count = this.encodePiece(units, start, end);
        this.emit(count, out);
        if (count <= mostIds) this.remember(units, start, length, record, hash, count);
      }
      start = end;
    }
  }

  /** `record` is the first empty place, or the last one looked at where none was empty. */
  private remember(
    units: Uint16Array,
    start: number,
    length: number,
    record: number,
    hash: number,
    count: number,
  ): void {
    const { cache } = this;
    // High bits choose the victim: the low ones are the same for all pieces that compete here.
    if (cache[record] !== 0) record = ((hash + (hash >>> 30)) & (records - 1)) << recordShift;
    cache[record] = length | (count << 8);
    const key = (record + 1) << 1;
    for (let i = 0; i < length; i++) this.cacheUnits[key + i] = units[start + i];
    for (let i = 0; i < count; i++) cache[record + 1 + keyInts + i] = this.ids[i];
  }

  /** Copies the first `count` of `this.ids`. */
  private emit(count: number, out: IdBuffer): void {
    const into = out.reserve(count);
    for (let i = 0, at = out.end; i < count; i++) into[at + i] = this.ids[i];
    out.advance(count);
  }

  /** Leaves the ids of one piece in `this.ids` and returns how many they are. */
  private encodePiece(units: Uint16Array, start: number, end: number): number {
    const room = (end - start) * 3;
    if (this.bytes.length < room) {
      this.bytes = Buffer.alloc(room);
      this.ids = new Int32Array(room);
    }
    const n = writeUtf8(units, start, end, this.bytes);
    const id = this.whole?.find(this.bytes, 0, n) ?? -1;
    if (id >= 0) {
      this.ids[0] = id;
      return 1;
    }
    for (let i = 0; i < n; i++) {
      const id = this.byteIds[this.bytes[i]];
      if (id < 0) {
        const hex = this.bytes[i].toString(16).padStart(2, '0');
        throw new TokenizerError(`the vocabulary has no token for the byte 0x${hex} of the text.`);
      }
      this.ids[i] = id;
    }
    return this.model.merges.apply(this.ids, n);
  }
}
