import type { TextWatcher } from '../evaluate-text.js';
import type { Passage } from './page/report.js';

/** Tokens of a passage, at most and at least: a shorter one is high by chance. */
const LONGEST = 64;
const SHORTEST = 16;
/** Tokens before it that are shown. */
const BEFORE = 16;
/** Passages that are kept of each source. */
const KEPT = 8;
/** Passages of a page, however many sources there are: about a megabyte. */
const MOST = 400;

interface Found {
  readonly source: string;
  readonly document: string;
  readonly from: number;
  readonly loss: number;
  /** Tokens that the model saw before the passage's first. */
  readonly seen: number;
  /** Up to BEFORE tokens, then those of the passage. */
  readonly ids: Int32Array;
  readonly losses: Float64Array;
}

/** Keeps, of each source, the stretches of text with the highest mean loss. */
export class Passages implements TextWatcher {
  private readonly found = new Map<string, Found[]>();
  private source = '';
  private document = '';
  private at = 0;

  begins(source: string, document: string): void {
    [this.source, this.document, this.at] = [source, document, 0];
  }

  window(tokens: Int32Array, losses: Float64Array): void {
    for (let start = 0; start + SHORTEST <= losses.length; start += LONGEST) {
      const part = losses.subarray(start, start + LONGEST);
      if (part.length < SHORTEST) continue;
      const loss = part.reduce((sum, value) => sum + value, 0) / part.length;
      this.offer(loss, () => ({
        ...{ source: this.source, document: this.document, from: this.at + start + 1, loss, seen: start + 1 },
        ids: tokens.slice(Math.max(0, start + 1 - BEFORE), start + 1 + part.length),
        losses: part.slice(),
      }));
    }
    this.at += losses.length;
  }

  ends(): void {}

  /** @param text of a token, for people */
  list(text: (id: number) => string): Passage[] {
    const all = [...this.found.values()]
      .flat()
      .sort((a, b) => b.loss - a.loss)
      .slice(0, MOST);
    return all.map(({ source, document, from, loss, seen, ids, losses }) => {
      const texts = Array.from(ids, text);
      const first = texts.length - losses.length;
      return {
        ...{ source, document, from, loss, before: texts.slice(0, first) },
        tokens: Array.from(losses, (loss, i) => ({ text: texts[first + i], loss, position: seen + i })),
      };
    });
  }

  private offer(loss: number, make: () => Found): void {
    const kept = this.found.get(this.source) ?? [];
    this.found.set(this.source, kept);
    if (kept.length === KEPT && loss <= kept[KEPT - 1].loss) return;
    if (kept.length === KEPT) kept.pop();
    const place = kept.findIndex((other) => other.loss < loss);
    kept.splice(place < 0 ? kept.length : place, 0, make());
  }
}
