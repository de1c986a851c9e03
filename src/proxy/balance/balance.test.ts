import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BalancerOptions, Candidate } from './balancer.js';
import { type BalancedHost, HostSet } from './host-set.js';
import { leastRequest } from './least-request.js';
import { priorityLoad } from './priority-load.js';
import { randomChoice } from './random.js';
import { roundRobin } from './round-robin.js';

/** A reproducible sequence (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
const options = (seed = 1): BalancerOptions => ({ random: seeded(seed), choiceCount: 2 });
interface Named extends Candidate {
  name: string;
  active: number;
}
const host = (name: string, weight = 1, active = 0): Named => ({ name, weight, active });
function tally(pick: () => { name: string } | undefined, draws: number): Record<string, number> {
  const counts: Record<string, number> = {};
  for (let i = 0; i < draws; i++) {
    const name = pick()?.name ?? 'none';
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

test('round robin takes equal hosts in turn', () => {
  const balancer = roundRobin([host('a'), host('b'), host('c')], options());
  assert.deepEqual(
    tally(() => balancer.pick(), 9),
    { a: 3, b: 3, c: 3 },
  );
});
test('round robin keeps to weights, and spreads the heavy host out', () => {
  const balancer = roundRobin([host('a', 5), host('b', 1), host('c', 2)], options());
  const order = Array.from({ length: 80 }, () => balancer.pick()?.name).join('');
  const counts = tally(() => balancer.pick(), 800);
  for (const [name, share] of [
    ['a', 500],
    ['b', 100],
    ['c', 200],
  ] as const)
    assert.ok(Math.abs(counts[name] - share) <= 1, `${name}: ${counts[name]}`);
  assert.ok(!order.includes('aaaaaa'), order);
});
for (const [name, make] of Object.entries({ roundRobin, randomChoice, leastRequest })) {
  test(`${name} of no host gives none`, () => {
    assert.equal(make<Named>([], options()).pick(), undefined);
  });
}
test('random takes hosts evenly whatever their weights', () => {
  const balancer = randomChoice([host('a', 10), host('b', 1)], options());
  const counts = tally(() => balancer.pick(), 2000);
  assert.ok(Math.abs(counts.a - 1000) < 100);
});
test('least request prefers the idle host', () => {
  const hosts = [host('busy', 1, 10), host('idle', 1, 0)];
  const counts = tally(() => leastRequest(hosts, options()).pick(), 1);
  assert.equal(Object.values(counts)[0], 1);
  const balancer = leastRequest(hosts, options());
  const many = tally(() => balancer.pick(), 1000);
  // Both draws must hit the busy one for it to be taken: a quarter.
  assert.ok(many.busy < 320 && many.idle > 680, JSON.stringify(many));
});
test('least request with weights lowers the share of a busy host', () => {
  const hosts = [host('a', 2, 0), host('b', 1, 0)];
  const balancer = leastRequest(hosts, options());
  const idle = tally(() => balancer.pick(), 300);
  assert.ok(Math.abs(idle.a - 200) <= 2, JSON.stringify(idle));
  hosts[0].active = 3;
  tally(() => balancer.pick(), 10);
  const busy = tally(() => balancer.pick(), 300);
  assert.ok(Math.abs(busy.a - 100) <= 3, JSON.stringify(busy));
});

// Envoy's documentation, "Priority levels": per cent of healthy endpoints in each level, and per cent of traffic.
const documented: [levels: number[], traffic: number[]][] = [
  [
    [100, 100],
    [100, 0],
  ],
  [
    [72, 100],
    [100, 0],
  ],
  [
    [71, 100],
    [99, 1],
  ],
  [
    [50, 100],
    [70, 30],
  ],
  [
    [25, 100],
    [35, 65],
  ],
  [
    [0, 100],
    [0, 100],
  ],
  [
    [25, 25],
    [50, 50],
  ],
  [
    [25, 20],
    [56, 44],
  ],
  [
    [100, 100, 100],
    [100, 0, 0],
  ],
  [
    [25, 100, 100],
    [35, 65, 0],
  ],
  [
    [25, 25, 100],
    [35, 35, 30],
  ],
  [
    [25, 25, 20],
    [36, 36, 28],
  ],
];
for (const [levels, traffic] of documented) {
  test(`levels ${levels.join('/')} % healthy take ${traffic.join('/')} % of the load`, () => {
    const loads = priorityLoad(
      levels.map((healthy) => ({ total: 100, healthy, degraded: 0 })),
      0,
    );
    loads.forEach((load, i) => {
      assert.ok(Math.abs(load.healthyPercent - traffic[i]) <= 1, JSON.stringify(loads));
    });
    assert.equal(
      loads.reduce((sum, load) => sum + load.healthyPercent, 0),
      100,
    );
  });
}
// Envoy's documentation, "Panic threshold", two levels at the default of 50 %.
const panics: [levels: number[], panic: boolean[]][] = [
  [
    [72, 72],
    [false, false],
  ],
  [
    [71, 71],
    [false, false],
  ],
  [
    [50, 60],
    [false, false],
  ],
  [
    [25, 100],
    [false, false],
  ],
  [
    [25, 25],
    [true, true],
  ],
  [
    [5, 65],
    [true, false],
  ],
];
for (const [levels, panic] of panics) {
  test(`levels ${levels.join('/')} % healthy: panic ${panic.join('/')}`, () => {
    const loads = priorityLoad(
      levels.map((healthy) => ({ total: 100, healthy, degraded: 0 })),
      50,
    );
    assert.deepEqual(
      loads.map((load) => load.panic),
      panic,
    );
  });
}
test('degraded hosts take what healthy ones cannot', () => {
  const [load] = priorityLoad([{ total: 10, healthy: 5, degraded: 5 }], 50);
  assert.deepEqual(load, { healthyPercent: 70, degradedPercent: 30, panic: false });
});
test('rounding leaves no per cent to nobody', () => {
  for (let healthy = 0; healthy <= 7; healthy++) {
    const loads = priorityLoad(
      [
        { total: 7, healthy, degraded: 1 },
        { total: 3, healthy: 1, degraded: 0 },
        { total: 9, healthy: 1, degraded: 2 },
      ],
      0,
    );
    assert.equal(
      loads.reduce((sum, load) => sum + load.healthyPercent + load.degradedPercent, 0),
      100,
    );
  }
});

const balanced = (name: string, health: BalancedHost['health'], priority = 0): Named & BalancedHost => ({ ...host(name), health, priority });
const setOptions = { kind: 'ROUND_ROBIN', panicThreshold: 50, ...options() } as const;
test('a host set leaves unhealthy hosts out', () => {
  const set = new HostSet([balanced('a', 'healthy'), balanced('b', 'unhealthy'), balanced('c', 'healthy')], setOptions);
  assert.deepEqual(
    tally(() => set.pick(), 100),
    { a: 50, c: 50 },
  );
});
test('a host set in panic uses all its hosts and says so', () => {
  let panics = 0;
  const set = new HostSet([balanced('a', 'unhealthy'), balanced('b', 'unhealthy')], setOptions, () => panics++);
  assert.deepEqual(
    tally(() => set.pick(), 100),
    { a: 50, b: 50 },
  );
  assert.equal(panics, 100);
});
test('a host set without panic gives no unhealthy host', () => {
  const set = new HostSet([balanced('a', 'unhealthy')], { ...setOptions, panicThreshold: 0 });
  assert.equal(set.pick(), undefined);
});
test('a host set without hosts gives none', () => {
  assert.equal(new HostSet<Named & BalancedHost>([], setOptions).pick(), undefined);
});
test('a host set falls over to the next priority', () => {
  const set = new HostSet([balanced('a', 'unhealthy'), balanced('b', 'healthy', 1)], setOptions);
  assert.deepEqual(
    tally(() => set.pick(), 20),
    { b: 20 },
  );
});
