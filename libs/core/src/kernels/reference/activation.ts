import { math } from '../../numeric/index.js';
import type { ActivationKind } from '../kernels.js';

interface ActivationFunction {
  value(x: number): number;
  slope(x: number): number;
}

const sigmoid = (x: number) => 1 / (1 + math.exp(-x));
const normalDistribution = (x: number) => (1 + math.erf(x * Math.SQRT1_2)) / 2;
const normalDensity = (x: number) => math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);
const geluTanh = (x: number) => math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x));

export const activations: Record<ActivationKind, ActivationFunction> = {
  gelu_new: {
    value: (x) => 0.5 * x * (1 + geluTanh(x)),
    slope: (x) => {
      const inner = Math.sqrt(2 / Math.PI) * (1 + 3 * 0.044715 * x * x);
      return 0.5 * (1 + geluTanh(x)) + 0.5 * x * (1 - geluTanh(x) ** 2) * inner;
    },
  },
  gelu: {
    value: (x) => x * normalDistribution(x),
    slope: (x) => normalDistribution(x) + x * normalDensity(x),
  },
  silu: {
    value: (x) => x * sigmoid(x),
    slope: (x) => sigmoid(x) * (1 + x * (1 - sigmoid(x))),
  },
};
