export { type Example, promptExample, readBatch } from './example.js';
export { type NodeReport, norm } from './network.js';
export { readStepRule, type StepRule } from './optimizer.js';
export {
  type Guess,
  movedWeights,
  type Prediction,
  predictionAt,
  type TensorReport,
  tensorReports,
} from './outcome.js';
export { renderPage } from './render-page.js';
export { type Subject, tellStory } from './story.js';
export { takePicture } from './take-picture.js';
export { type Walk, walk } from './walk.js';
