import assert from 'node:assert/strict';
import test from 'node:test';
import { StatsStore } from '../../base/stats.js';
import { grpcFrame } from '../../protocol/grpc/message-reader.js';
import { type TimerOwner, TimerWheel } from '../../stream/timers.js';
import { Cluster } from '../cluster/cluster.js';
import type { ClusterConfig, EndpointConfig, HealthCheckConfig } from '../runtime.js';
import { HealthChecker, type ProbeOwner } from './health-check.js';
import { servingStatus } from './questions.js';

const BREAKERS = { maxConnections: 1024, maxPending: 1024, maxRequests: 1024, maxRetries: 3 };
const endpoint = (port: number): EndpointConfig => ({
  address: { ip: '127.0.0.1', port },
  hostname: '',
  weight: 1,
  priority: 0,
  locality: { region: '', zone: '', subZone: '' },
  health: 'UNKNOWN',
});
const CHECK: HealthCheckConfig = {
  how: { kind: 'tcp' },
  reuseConnection: true,
  timeoutMs: 100,
  intervalMs: 1000,
  initialJitterMs: 0,
  intervalJitterMs: 0,
  intervalJitterPercent: 0,
  unhealthyThreshold: 3,
  healthyThreshold: 2,
  noTrafficIntervalMs: 60_000,
  noTrafficHealthyIntervalMs: 30_000,
  unhealthyIntervalMs: 500,
  unhealthyEdgeIntervalMs: 250,
  healthyEdgeIntervalMs: 2000,
  altPort: 0,
};

/** Timers that fire when told to; their deadlines are seen. */
class HandWheel extends TimerWheel {
  readonly started: { owner: TimerOwner; kind: number; ms: number }[] = [];
  constructor() {
    super({ now: 0 });
  }
  override start(deadline: number, owner: TimerOwner, kind: number): number {
    return this.started.push({ owner, kind, ms: Math.round(deadline - this.now) });
  }
  override stop(): void {}
  /** Fires the last timer. */
  fire(): void {
    const last = this.started.at(-1);
    last?.owner.onTimer(last.kind, 0);
  }
  get nextMs(): number {
    return this.started.at(-1)?.ms ?? -1;
  }
}

function setup(change: Partial<HealthCheckConfig> = {}) {
  const stats = new StatsStore();
  const wheel = new HandWheel();
  const config = {
    name: 'up',
    statName: 'up',
    discovery: 'STATIC',
    endpoints: [endpoint(1)],
    lb: 'ROUND_ROBIN',
    choiceCount: 2,
    panicThreshold: 0,
    breakers: { DEFAULT: BREAKERS, HIGH: BREAKERS },
    healthCheck: { ...CHECK, ...change },
    configured: {},
  } as unknown as ClusterConfig;
  const cluster = new Cluster(config, stats);
  const probe = { starts: 0, cancels: 0, closed: false, owner: undefined as ProbeOwner | undefined };
  const make = (_host: unknown, owner: ProbeOwner) => {
    probe.owner = owner;
    return { start: () => probe.starts++, cancel: () => probe.cancels++, close: () => (probe.closed = true) };
  };
  const checker = new HealthChecker(cluster, { ...CHECK, ...change }, stats, wheel, make as never, () => 0.5);
  /** Runs one check with a result. */
  const check = (result: Parameters<ProbeOwner['probed']>[0]) => {
    wheel.fire();
    probe.owner?.probed(result);
  };
  const stat = (name: string) => {
    const definition = stats.definitions.get(`cluster.up.health_check.${name}`);
    return definition === undefined ? -1 : stats.slabs[definition.slab][definition.index];
  };
  return { cluster, checker, wheel, probe, check, stat, host: cluster.hosts[0] };
}

test('a host is unhealthy until its first check, which alone makes it healthy', () => {
  const { cluster, check, host, stat } = setup();
  assert.equal(cluster.choose(), undefined);
  assert.equal(host.healthFlags, '/failed_active_hc');
  check('healthy');
  assert.equal(cluster.choose(), host);
  assert.deepEqual([host.healthFlags, stat('attempt'), stat('success'), stat('healthy')], ['healthy', 1, 1, 1]);
});
test('answers that do not come count towards the threshold, one that says unhealthy at once', () => {
  const { check, host, stat } = setup();
  check('healthy');
  check('network');
  check('network');
  assert.equal(host.health, 'healthy');
  check('healthy');
  check('network');
  check('network');
  check('network');
  assert.equal(host.health, 'unhealthy');
  check('healthy');
  assert.equal(host.health, 'unhealthy');
  check('healthy');
  assert.equal(host.health, 'healthy');
  check('unhealthy');
  assert.equal(host.health, 'unhealthy');
  assert.deepEqual([stat('failure'), stat('network_failure'), stat('healthy')], [6, 5, 0]);
});
test('a check that takes too long is cancelled and has failed', () => {
  const { check, wheel, probe, host } = setup({ unhealthyThreshold: 1 });
  check('healthy');
  wheel.fire();
  assert.equal(wheel.nextMs, 100);
  wheel.fire();
  assert.deepEqual([probe.cancels, host.health], [1, 'unhealthy']);
  probe.owner?.probed('healthy');
  assert.equal(host.health, 'unhealthy');
});
test('the next check comes by what was found, and seldom where there is no traffic', () => {
  const { check, wheel, cluster } = setup();
  const after = (result: 'healthy' | 'unhealthy') => {
    check(result);
    return wheel.nextMs;
  };
  assert.equal(after('healthy'), 30_000);
  assert.equal(after('unhealthy'), 60_000);
  cluster.stats.cxTotal.inc();
  assert.deepEqual([after('unhealthy'), after('healthy'), after('healthy'), after('healthy'), after('unhealthy')], [500, 500, 2000, 1000, 250]);
});
test('jitter is added, before the first check as well', () => {
  const { check, wheel, cluster } = setup({ initialJitterMs: 80, intervalJitterMs: 100, intervalJitterPercent: 10, healthyEdgeIntervalMs: 1000 });
  assert.equal(wheel.nextMs, 40);
  cluster.stats.cxTotal.inc();
  check('healthy');
  assert.equal(wheel.nextMs, 1000 + 50 + 50);
});
test('hosts that come are checked, and those that go are not', () => {
  const { cluster, checker, probe } = setup();
  cluster.onHostAdded = (host) => checker.add(host);
  cluster.onHostRemoved = (host) => checker.remove(host);
  const first = probe.owner;
  cluster.update([endpoint(2)]);
  assert.equal(probe.closed, true);
  assert.notEqual(probe.owner, first);
  assert.equal(cluster.hosts[0].health, 'unhealthy');
});

test('an answer of the health service is one whole message with a status', () => {
  const message = (...bytes: number[]) => grpcFrame(Uint8Array.from(bytes));
  assert.equal(servingStatus(message(8, 1)), 1);
  assert.equal(servingStatus(message(8, 2)), 2);
  assert.equal(servingStatus(message()), 0);
  assert.equal(servingStatus(message(18, 1, 65, 8, 1)), 1);
  for (const bad of [
    Buffer.alloc(0),
    Buffer.from([0, 0, 0, 0, 9, 8, 1]),
    grpcFrame(Uint8Array.of(8, 1), 1),
    message(8),
    Buffer.concat([message(8, 1), message(8, 1)]),
  ])
    assert.equal(servingStatus(bad), -1);
});
