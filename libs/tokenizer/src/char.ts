import { TokenizerError } from './errors.js';
import { codePointAt, codeUnits, type IdBuffer } from './text.js';

const replacement = 0xfffd;

/** One id a character (code point), by table. */
export class CharEncoder {
  private readonly table = new Int32Array(0x10000).fill(-1);
  private readonly astral = new Map<number, number>();

  /** `characters`: [code point, id]. */
  constructor(private readonly characters: readonly (readonly [number, number])[]) {
    for (const [point, id] of characters) {
      if (point <= 0xffff) this.table[point] = id;
      else this.astral.set(point, id);
    }
  }

  encode(text: string, out: IdBuffer): void {
    const units = codeUnits(text);
    const into = out.reserve(units.length);
    let at = out.end;
    for (let i = 0; i < units.length; i++) {
      let id = this.table[units[i]];
      if (id < 0) {
        let point = codePointAt(units, i, units.length);
        if (point >= 0xd800 && point <= 0xdfff) point = replacement;
        id = (point > 0xffff ? this.astral.get(point) : this.table[point]) ?? -1;
        if (id < 0) throw this.unknown(point, i);
        if (point > 0xffff) i++;
      }
      into[at++] = id;
    }
    out.advance(at - out.end);
  }

  private unknown(point: number, offset: number): TokenizerError {
    const name = `U+${point.toString(16).toUpperCase().padStart(4, '0')}`;
    return new TokenizerError(
      `the character ${JSON.stringify(String.fromCodePoint(point))} (${name}, at offset ${offset}) is not one of ` +
        `the ${this.characters.length} characters of this tokenizer: ` +
        'train it on text that has it, or use a bpe tokenizer.',
    );
  }
}

/** The characters of texts as a vocabulary: sorted code points, lone surrogates counted as U+FFFD. */
export class CharacterCounter {
  private readonly seen = new Uint8Array(0x110000);

  add(text: string): void {
    const units = codeUnits(text);
    for (let i = 0; i < units.length; i++) {
      const point = codePointAt(units, i, units.length);
      if (point > 0xffff) i++;
      this.seen[point >= 0xd800 && point <= 0xdfff ? replacement : point] = 1;
    }
  }

  characters(): string[] {
    const out: string[] = [];
    this.seen.forEach((seen, point) => {
      if (seen === 1) out.push(String.fromCodePoint(point));
    });
    return out;
  }
}
