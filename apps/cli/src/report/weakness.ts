import { bitsPerByte, perplexity } from '@manyhands/core/inference';
import { LossProfile, type Range } from '@manyhands/core/learning';
import type { Tokenizer } from '@manyhands/tokenizer';
import type { SourceScore, TextWatcher } from '../evaluate-text.js';
import { type OpenModel, sizesOf } from '../model.js';
import type { Between, Report, Score } from './page/report.js';
import { Passages } from './passages.js';

/** Listens to an evaluation, and tells where the model is weak. */
export class Weakness implements TextWatcher {
  private readonly profile: LossProfile;
  private readonly passages = new Passages();

  constructor(private readonly opened: OpenModel) {
    this.profile = new LossProfile(opened.model.config.context);
  }

  begins(source: string, document: string): void {
    this.passages.begins(source, document);
  }

  window(tokens: Int32Array, losses: Float64Array): void {
    this.profile.add(losses);
    this.passages.window(tokens, losses);
  }

  ends(): void {
    this.profile.endDocument();
  }

  /** @param name what the model is called on the page */
  report(
    name: string,
    tokenizer: Tokenizer,
    { whole, sources }: { whole: SourceScore; sources: ReadonlyMap<string, SourceScore> },
  ): Report {
    const { lengths, positions } = this.profile.profile;
    return {
      model: { name, ...sizesOf(this.opened.model) },
      whole: scoreOf(whole),
      sources: [...sources].map(([source, score]) => ({ name: source, ...scoreOf(score) })),
      lengths: lengths.map(between),
      positions: positions.map(between),
      passages: this.passages.list((id) => tokenizer.token(id)),
    };
  }
}

/** What `eval --json` says of a text. */
export function scoreOf(score: SourceScore): Score {
  const { loss, tokens, spread } = score;
  return {
    ...{ loss, perplexity: perplexity(loss), bitsPerByte: bitsPerByte(loss, score), tokens },
    ...{ documents: spread.documents, standardError: spread.error, over: overWhat(spread.over) },
  };
}

function between({ from, to, mean, count, documents, error, over }: Range): Between {
  return { from, to, loss: mean, tokens: count, documents, standardError: error, over: overWhat(over) };
}

function overWhat(over: 'documents' | 'parts'): 'documents' | 'windows' {
  return over === 'parts' ? 'windows' : 'documents';
}
