import { TextDecoder } from 'node:util';
import { TokenizerError } from './errors.js';
import { type AddedToken, type EncodeOptions, endOfTextToken, type TokenStream } from './tokenizer.js';

/** What other trainers call the token between documents, the first that is present counts. */
const endOfTextNames = [endOfTextToken, '<|end_of_text|>', '</s>', '<eos>'];

/**
 * The half of a tokenizer that does not depend on how it encodes: ids to bytes, and tokens found before the rest.
 * `tokens` are byte strings by id; an id without one is unused. Added tokens stand in it with their UTF-8 bytes.
 */
export class Vocabulary {
  readonly size: number;
  readonly endOfText: number | null;
  private readonly bytes: Buffer;
  private readonly offsets: Uint32Array;
  private readonly always: readonly AddedToken[];
  private readonly special: ReadonlyMap<string, AddedToken>;

  constructor(
    readonly tokens: readonly (string | undefined)[],
    readonly added: readonly AddedToken[],
  ) {
    this.size = tokens.length;
    this.offsets = new Uint32Array(tokens.length + 1);
    for (let id = 0; id < tokens.length; id++) {
      this.offsets[id + 1] = this.offsets[id] + (tokens[id]?.length ?? 0);
    }
    this.bytes = Buffer.from(tokens.join(''), 'latin1');
    this.always = added.filter((token) => !token.special);
    this.special = new Map(added.filter((token) => token.special).map((token) => [token.content, token]));
    const name = endOfTextNames.find((content) => this.special.has(content));
    this.endOfText = (name === undefined ? undefined : this.special.get(name)?.id) ?? null;
  }

  decodeBytes(ids: ArrayLike<number>): Uint8Array {
    let length = 0;
    for (let i = 0; i < ids.length; i++) length += this.lengthOf(ids[i]);
    const out = new Uint8Array(length);
    let n = 0;
    for (let i = 0; i < ids.length; i++) {
      const end = this.offsets[ids[i] + 1];
      for (let k = this.offsets[ids[i]]; k < end; k++) out[n++] = this.bytes[k];
    }
    return out;
  }

  decode(ids: ArrayLike<number>): string {
    return utf8Decoder().decode(this.decodeBytes(ids));
  }

  stream(): TokenStream {
    const decoder = utf8Decoder();
    return {
      push: (id) => decoder.decode(this.bytesOf(id), { stream: true }),
      end: () => decoder.decode(),
    };
  }

  token(id: number): string {
    const bytes = this.bytesOf(id);
    try {
      return escapeControls(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
    } catch {
      return Array.from(bytes, hexByte).join('');
    }
  }

  /**
   * Cuts `text` at the added tokens that count under `allow`: strings are text, numbers are ids. Of tokens that
   * begin at the same place the longest is taken.
   */
  segments(text: string, allow: EncodeOptions['allowSpecial']): (string | number)[] {
    const wanted = [...this.always];
    if (allow === true) wanted.push(...this.special.values());
    else if (allow) {
      for (const content of allow) {
        const token = this.special.get(content);
        if (token === undefined) {
          const known = [...this.special.keys()].join(', ') || 'none';
          throw new TokenizerError(`${content} is not a special token of this tokenizer (it has ${known}).`);
        }
        wanted.push(token);
      }
    }
    if (wanted.length === 0) return [text];
    const ids = new Map(wanted.map((token) => [token.content, token.id]));
    const alternatives = [...ids.keys()].sort((a, b) => b.length - a.length).map(escapeRegExp);
    // The group makes split keep what it splits at.
    const parts = text.split(new RegExp(`(${alternatives.join('|')})`, 'u'));
    return parts
      .map((part, i) => (i % 2 === 1 ? (ids.get(part) ?? part) : part))
      .filter((part) => part !== '');
  }

  private lengthOf(id: number): number {
    // Also false for fractions, NaN and negative numbers: they index nothing.
    const length = id < this.size ? this.offsets[id + 1] - this.offsets[id] : 0;
    if (length > 0) return length;
    throw new TokenizerError(`${id} is not a token of this vocabulary (0 to ${this.size - 1}).`);
  }

  private bytesOf(id: number): Uint8Array {
    const length = this.lengthOf(id);
    return this.bytes.subarray(this.offsets[id], this.offsets[id] + length);
  }
}

/** A byte order mark is text here: what went in comes out. */
function utf8Decoder(): TextDecoder {
  return new TextDecoder('utf-8', { ignoreBOM: true });
}

function hexByte(byte: number): string {
  return `\\x${byte.toString(16).padStart(2, '0').toUpperCase()}`;
}

function escapeControls(text: string): string {
  const named: Record<string, string> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };
  return text.replace(/\p{Cc}/gu, (c) => named[c] ?? hexByte(c.charCodeAt(0)));
}

function escapeRegExp(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
}
