export {
  activationBytes,
  flopsPerToken,
  type MemoryEstimate,
  memoryEstimate,
  parameterCount,
  valueMemoryEstimate,
} from './cost.js';
export { createCache, forward, forwardLoss } from './forward.js';
export { modelHash, parseModelConfig } from './identity.js';
export {
  architectures,
  createModel,
  fromHuggingFace,
  initialWeights,
  layOut,
  resolveModelConfig,
  toHuggingFace,
} from './model.js';
export {
  type FlatWeights,
  parameterNodes,
  readGradients,
  uploadWeights,
  type WeightTensors,
  writeWeights,
} from './parameters.js';
export { type BatchProgram, lossProgram, trainingProgram } from './programs.js';
export type {
  Architecture,
  Cache,
  DropoutSource,
  ForwardInput,
  Layout,
  Model,
  ModelConfig,
  ModelShape,
  Parameter,
  ParameterGroup,
} from './types.js';
export {
  createValueModel,
  forwardValues,
  isLanguageModel,
  VALUE_MODEL_TYPE,
  type ValueConfig,
  type ValueModel,
  type ValueProgram,
  valueConfig,
  valueFromJson,
  valueFunction,
  valueProgram,
  valueToJson,
} from './value.js';
