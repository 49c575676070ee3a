export {
  bestStep,
  type Checkpoint,
  type CheckpointContent,
  checkpointPath,
  checkpointSteps,
  type DamagedCheckpoint,
  describeDamage,
  type LoadedCheckpoint,
  loadCheckpoint,
  markBest,
  namedStep,
  newestCheckpoint,
  saveCheckpoint,
  verifyCheckpoint,
} from './checkpoint.js';
export { type Journal, openJournal, readJournal } from './journal.js';
export { type LoadedModel, loadAnyModel, loadModel, weightsSha256 } from './model-directory.js';
export {
  holdsRun,
  openRunDirectory,
  type RunDirectory,
  readRunConfig,
  resolveModelDirectory,
} from './run-directory.js';
export {
  type NamedTensor,
  openSafetensors,
  readSafetensors,
  type Safetensors,
  type SafetensorsFile,
  safetensorsParts,
  writeSafetensors,
} from './safetensors.js';
export type { Dtype, TensorInfo } from './safetensors-header.js';
export type { TrainingState } from './state.js';
export { disk, type Storage, type StorageFile } from './storage.js';
