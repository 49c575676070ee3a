export { ADDRESS, type Address, parseAddress } from './address.js';
export { applySet, configToYaml, parseConfig, type RunConfig } from './config.js';
export { firstProblem, oneLine, RunError, show, UserError } from './errors.js';
export { microBatchCount, microBatchSize, settleMicroBatch } from './micro-batch.js';
export { type PresetName, presets } from './presets.js';
export { knownKeys } from './schema.js';
export { makeOutputFolder, systemCause } from './system.js';
export { barrenStep, describeWeight, type Weight, weightAt, weightSchema } from './weight.js';
export { parseYaml, readYaml } from './yaml.js';
