import type { Graph, Node } from '../graph/index.js';
import type { ActivationKind, Tensor } from '../kernels/index.js';

/** A transformer's shape, every number resolved. */
export interface ModelConfig {
  readonly arch: 'gpt2' | 'llama';
  readonly layers: number;
  readonly heads: number;
  /** Heads of keys and values: fewer than `heads` in grouped-query attention. */
  readonly kvHeads: number;
  readonly channels: number;
  /** Width of the MLP. */
  readonly hidden: number;
  /** Positions that the model sees at once. */
  readonly context: number;
  readonly vocab: number;
  readonly dropout: number;
  readonly tieEmbeddings: boolean;
  readonly activation: ActivationKind;
  /** ε of the norms. */
  readonly epsilon: number;
  /** Base of the rotary angles; of no meaning where positions are learned. */
  readonly ropeTheta: number;
}

export type ParameterGroup = 'embeddings' | 'attention' | 'mlp' | 'norms' | 'head';

/** How a parameter starts: drawn from N(0, deviation²), or one number throughout. */
export type Initial = { readonly deviation: number } | { readonly value: number };

/** A parameter as an architecture's table has it. */
export interface ParameterRow {
  /** As in Hugging Face's file. */
  readonly name: string;
  readonly shape: readonly number[];
  /** `embedding` is indexed by token or position at one side (the head too), `matrix` is between hidden layers. */
  readonly kind: 'embedding' | 'matrix' | 'vector';
  readonly group: ParameterGroup;
  readonly initial: Initial;
  /**
   * Entries first … first+count−1 on which the loss does not depend: their gradient is zero, and what float32 leaves
   * instead is rounding noise, which Adam's division by its own size would turn into steps as large as any other.
   */
  readonly inert?: { readonly first: number; readonly count: number };
}

/** A named view into the model's one flat array. */
export interface Parameter extends ParameterRow {
  /** In elements, from the start of the flat array. */
  readonly offset: number;
  readonly size: number;
  /** Whether weight decay applies: to tensors of two or more dimensions. */
  readonly decay: boolean;
}

/** Where every parameter of a model lies in its one flat array: all that training, steps and sums need of it. */
export interface Layout {
  readonly parameters: readonly Parameter[];
  /** Elements of the flat array. */
  readonly size: number;
}

export interface Model extends Layout {
  readonly config: ModelConfig;
}

/** Where a dropout's random numbers come from; the number of its place in the model is added to it. Its fields may change between the runs of a program. */
export interface DropoutSource {
  readonly seed: number;
  readonly step: number;
  readonly microBatch: number;
}

/** Keys and values of the tokens that were seen: a tensor [context, (H+2Hkv)·D] for each layer, `length` rows filled. */
export interface Cache {
  readonly layers: readonly Tensor[];
  length: number;
}

export interface ForwardInput {
  /** [batch·time], sequence by sequence; or where they lie on the device already */
  readonly ids: Int32Array | Tensor;
  readonly batch: number;
  readonly time: number;
  /** [batch·time] on the device, each id's place in its sequence; found from the cache where they are not given. */
  readonly positions?: Tensor;
  /** Absent: nothing is dropped (evaluation, inference). Read again at each run of a program. */
  readonly dropout?: DropoutSource;
  /** The activations of each block are computed again on the way back. Default false. */
  readonly recompute?: boolean;
  /** Continues the sequence in the cache by `ids`, and appends them to it; needs batch = 1. */
  readonly cache?: Cache;
  /** Only the last position's logits, [1,V]; needs batch = 1. */
  readonly lastOnly?: boolean;
}

/** Everything that differs between one kind of transformer and another. */
export interface Architecture {
  readonly parameters: (config: ModelConfig) => ParameterRow[];
  readonly forward: (pass: ForwardPass) => Hidden;
  /** The name in config.json's `model_type`. */
  readonly modelType: string;
  readonly toHuggingFace: (config: ModelConfig) => Record<string, unknown>;
  /** @throws UserError for what this implementation does not compute */
  readonly fromHuggingFace: (json: unknown) => ModelConfig;
  /** What follows from the shape that a person gives. */
  readonly resolve: (shape: ModelShape) => ModelConfig;
}

/** The part of a model's config that a person chooses. */
export type ModelShape = Pick<
  ModelConfig,
  'arch' | 'layers' | 'heads' | 'kvHeads' | 'channels' | 'context' | 'vocab' | 'dropout' | 'tieEmbeddings'
>;

/** What an architecture computes: final hidden states [N,C], and the matrix [V,C] that makes logits of them. */
export interface Hidden {
  readonly hidden: Node;
  readonly head: Node;
}

/** What the blocks of an architecture are written with. */
export interface ForwardPass {
  readonly graph: Graph;
  readonly config: ModelConfig;
  readonly parameter: (name: string) => Node;
  /** [N] */
  readonly ids: Node;
  /** [N] */
  readonly positions: Node;
  /** Causal attention of layer `layer`, over the cache where there is one: qkv [N,(H+2Hkv)·D] → [N,H·D] */
  readonly attend: (qkv: Node, layer: number) => Node;
  /** One block of the network, x [N,C] → [N,C]: the unit of what may be computed again instead of being kept. */
  readonly block: (x: Node, build: (x: Node) => Node) => Node;
  /** Dropout, numbered in the order of the calls; x itself where nothing is to be dropped. */
  readonly drop: (x: Node) => Node;
  /** Final hidden states [N,C] → those whose logits are asked for. */
  readonly select: (x: Node) => Node;
}
