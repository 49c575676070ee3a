import { conformance } from '../conformance.js';
import { createReferenceKernels } from './reference-kernels.js';

conformance('reference', async () => createReferenceKernels(), 1e-7);
