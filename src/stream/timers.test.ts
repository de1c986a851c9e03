import assert from 'node:assert/strict';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type TimerOwner, TimerWheel } from './timers.js';

const clock = {
  get now() {
    return performance.now();
  },
};
/** Notes what fires, with how late it was. */
class Recorder implements TimerOwner {
  readonly fired: { kind: number; now: number }[] = [];
  onTimer(kind: number, now: number): void {
    this.fired.push({ kind, now });
  }
  get kinds(): number[] {
    return this.fired.map(({ kind }) => kind);
  }
}
/** The wheel's timer does not keep the process alive; the sleep of a test does. */
const until = async (done: () => boolean, ms = 2000) => {
  for (const end = performance.now() + ms; !done() && performance.now() < end; ) await sleep(5);
};

test('fires in order of the deadlines, never early', async () => {
  const wheel = new TimerWheel(clock);
  const owner = new Recorder();
  const begin = clock.now;
  for (const [kind, ms] of [
    [3, 60],
    [1, 10],
    [2, 35],
  ])
    wheel.start(begin + ms, owner, kind);
  await until(() => owner.fired.length === 3);
  assert.deepEqual(owner.kinds, [1, 2, 3]);
  for (const [index, ms] of [10, 35, 60].entries()) assert.ok(owner.fired[index].now >= begin + ms, `${owner.fired[index].now - begin} < ${ms}`);
  assert.equal(wheel.size, 0);
  wheel.close();
});

test('a stopped timer does not fire, and stopping it again leaves its successor alone', async () => {
  const wheel = new TimerWheel(clock);
  const owner = new Recorder();
  const first = wheel.start(clock.now + 10, owner, 1);
  wheel.stop(first);
  wheel.start(clock.now + 10, owner, 2);
  wheel.stop(first);
  wheel.stop(0);
  await until(() => owner.fired.length > 0);
  assert.deepEqual(owner.kinds, [2]);
  wheel.close();
});

test('a deadline in the past fires at the next tick, once', async () => {
  const wheel = new TimerWheel(clock);
  const owner = new Recorder();
  wheel.start(clock.now - 1000, owner, 7);
  await until(() => owner.fired.length > 0);
  await sleep(30);
  assert.deepEqual(owner.kinds, [7]);
  wheel.close();
});

test('an owner may start and stop timers while it is called', async () => {
  const wheel = new TimerWheel(clock);
  const seen: number[] = [];
  let other = 0;
  const owner: TimerOwner = {
    onTimer(kind, now) {
      seen.push(kind);
      if (kind !== 1) return;
      wheel.stop(other);
      wheel.start(now, owner, 3);
    },
  };
  wheel.start(clock.now + 16, owner, 1);
  other = wheel.start(clock.now + 400, owner, 2);
  await until(() => seen.length === 2);
  assert.deepEqual(seen, [1, 3]);
  assert.equal(wheel.size, 0);
  wheel.close();
});

test('a timer further away than one round of the wheel waits for its round', async () => {
  const wheel = new TimerWheel(clock);
  const owner = new Recorder();
  const far = wheel.start(clock.now + 8192 + 20, owner, 1);
  wheel.start(clock.now + 20, owner, 2);
  await until(() => owner.fired.length > 0);
  await sleep(50);
  assert.deepEqual(owner.kinds, [2]);
  assert.equal(wheel.size, 1);
  wheel.stop(far);
  wheel.close();
});

test('thousands of timers that are started and stopped need no more entries than run at once', () => {
  const wheel = new TimerWheel(clock);
  const owner = new Recorder();
  for (let round = 0; round < 10_000; round++) wheel.stop(wheel.start(clock.now + 15_000, owner, round));
  assert.equal(wheel.size, 0);
  const many = Array.from({ length: 5000 }, (_, kind) => wheel.start(clock.now + 15_000, owner, kind));
  assert.equal(wheel.size, 5000);
  for (const id of many) wheel.stop(id);
  assert.equal(wheel.size, 0);
  wheel.close();
});
