import type { Picture } from '../../explain/page/picture.js';

/** What the page of `eval --report` is drawn from; all but the passages is what `eval --json` prints beside it. */
export interface Report {
  /** With the name that it was given. */
  readonly model: Picture['model'] & { readonly name: string };
  readonly whole: Score;
  /** In the order in which they were given. */
  readonly sources: readonly (Score & { readonly name: string })[];
  /** By how many tokens a document has. */
  readonly lengths: readonly Between[];
  /** By how many tokens the model saw before the one that it had to predict. */
  readonly positions: readonly Between[];
  /** The highest loss first. */
  readonly passages: readonly Passage[];
}

/** A mean loss of so many tokens. */
export interface Mean {
  /** In nats a token. */
  readonly loss: number;
  readonly tokens: number;
  readonly documents: number;
  /** Of the loss, over documents; over the windows of the only one that there is. null: unknown. */
  readonly standardError: number | null;
  readonly over: 'documents' | 'windows';
}

export interface Score extends Mean {
  readonly perplexity: number;
  readonly bitsPerByte: number;
}

/** The mean of what lies between two numbers, both included. */
export interface Between extends Mean {
  readonly from: number;
  readonly to: number;
}

/** A stretch of text that the model did not see coming. */
export interface Passage {
  readonly source: string;
  /** The file, with a line number where it has many documents. */
  readonly document: string;
  /** Number of its first token in the document, from 0. */
  readonly from: number;
  /** Mean over its tokens. */
  readonly loss: number;
  /** What the model saw just before. */
  readonly before: readonly string[];
  readonly tokens: readonly Surprise[];
}

export interface Surprise {
  /** For people: control characters escaped. */
  readonly text: string;
  readonly loss: number;
  /** How many tokens the model saw before it. */
  readonly position: number;
}
