export { likeliestNext } from './bigram.js';
export { documents, type TextBlock } from './documents.js';
export type { Encoder, EncoderSpec } from './encoder.js';
export { type DataReport, inspectData } from './inspect.js';
export { describeNearDuplicates, type Manifest, type ManifestSource, type SplitName } from './manifest.js';
export { type PrepareEvent, type PrepareOptions, prepare } from './prepare.js';
export { corpusNames, type SourceSpec } from './sources.js';
export {
  openTokenData,
  type TokenData,
  type TokenSource,
  type TokenSplit,
  type Window,
} from './token-data.js';
export {
  evaluationWindows,
  mixtureShares,
  refuseBarren,
  sampleWindows,
  type WindowSources,
} from './windows.js';
