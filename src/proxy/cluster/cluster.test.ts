import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StatsStore } from '../../base/stats.js';
import type { ClusterConfig, EndpointConfig } from '../runtime.js';
import { Cluster, MAX_ORIGINAL_DST_HOSTS } from './cluster.js';
import { ClusterManager } from './cluster-manager.js';

const endpoint = (ip: string, more: Partial<EndpointConfig> = {}): EndpointConfig => ({
  address: { ip, port: 80 },
  hostname: '',
  weight: 1,
  priority: 0,
  locality: { region: '', zone: '', subZone: '' },
  health: 'UNKNOWN',
  ...more,
});
const breakers = { maxConnections: 2, maxPending: 1, maxRequests: 1, maxRetries: 0 };
const config = (more: Partial<ClusterConfig> = {}): ClusterConfig => ({
  name: 'c',
  statName: 'c',
  discovery: 'STATIC',
  endpoints: [endpoint('10.0.0.1'), endpoint('10.0.0.2')],
  dns: { refreshMs: 5000, respectTtl: false, family: 'AUTO', failureRefreshMs: 5000 },
  connectTimeoutMs: 5000,
  lb: 'ROUND_ROBIN',
  choiceCount: 2,
  panicThreshold: 50,
  breakers: { DEFAULT: breakers, HIGH: breakers },
  bufferLimitBytes: 1,
  idleTimeoutMs: 0,
  http: { protocol: 'http1', streams: {}, keepAlive: undefined, maxConcurrentStreams: 1024 },
  maxRequestsPerConnection: 0,
  maxConnectionDurationMs: 0,
  maxStreamDurationMs: 0,
  maxResponseHeadBytes: 1,
  maxResponseHeaders: 1,
  properCase: false,
  socket: {},
  source: undefined,
  configured: {},
  ...more,
});
const value = (stats: StatsStore, name: string) => stats.gauge(`cluster.c.${name}`).value;

