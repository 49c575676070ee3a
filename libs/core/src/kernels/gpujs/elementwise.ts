import type { ActivationKind } from '../kernels.js';
import type { Device } from './device.js';
import { type Helper, type Matrix, type Program, program, type Thread } from './program.js';
import type { DeviceTensor } from './tape.js';

/** 1 / (1 + e⁻ᶻ), with no exponential that could overflow. */
function sigmoid(z: number): number {
  const e = Math.exp(-Math.abs(z));
  if (z < 0) {
    return e / (1 + e);
  }
  return 1 / (1 + e);
}

/** 2 √(2/π) (x + 0.044715 x³): as (1 + tanh u) / 2 = sigmoid(2u), GELU's tanh is a sigmoid. */
function geluArgument(x: number): number {
  return 1.5957691216057308 * (x + 0.044715 * x * x * x);
}

function geluArgumentSlope(x: number): number {
  return 1.5957691216057308 * (1 + 0.134145 * x * x);
}

/** Φ(x), the normal distribution, by erf of Abramowitz & Stegun 7.1.26 (within 1.5·10⁻⁷). */
function normalDistribution(x: number): number {
  const z = Math.abs(x) * Math.SQRT1_2;
  const t = 1 / (1 + 0.3275911 * z);
  const polynomial =
    t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  const tail = 0.5 * polynomial * Math.exp(-z * z);
  if (x < 0) {
    return tail;
  }
  return 1 - tail;
}

/** φ(x), its density. */
function normalDensity(x: number): number {
  return 0.3989422804014327 * Math.exp(-0.5 * x * x);
}

function numbers(source: Helper['source']): Helper {
  return { source, integers: false };
}

const helpers = [sigmoid, geluArgument, geluArgumentSlope, normalDistribution, normalDensity].map(numbers);

const activations: Record<ActivationKind, { forward: Program<object>; backward: Program<object> }> = {
  gelu_new: {
    forward: program(
      function geluNew(this: Thread<object>, input: Matrix): number {
        const x = input[this.thread.y][this.thread.x];
        return x * sigmoid(geluArgument(x));
      },
      ...helpers,
    ),
    backward: program(
      function geluNewBackward(this: Thread<object>, gradient: Matrix, input: Matrix): number {
        const x = input[this.thread.y][this.thread.x];
        const s = sigmoid(geluArgument(x));
        return gradient[this.thread.y][this.thread.x] * (s + x * s * (1 - s) * geluArgumentSlope(x));
      },
      ...helpers,
    ),
  },
  gelu: {
    forward: program(
      function gelu(this: Thread<object>, input: Matrix): number {
        const x = input[this.thread.y][this.thread.x];
        return x * normalDistribution(x);
      },
      ...helpers,
    ),
    backward: program(
      function geluBackward(this: Thread<object>, gradient: Matrix, input: Matrix): number {
        const x = input[this.thread.y][this.thread.x];
        return gradient[this.thread.y][this.thread.x] * (normalDistribution(x) + x * normalDensity(x));
      },
      ...helpers,
    ),
  },
  silu: {
    forward: program(
      function silu(this: Thread<object>, input: Matrix): number {
        const x = input[this.thread.y][this.thread.x];
        return x * sigmoid(x);
      },
      ...helpers,
    ),
    backward: program(
      function siluBackward(this: Thread<object>, gradient: Matrix, input: Matrix): number {
        const x = input[this.thread.y][this.thread.x];
        const s = sigmoid(x);
        return gradient[this.thread.y][this.thread.x] * (s + x * s * (1 - s));
      },
      ...helpers,
    ),
  },
};

export function activation(device: Device, x: DeviceTensor, kind: ActivationKind): DeviceTensor {
  return device.launch(activations[kind].forward, {}, x.shape, [x]);
}

export function activationBackward(
  device: Device,
  gradient: DeviceTensor,
  x: DeviceTensor,
  kind: ActivationKind,
): DeviceTensor {
  return device.launch(activations[kind].backward, {}, x.shape, [gradient, x]);
}

const gateTimesUp = program(
  function gateTimesUp(this: Thread<object>, gate: Matrix, up: Matrix): number {
    const x = gate[this.thread.y][this.thread.x];
    return x * sigmoid(x) * up[this.thread.y][this.thread.x];
  },
  ...helpers,
);

const gateGradient = program(
  function gateGradient(this: Thread<object>, gradient: Matrix, gate: Matrix, up: Matrix): number {
    const x = gate[this.thread.y][this.thread.x];
    const s = sigmoid(x);
    return gradient[this.thread.y][this.thread.x] * up[this.thread.y][this.thread.x] * (s + x * s * (1 - s));
  },
  ...helpers,
);

export function swiglu(device: Device, gate: DeviceTensor, up: DeviceTensor): DeviceTensor {
  return device.launch(gateTimesUp, {}, gate.shape, [gate, up]);
}

export function swigluBackward(
  device: Device,
  gradient: DeviceTensor,
  gate: DeviceTensor,
  up: DeviceTensor,
): { gate: DeviceTensor; up: DeviceTensor } {
  return {
    gate: device.launch(gateGradient, {}, gate.shape, [gradient, gate, up]),
    up: device.launch(gateTimesUp, {}, up.shape, [gate, gradient]),
  };
}

const sum = program(function sum(this: Thread<object>, a: Matrix, b: Matrix): number {
  return a[this.thread.y][this.thread.x] + b[this.thread.y][this.thread.x];
});

export function add(device: Device, a: DeviceTensor, b: DeviceTensor): DeviceTensor {
  return device.launch(sum, {}, a.shape, [a, b]);
}

export function accumulate(device: Device, target: DeviceTensor, x: DeviceTensor): void {
  const total = add(device, target, x);
  device.place(target, total);
  device.release([total]);
}
