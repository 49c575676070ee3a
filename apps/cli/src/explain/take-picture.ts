import { weightsSha256 } from '@manyhands/core/checkpoint';
import { UserError } from '@manyhands/core/config';
import type { Graph } from '@manyhands/core/graph';
import type { AttentionShape, Kernels } from '@manyhands/core/kernels';
import type { Model, ModelConfig } from '@manyhands/core/model';
import { sizesOf } from '../model.js';
import { attentionShares } from './attention.js';
import type { Example } from './example.js';
import { watchInference } from './inference.js';
import { type NodeReport, norm, reportGraph } from './network.js';
import type { StepRule } from './optimizer.js';
import { furthestWeights, predictionAt } from './outcome.js';
import type { GraphNode, Moment, Picture, Prediction, Step, Token, Vector } from './page/picture.js';
import { type Pass, type Walk, type Watcher, walk } from './walk.js';

/** What a picture is taken of. */
export interface Scene {
  readonly model: Model;
  /** Flat; they stay as they are. */
  readonly weights: Float32Array;
  /** One sequence, of which the end is asked for. */
  readonly example: Example;
  readonly rule: StepRule;
  readonly text: (id: number) => string;
  readonly endOfText: number | null;
}

/** Channels of an embedding that are shown. */
const CHANNELS = 32;
/** Weights that moved most. */
const MOVED = 10;
/** Tokens that inference writes. */
const WRITTEN = 12;
/** More numbers than this make a page that no browser opens in a moment. */
const MOST_NUMBERS = 2_000_000;

/**
 * Takes the steps of `rule` and remembers all that a page shows of them; then lets the model, as it was, write on.
 * The walk is that of the explanation in words.
 * @throws UserError where it would be too much for a page
 */
export async function takePicture(kernels: Kernels, scene: Scene): Promise<{ picture: Picture; walk: Walk }> {
  const { model, weights, example, rule, text, endOfText } = scene;
  checkSize(model, example.time, rule.steps);
  const watcher = new Camera(scene);
  const walked = await walk(kernels, model, weights, example, rule, watcher);
  const lastLoss = walked.losses[rule.steps];
  watcher.moments.push(watcher.moment(walked.after, { logits: walked.logitsAfter, loss: lastLoss }));

  const { inputs, targets, time, asked } = example;
  const ids = [...inputs, targets[time - 1]];
  const promptIds = ids.slice(0, ids.length - asked);
  const inference = await watchInference(kernels, model, weights, {
    promptIds,
    count: WRITTEN,
    endOfText,
    text,
  });
  const picture: Picture = {
    model: sizesOf(model),
    tokens: ids.map((id) => ({ id, text: text(id) })),
    asked,
    rule: {
      optimizer: rule.optimizer.name,
      learningRate: rule.optimizer.lr,
      gradientClip: rule.gradientClip,
    },
    graph: walked.graph.map(shapeOf),
    moments: watcher.moments,
    steps: watcher.steps,
    inference,
  };
  return { picture, walk: walked };
}

/** Records step after step. */
class Camera implements Watcher {
  readonly moments: Moment[] = [];
  readonly steps: Step[] = [];
  #taken: Pick<Step, 'embeddings' | 'attention' | 'nodes'> | null = null;
  #pass: Pass | null = null;

  constructor(private readonly scene: Scene) {}

  async walked(graph: Graph, pass: Pass): Promise<void> {
    const nodes = await reportGraph(graph, this.scene.example.asked);
    this.#pass = pass;
    this.#taken = {
      embeddings: await embeddings(graph, nodes),
      attention: await attention(graph),
      nodes: nodes.map(({ output, gradientNorm }) => ({ output, gradientNorm })),
    };
  }

  stepped(before: Float32Array, after: Float32Array, gradientNorm: number): void {
    if (this.#taken === null || this.#pass === null) throw new RangeError('a step was taken before its walk');
    this.moments.push(this.moment(before, this.#pass));
    const moved = furthestWeights(this.scene.model, before, after, MOVED);
    this.steps.push({ gradientNorm, ...this.#taken, moved });
  }

  moment(weights: Float32Array, { logits, loss }: Pass): Moment {
    const { model, example, text } = this.scene;
    const named = <T extends { id: number }>(token: T): T & Token => ({ ...token, text: text(token.id) });
    const predictions = Array.from(example.targets.entries())
      .filter(([, target]) => target >= 0)
      .map(([position, target]): Prediction => {
        const { answer, rank, guesses } = predictionAt(logits, model.config.vocab, position, target);
        return { answer: named(answer), rank, guesses: guesses.map(named) };
      });
    return { weightsSha256: weightsSha256(weights), loss, predictions };
  }
}

function shapeOf({ id, operation, name, shape, inputs, block }: NodeReport): GraphNode {
  return { id, operation, name, shape, inputs, block };
}

/** What enters the first block: the last operation before it. */
async function embeddings(graph: Graph, nodes: readonly NodeReport[]): Promise<Vector[]> {
  const operations = nodes.filter(({ operation }) => operation !== 'parameter' && operation !== 'input');
  const last = operations[operations.findIndex(({ block }) => block !== null) - 1];
  const node = graph.nodes.find(({ id }) => id === last.id);
  if (node === undefined) throw new RangeError('the graph has no embeddings');
  const values = await graph.kernels.read(node.output);
  const [rows, channels] = node.output.shape;
  return Array.from({ length: rows }, (_, row) => {
    const vector = values.subarray(row * channels, (row + 1) * channels);
    return { norm: norm(vector), values: Array.from(vector.subarray(0, CHANNELS)) };
  });
}

async function attention(graph: Graph): Promise<number[][][]> {
  const layers: number[][][] = [];
  for (const node of graph.nodes) {
    if (node.operation !== 'attention') continue;
    const qkv = await graph.kernels.read(node.inputs[0].output);
    const heads = attentionShares(qkv, node.attributes as AttentionShape);
    layers.push(heads.map((shares) => Array.from(shares, (share) => Math.round(share * 1e4) / 1e4)));
  }
  return layers;
}

function checkSize(model: Model, time: number, steps: number): void {
  const { layers, heads }: ModelConfig = model.config;
  const parts = 2 * model.parameters.length + 20 * layers; // about as many nodes as a graph has
  const each = (layers * heads * time * (time + 1)) / 2 + CHANNELS * time + 5 * parts;
  if (each * steps <= MOST_NUMBERS) return;
  const most = Math.floor(MOST_NUMBERS / each);
  throw new UserError(
    most > 0
      ? `--steps is ${steps}, but a page of this model and prompt can show at most ${most}.`
      : `--prompt and --answer have ${time + 1} tokens, which is too much for a page of a model with ${layers} × ${heads} heads: shorten them.`,
  );
}
