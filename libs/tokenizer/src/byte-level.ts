/**
 * Byte-level BPE writes each byte as one printable character (GPT-2's encoder.py): printable Latin-1 as itself,
 * the other 68 as U+0100 and on, in order. Bytes are held here as "byte strings": one unit, 0–255, a byte.
 */
const isPrintable = (byte: number) =>
  (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);

const allBytes = Array.from({ length: 256 }, (_, byte) => byte);
const unprintable = allBytes.filter((byte) => !isPrintable(byte));

/** The 256 bytes in the order of GPT-2's first 256 ids. */
export const byteOrder: readonly number[] = [...allBytes.filter(isPrintable), ...unprintable];

const characters = allBytes.map((byte) =>
  String.fromCharCode(isPrintable(byte) ? byte : 0x100 + unprintable.indexOf(byte)),
);
const bytes = new Map(characters.map((character, byte) => [character, String.fromCharCode(byte)]));

/** A byte string as it stands in tokenizer.json. */
export function toByteLevel(byteString: string): string {
  let out = '';
  for (let i = 0; i < byteString.length; i++) out += characters[byteString.charCodeAt(i)];
  return out;
}

/** The byte string of a token in tokenizer.json; undefined where it holds a character that stands for no byte. */
export function fromByteLevel(token: string): string | undefined {
  let out = '';
  for (let i = 0; i < token.length; i++) {
    const byte = bytes.get(token[i]);
    if (byte === undefined) return undefined;
    out += byte;
  }
  return out;
}

/** The UTF-8 bytes of `text` as a byte string. */
export function byteString(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}
