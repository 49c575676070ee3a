export { bitsPerByte, type EvaluateOptions, type Evaluation, evaluate, perplexity } from './evaluate.js';
export { type FinishReason, type GeneratedToken, type GenerateOptions, generate } from './generate.js';
export { longestRecital, type Recital, recite, reciteBy } from './recital.js';
export {
  checkSampling,
  isInRange,
  type PickedToken,
  pickToken,
  rangeInWords,
  type SamplingOptions,
  type SamplingRange,
  samplingRanges,
} from './sampling.js';
export {
  type GeneratedText,
  generateText,
  type StoppingText,
  type StreamingDecoder,
  stoppingText,
} from './text.js';
export type { ReadonlyWeights } from './weights.js';
