/** What the page of `explain --html` is drawn from: plain numbers and texts, taken from the graph that trains. */
export interface Picture {
  readonly model: {
    readonly arch: string;
    readonly layers: number;
    readonly heads: number;
    readonly channels: number;
    readonly context: number;
    readonly vocab: number;
    readonly parameters: number;
  };
  /** The prompt and its answer, [T+1]; all but the last are read, all but the first can be asked for. */
  readonly tokens: readonly Token[];
  /** How many of the last tokens are the answer. */
  readonly asked: number;
  readonly rule: {
    readonly optimizer: string;
    readonly learningRate: number;
    /** Largest norm of the gradient; 0 is off. */
    readonly gradientClip: number;
  };
  /** The compute graph in the order of its computation; every step builds the same. */
  readonly graph: readonly GraphNode[];
  /** What the model believes before the first step, and after each: [steps+1]. */
  readonly moments: readonly Moment[];
  readonly steps: readonly Step[];
  readonly inference: Inference;
}

export interface Token {
  readonly id: number;
  /** For people: control characters escaped. */
  readonly text: string;
}

export interface Guess extends Token {
  readonly probability: number;
}

export interface GraphNode {
  readonly id: number;
  readonly operation: string;
  readonly name: string | null;
  readonly shape: readonly number[];
  /** Ids of nodes before it. */
  readonly inputs: readonly number[];
  /** Number of its transformer block. */
  readonly block: number | null;
}

export interface Moment {
  readonly weightsSha256: string;
  /** Mean over the answer's tokens, in nats. */
  readonly loss: number;
  /** One for each token of the answer. */
  readonly predictions: readonly Prediction[];
}

export interface Prediction {
  readonly answer: Guess;
  /** 1 where the answer was the likeliest. */
  readonly rank: number;
  /** The likeliest tokens, likeliest first. */
  readonly guesses: readonly Guess[];
}

/** One step forward, back, and on to the next weights. */
export interface Step {
  /** Norm of all gradients of the mean loss, before clipping. */
  readonly gradientNorm: number;
  /** The vectors that enter the first block, one for each token that is read: [T]. */
  readonly embeddings: readonly Vector[];
  /** [layers][heads]: who looks at whom, rows of 1, 2 … T shares, one row after the other. */
  readonly attention: readonly (readonly (readonly number[])[])[];
  /** In the order of `graph`. */
  readonly nodes: readonly NodeValues[];
  /** The weights that moved most, the furthest first. */
  readonly moved: readonly Moved[];
}

export interface Vector {
  /** Euclidean norm of all of its channels. */
  readonly norm: number;
  /** Its first channels. */
  readonly values: readonly number[];
}

export interface NodeValues {
  readonly output: Statistics;
  /** Euclidean norm of the gradient of the mean loss with respect to the output; null where there is none. */
  readonly gradientNorm: number | null;
}

export interface Statistics {
  readonly mean: number;
  /** Standard deviation. */
  readonly deviation: number;
  readonly least: number;
  readonly greatest: number;
}

export interface Moved {
  readonly name: string;
  readonly index: readonly number[];
  readonly before: number;
  readonly after: number;
}

/** The same prompt written on, the likeliest token each time, by the weights as they are in the file. */
export interface Inference {
  readonly tokens: readonly Written[];
  readonly weightsSha256: { readonly before: string; readonly after: string };
}

export interface Written {
  /** What the model was given to get here: the prompt at first, then what it wrote itself. */
  readonly fed: readonly Token[];
  /** How many tokens before those it still holds the keys and values of. */
  readonly held: number;
  /** The likeliest next tokens, likeliest first. */
  readonly candidates: readonly Guess[];
  readonly picked: Guess;
}
