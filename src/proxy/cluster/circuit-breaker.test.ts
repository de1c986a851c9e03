import assert from 'node:assert/strict';
import test from 'node:test';
import { StatsStore } from '../../base/stats.js';
import type { Breakers } from '../runtime.js';
import { type BreakerUse, breakerMemory, ownBreakerUse, releaseBreakers, sharedBreakerUse } from './breaker-use.js';
import { CircuitBreakers } from './circuit-breaker.js';

const LIMITS: Breakers = { maxConnections: 3, maxPending: 3, maxRequests: 3, maxRetries: 1 };
const made = (limits: Partial<Breakers> = {}, use: BreakerUse = ownBreakerUse(), priority: 'DEFAULT' | 'HIGH' = 'DEFAULT') => {
  const stats = new StatsStore();
  return {
    breakers: new CircuitBreakers({ ...LIMITS, ...limits }, stats, 'b.', use, priority),
    open: (gauge: string) => stats.gauge(`b.${gauge}`).value,
  };
};

test('takes up to its bound, says so in the gauge, and takes again what was given back', () => {
  const { breakers, open } = made();
  const { requests } = breakers;
  assert.deepEqual([requests.tryAdd(), requests.tryAdd(), open('rq_open')], [true, true, 0]);
  assert.deepEqual([requests.tryAdd(), requests.tryAdd(), requests.inUse, open('rq_open')], [true, false, 3, 1]);
  requests.remove();
  assert.deepEqual([requests.inUse, requests.hasRoom, open('rq_open')], [2, true, 0]);
});

test('a bound of 0 is open from the start', () => {
  const { breakers, open } = made({ maxRetries: 0 });
  assert.deepEqual([breakers.tryRetry(), open('rq_retry_open'), open('cx_open')], [false, 1, 0]);
});

test('resources and priorities are counted apart, also in the same memory', () => {
  const use = sharedBreakerUse(breakerMemory(1), 0);
  const normal = made({}, use).breakers;
  const high = made({}, use, 'HIGH').breakers;
  for (const breaker of [normal.connections, normal.pending, normal.requests, normal.retries, high.requests]) breaker.add();
  normal.requests.add();
  assert.deepEqual(
    [normal, high].map(({ connections, pending, requests, retries }) => [connections, pending, requests, retries].map(({ inUse }) => inUse)),
    [
      [1, 1, 2, 1],
      [0, 0, 1, 0],
    ],
  );
});

test('the bound holds over all workers; what a lost worker had taken is given back', () => {
  const memory = breakerMemory(2);
  const [first, second] = [0, 1].map((worker) => made({}, sharedBreakerUse(memory, worker)).breakers.requests);
  first.add();
  first.add();
  assert.deepEqual([second.tryAdd(), second.tryAdd(), first.tryAdd(), first.inUse], [true, false, false, 3]);
  releaseBreakers(memory, 0);
  assert.deepEqual([second.inUse, second.tryAdd(), second.tryAdd(), second.tryAdd()], [1, true, true, false]);
});

test('a retry budget is a share of the requests in flight, and never less than its minimum', () => {
  const { breakers, open } = made({ maxRequests: 100, maxRetries: 0, retryBudget: { percent: 20, minConcurrency: 2 } });
  assert.deepEqual([breakers.tryRetry(), breakers.tryRetry(), breakers.tryRetry(), open('rq_retry_open')], [true, true, false, 1]);
  for (let i = 0; i < 19; i++) breakers.requests.add();
  assert.deepEqual([breakers.tryRetry(), breakers.tryRetry(), open('rq_retry_open')], [true, false, 1]);
});
