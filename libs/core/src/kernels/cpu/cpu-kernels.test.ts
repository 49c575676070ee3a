import { conformance } from '../conformance.js';
import { createCpuKernels } from './cpu-kernels.js';

conformance('cpu', () => createCpuKernels(), 1e-5);
