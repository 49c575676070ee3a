import { FLOAT, VECTOR } from './vector';

/** Copies `lanes` × depth values into panels of `panel` lanes, filled up with zeros. May write up to three floats behind the last panel. */
export function pack(to: usize, panel: i32, from: usize, lane: i32, step: i32, lanes: i32, depth: i32): void {
  for (let first = 0; first < lanes; first += panel) {
    // From the last four on: where a panel is not whole vectors, they spill into lanes that are written after them.
    for (let part = (panel - 1) & ~3; part >= 0; part -= 4) {
      const source = from + usize((first + part) * lane) * FLOAT;
      const here = max(0, min(4, lanes - first - part));
      packFour(to + usize(part) * FLOAT, usize(panel) * FLOAT, source, lane, step, here, depth);
    }
    to += usize(panel * depth) * FLOAT;
  }
}

/** `depth` vectors of up to four lanes, `toStep` bytes apart. */
function packFour(to: usize, toStep: usize, from: usize, lane: i32, step: i32, lanes: i32, depth: i32): void {
  let p = 0;
  if (lanes == 4 && lane == 1) {
    const fromStep = usize(step) * FLOAT;
    for (; p < depth; p++) {
      v128.store(to, v128.load(from));
      to += toStep;
      from += fromStep;
    }
    return;
  }
  const second = from + usize(lane) * FLOAT;
  const third = second + usize(lane) * FLOAT;
  const fourth = third + usize(lane) * FLOAT;
  let at: usize = 0;
  if (lanes == 4 && step == 1) {
    for (; p + 4 <= depth; p += 4) {
      const x = v128.load(from + at);
      const y = v128.load(second + at);
      const z = v128.load(third + at);
      const w = v128.load(fourth + at);
      const xy = v128.shuffle<f32>(x, y, 0, 4, 1, 5);
      const zw = v128.shuffle<f32>(z, w, 0, 4, 1, 5);
      const xyHigh = v128.shuffle<f32>(x, y, 2, 6, 3, 7);
      const zwHigh = v128.shuffle<f32>(z, w, 2, 6, 3, 7);
      v128.store(to, v128.shuffle<f64>(xy, zw, 0, 2));
      v128.store(to + toStep, v128.shuffle<f64>(xy, zw, 1, 3));
      v128.store(to + 2 * toStep, v128.shuffle<f64>(xyHigh, zwHigh, 0, 2));
      v128.store(to + 3 * toStep, v128.shuffle<f64>(xyHigh, zwHigh, 1, 3));
      to += 4 * toStep;
      at += VECTOR;
    }
  }
  const fromStep = usize(step) * FLOAT;
  for (; p < depth; p++) {
    let x = f32x4.splat(0);
    if (lanes > 0) x = v128.load_lane<f32>(from + at, x, 0);
    if (lanes > 1) x = v128.load_lane<f32>(second + at, x, 1);
    if (lanes > 2) x = v128.load_lane<f32>(third + at, x, 2);
    if (lanes > 3) x = v128.load_lane<f32>(fourth + at, x, 3);
    v128.store(to, x);
    to += toStep;
    at += fromStep;
  }
}

/** Copies panels of `panel` lanes, which lie `panelStep` bytes apart, back into rows of `lanes` floats. */
export function unpack(
  to: usize,
  toStep: usize,
  from: usize,
  panelStep: usize,
  panel: i32,
  lanes: i32,
  depth: i32,
): void {
  for (let first = 0; first < lanes; first += panel) {
    const bytes = usize(min(panel, lanes - first)) * FLOAT;
    let source = from;
    let target = to + usize(first) * FLOAT;
    for (let p = 0; p < depth; p++) {
      let i: usize = 0;
      for (; i + VECTOR <= bytes; i += VECTOR) v128.store(target + i, v128.load(source + i));
      for (; i < bytes; i += FLOAT) store<f32>(target + i, load<f32>(source + i));
      source += usize(panel) * FLOAT;
      target += toStep;
    }
    from += panelStep;
  }
}
