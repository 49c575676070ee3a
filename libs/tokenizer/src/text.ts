/** The UTF-16 units of `text`: a typed array is read several times faster than a string, unit by unit. */
export function codeUnits(text: string): Uint16Array {
  const buffer = Buffer.allocUnsafeSlow(text.length * 2);
  buffer.write(text, 'utf16le');
  return new Uint16Array(buffer.buffer, 0, text.length);
}

/** The code point at `i`; a lone surrogate is itself. */
export function codePointAt(units: Uint16Array, i: number, end: number): number {
  const high = units[i];
  if (high < 0xd800 || high > 0xdbff || i + 1 >= end) return high;
  const low = units[i + 1];
  return low >= 0xdc00 && low <= 0xdfff ? ((high - 0xd800) << 10) + (low - 0xdc00) + 0x10000 : high;
}

/**
 * Writes units [start, end) as UTF-8 and returns the number of bytes; a lone surrogate becomes U+FFFD.
 * `into` needs room for 3 bytes a unit. By hand, since most calls are for a few bytes.
 */
export function writeUtf8(units: Uint16Array, start: number, end: number, into: Uint8Array): number {
  let n = 0;
  for (let i = start; i < end; i++) {
    let c = units[i];
    if (c < 0x80) {
      into[n++] = c;
    } else if (c < 0x800) {
      into[n++] = 0xc0 | (c >> 6);
      into[n++] = 0x80 | (c & 63);
    } else {
      if (c >= 0xd800 && c <= 0xdfff) {
        c = codePointAt(units, i, end);
        if (c > 0xffff) {
          into[n++] = 0xf0 | (c >> 18);
          into[n++] = 0x80 | ((c >> 12) & 63);
          into[n++] = 0x80 | ((c >> 6) & 63);
          into[n++] = 0x80 | (c & 63);
          i++;
          continue;
        }
        c = 0xfffd;
      }
      into[n++] = 0xe0 | (c >> 12);
      into[n++] = 0x80 | ((c >> 6) & 63);
      into[n++] = 0x80 | (c & 63);
    }
  }
  return n;
}

/** Token ids as they are found; grows by doubling. */
export class IdBuffer {
  private ids: Uint32Array;
  private length = 0;

  constructor(capacity: number) {
    this.ids = new Uint32Array(capacity);
  }

  push(id: number): void {
    if (this.length === this.ids.length) this.reserve(1);
    this.ids[this.length++] = id;
  }

  /** Room for `count` more ids: the array, and where to begin to write. Follow with `advance`. */
  reserve(count: number): Uint32Array {
    if (this.length + count > this.ids.length) {
      const grown = new Uint32Array(Math.max(this.length + count, this.ids.length * 2));
      grown.set(this.ids.subarray(0, this.length));
      this.ids = grown;
    }
    return this.ids;
  }

  get end(): number {
    return this.length;
  }

  advance(count: number): void {
    this.length += count;
  }

  /** Exactly the ids written; the buffer is not to be used after it. */
  finish(): Uint32Array {
    return this.length === this.ids.length ? this.ids : this.ids.slice(0, this.length);
  }
}