test('an update keeps the hosts whose address stays', () => {
  const stats = new StatsStore();
  const cluster = new Cluster(config(), stats);
  const [first, second] = cluster.hosts;
  const removed: string[] = [];
  cluster.onHostRemoved = (host) => removed.push(host.key);
  cluster.update([endpoint('10.0.0.3'), endpoint('10.0.0.2', { weight: 5, health: 'UNHEALTHY' }), endpoint('10.0.0.3')]);
  assert.deepEqual(
    cluster.hosts.map(({ key }) => key),
    ['10.0.0.3:80', '10.0.0.2:80'],
  );
  assert.equal(cluster.hosts[1], second);
  assert.deepEqual([second.weight, second.health, second.healthFlags], [5, 'unhealthy', '/failed_eds_health']);
  assert.deepEqual([removed, first.removed], [['10.0.0.1:80'], true]);
  assert.deepEqual([value(stats, 'membership_total'), value(stats, 'membership_healthy'), value(stats, 'max_host_weight')], [2, 1, 5]);
  assert.equal(stats.counter('cluster.c.membership_change').value, 2);
});
test('a host that was tried is avoided while there is another', () => {
  const cluster = new Cluster(config(), new StatsStore());
  const [first, second] = cluster.hosts;
  for (let i = 0; i < 10; i++) assert.equal(cluster.choose({ tried: [first], avoidAttempts: 5 }), second);
  assert.ok(cluster.choose({ tried: [first, second], avoidAttempts: 5 }));
});
test('host names wait for their addresses', () => {
  const cluster = new Cluster(config({ discovery: 'STRICT_DNS', endpoints: [endpoint('db.local')] }), new StatsStore());
  assert.equal(cluster.choose(), undefined);
  cluster.update([endpoint('10.0.0.9')]);
  assert.equal(cluster.choose()?.key, '10.0.0.9:80');
});
test('a cluster of original destinations makes its hosts, up to its bound', () => {
  const cluster = new Cluster(config({ discovery: 'ORIGINAL_DST', lb: 'CLUSTER_PROVIDED', endpoints: [] }), new StatsStore());
  assert.equal(cluster.choose(), undefined);
  const to = (n: number) => cluster.choose({ originalDst: { ip: '10.0.0.1', port: n } });
  const first = to(1);
  assert.equal(to(1), first);
  assert.ok(first);
  first.active = 1;
  const second = to(2);
  for (let n = 3; n <= MAX_ORIGINAL_DST_HOSTS + 1; n++) to(n);
  assert.equal(cluster.hosts.length, MAX_ORIGINAL_DST_HOSTS);
  assert.deepEqual([first.removed, second?.removed], [false, true]);
});
test('circuit breakers hold their bound and say when it is reached', () => {
  const stats = new StatsStore();
  const { connections, retries } = new Cluster(config(), stats).breakers.DEFAULT;
  const open = () => value(stats, 'circuit_breakers.default.cx_open');
  assert.deepEqual([connections.tryAdd(), open(), connections.tryAdd(), open(), connections.tryAdd()], [true, 0, true, 1, false]);
  connections.remove();
  assert.deepEqual([open(), connections.hasRoom], [0, true]);
  assert.deepEqual([retries.tryAdd(), value(stats, 'circuit_breakers.default.rq_retry_open')], [false, 1]);
});
test('responses are counted by code, class and origin', () => {
  const stats = new StatsStore();
  const cluster = new Cluster(config(), stats);
  cluster.stats.countResponse(503, false);
  cluster.stats.countResponse(200, true);
  const names = [
    'upstream_rq_completed',
    'upstream_rq_5xx',
    'upstream_rq_503',
    'external.upstream_rq_5xx',
    'internal.upstream_rq_2xx',
    'internal.upstream_rq_completed',
    'upstream_rq_4xx',
  ];
  assert.deepEqual(
    names.map((name) => stats.counter(`cluster.c.${name}`).value),
    [2, 1, 1, 1, 1, 1, 0],
  );
});
test('panic is counted', () => {
  const stats = new StatsStore();
  const cluster = new Cluster(config({ endpoints: [endpoint('10.0.0.1', { health: 'UNHEALTHY' })] }), stats);
  assert.ok(cluster.choose());
  assert.equal(stats.counter('cluster.c.lb_healthy_panic').value, 1);
});
test('the manager keeps clusters that did not change, and closes those that went', () => {
  const stats = new StatsStore();
  const manager = new ClusterManager(stats);
  const removed: Cluster[] = [];
  manager.onRemoved = (cluster) => removed.push(cluster);
  const map = (...configs: ClusterConfig[]) => new Map(configs.map((item) => [item.name, item]));
  manager.apply(map(config({ configured: { v: 1 } }), config({ name: 'd', statName: 'd' })));
  const [c, d] = [manager.get('c'), manager.get('d')];
  manager.apply(map(config({ configured: { v: 1 } })));
  assert.equal(manager.get('c'), c);
  assert.equal(manager.get('d'), undefined);
  manager.apply(map(config({ configured: { v: 2 } })));
  assert.notEqual(manager.get('c'), c);
  assert.deepEqual(removed, [d, c]);
  assert.equal(value(stats, 'membership_total'), 2);
  const counts = ['added', 'modified', 'removed'].map((what) => stats.counter(`cluster_manager.cluster_${what}`).value);
  assert.deepEqual(counts, [2, 1, 1]);
});
test('a changed DNS cluster keeps the addresses it has while its names are the same', () => {
  const manager = new ClusterManager(new StatsStore());
  const dns = (v: number) => new Map([['c', config({ discovery: 'STRICT_DNS', endpoints: [endpoint('db.local')], configured: { v } })]]);
  manager.apply(dns(1));
  assert.equal(manager.updateEndpoints('c', [endpoint('10.0.0.9')]), true);
  manager.apply(dns(2));
  assert.equal(manager.get('c')?.choose()?.key, '10.0.0.9:80');
  assert.equal(manager.updateEndpoints('none', []), false);
});

test('a host that is about to stop is avoided for a while, where there are others', (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const stats = new StatsStore();
  const cluster = new Cluster(config(), stats);
  const [leaving, other] = cluster.hosts;
  const chosen = () => new Set(Array.from({ length: 8 }, () => cluster.choose()));
  cluster.leaves(leaving);
  assert.deepEqual([...chosen()], [other]);
  assert.equal(leaving.healthFlags, '/going_away');
  cluster.leaves(other);
  assert.equal(chosen().size, 2);
  context.mock.timers.tick(15_000);
  assert.equal(chosen().size, 2);
  assert.equal(value(stats, 'membership_healthy'), 2);
});
