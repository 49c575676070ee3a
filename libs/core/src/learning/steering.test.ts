import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  type Alarm,
  checkpointed,
  initialSteering,
  judge,
  rolledBack,
  type SteeringConfig,
  type SteeringState,
} from './index.js';
import { median, robustly } from './robust.js';

const config: SteeringConfig = {
  policy: 'skip',
  zScore: 10,
  window: 16,
  rateFactor: 0.5,
  maxRollbacks: 2,
};

/** Judges a curve of losses, the gradient's norm being 1 or as given, and tells what was done at each step. */
function steer(
  losses: readonly number[],
  changes: Partial<SteeringConfig> = {},
  gradNorms: readonly number[] = losses.map(() => 1),
) {
  let state: SteeringState = initialSteering;
  const alarms: (Alarm | null)[] = [];
  const actions = losses.map((loss, index) => {
    const step = { number: index + 1, loss, gradNorm: gradNorms[index] };
    const judgement = judge({ ...config, ...changes }, state, step);
    state = judgement.state;
    alarms.push(judgement.alarm);
    return judgement.action;
  });
  return { state, actions, alarms };
}

const calm = Array.from({ length: 30 }, (_, i) => 3 - i / 50 + (i % 3) / 10);

test('the median and its deviation are those of the sorted list, whatever a tenth of the values is', () => {
  assert.equal(median([5, 1, 3]), 3);
  assert.equal(median([4, 1, 3, 2]), 2.5);
  // 1 … 9: median 5, distances 0 1 1 2 2 3 3 4 4.
  const { deviation } = robustly([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  assert.ok(Math.abs(deviation - 1.4826 * 2) < 1e-12);
  assert.deepEqual(robustly([1, 2, 3, 4, 5, 6, 7, 8, 1e9]), robustly([1, 2, 3, 4, 5, 6, 7, 8, 9]));
});

test('a curve that falls, with noise, raises no alarm under any policy', () => {
  const noise = fc.array(fc.double({ min: -0.1, max: 0.1, noNaN: true }), { minLength: 100, maxLength: 100 });
  fc.assert(
    fc.property(noise, fc.constantFrom('warn', 'skip', 'rollback', 'stop'), (noise, policy) => {
      const losses = noise.map((value, i) => 1.5 + 2.4 * 0.97 ** i + value);
      const { actions } = steer(losses, { policy });
      assert.ok(actions.every((action) => action === 'take'));
    }),
  );
});

test('one spike is skipped with its numbers, warned of by none of the others', () => {
  const spike = [...calm, 9, 2.4];
  const { actions, alarms, state } = steer(spike);
  assert.equal(actions[30], 'skip');
  assert.equal(actions[31], 'take');
  const alarm = alarms[30];
  assert.ok(alarm);
  const { median, deviation } = robustly(calm.slice(-16));
  assert.deepEqual(
    { ...alarm, zScore: Math.round(alarm.zScore ?? 0) },
    {
      signal: 'loss',
      value: 9,
      limit: Math.min(1.05 * calm[0], median + 10 * deviation),
      median,
      zScore: Math.round((9 - median) / deviation),
      inARow: 1,
    },
  );
  assert.ok(!state.losses.includes(9), 'a step that was not taken is no measure for others');
  for (const policy of ['warn', 'rollback', 'stop'] as const) {
    assert.ok(steer(spike, { policy }).actions.every((action) => action === 'take'));
  }
});

test('a gradient that bursts is suspicious while the loss is not', () => {
  const norms = [...calm.map((_, i) => 1 + (i % 5) / 20), 40];
  const { actions, alarms } = steer([...calm, 2.5], {}, norms);
  assert.equal(actions.at(-1), 'skip');
  assert.equal(alarms.at(-1)?.signal, 'gradNorm');
});

test('a loss above that of the new model is suspicious before there is a window to compare with', () => {
  assert.deepEqual(steer([4, 4.19]).actions, ['take', 'take']);
  assert.deepEqual(steer([4, 4.21]).actions, ['take', 'skip']);
});

for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
  test(`a loss or a gradient of ${value} is never taken`, () => {
    const acted = (policy: SteeringConfig['policy']) => [
      steer([3, value], { policy }).actions[1],
      steer([3, 3], { policy }, [1, value]).actions[1],
    ];
    assert.deepEqual(acted('warn'), ['skip', 'skip']);
    assert.deepEqual(acted('skip'), ['skip', 'skip']);
    assert.deepEqual(acted('rollback'), ['rollback', 'rollback']);
    assert.deepEqual(acted('stop'), ['fail', 'fail']);
  });
}

test('what does not come back ends the run', () => {
  const lost = [...calm, 7, 7, 7, 7, 7];
  const last = (policy: SteeringConfig['policy']) => steer(lost, { policy }).actions.slice(30);
  assert.deepEqual(last('skip'), ['skip', 'skip', 'skip', 'skip', 'fail']);
  assert.deepEqual(last('stop').slice(0, 3), ['take', 'take', 'fail']);
  assert.deepEqual(last('rollback').slice(0, 3), ['take', 'take', 'rollback']);
  assert.deepEqual(last('warn'), ['take', 'take', 'take', 'take', 'take']);
});

test('each rollback lowers the rate, as often as is allowed', () => {
  const rollback = { ...config, policy: 'rollback' } as const;
  let state: SteeringState = { ...initialSteering, losses: [9], gradNorms: [9] };
  state = rolledBack(rollback, state, { losses: [3], gradNorms: [1] });
  assert.deepEqual(state, { ...initialSteering, losses: [3], gradNorms: [1], rateFactor: 0.5, rollbacks: 1 });
  state = rolledBack(rollback, state, null);
  assert.deepEqual([state.rateFactor, state.losses], [0.25, []]);
  const step = { number: 9, loss: Number.NaN, gradNorm: 1 };
  assert.equal(judge(rollback, state, step).action, 'fail');
});

test('a checkpoint is good once half a window went by without an alarm, and one that was saved in trouble is not', () => {
  let state = checkpointed(initialSteering, 10);
  const at = (number: number, loss = 3) => {
    state = judge({ ...config, policy: 'warn' }, state, { number, loss, gradNorm: 1 }).state;
  };
  state = checkpointed(state, 12); // 10 is at it
  at(17);
  assert.deepEqual([state.good, state.candidate], [0, 10]);
  at(18, 30);
  assert.deepEqual([state.good, state.candidate], [0, 10], 'an alarm delays it');
  assert.equal(checkpointed({ ...state, candidate: null }, 18).candidate, null);
  at(19);
  assert.deepEqual([state.good, state.candidate], [10, null]);
  assert.equal(checkpointed(state, 20).candidate, 20);
});
