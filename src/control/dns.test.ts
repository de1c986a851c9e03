import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '../base/log.js';
import { StatsStore } from '../base/stats.js';
import type { ClusterConfig, EndpointConfig } from '../proxy/runtime.js';
import { DnsCluster, type Resolve } from './dns.js';

const endpoint = (ip: string, port = 80): EndpointConfig => ({
  address: { ip, port },
  hostname: '',
  weight: 1,
  priority: 0,
  locality: { region: '', zone: '', subZone: '' },
  health: 'UNKNOWN',
});

function watch(
  resolve: Resolve,
  options: { discovery?: ClusterConfig['discovery']; family?: ClusterConfig['dns']['family']; endpoints?: EndpointConfig[] } = {},
) {
  const store = new StatsStore();
  const stats = {
    attempt: store.counter('attempt'),
    success: store.counter('success'),
    failure: store.counter('failure'),
    empty: store.counter('empty'),
    noRebuild: store.counter('no_rebuild'),
  };
  const config = {
    name: 'c',
    discovery: options.discovery ?? 'STRICT_DNS',
    endpoints: options.endpoints ?? [endpoint('web.test')],
    dns: { refreshMs: 60_000, respectTtl: false, family: options.family ?? 'V4_ONLY', failureRefreshMs: 60_000 },
  } as unknown as ClusterConfig;
  const seen: string[][] = [];
  const cluster = new DnsCluster(config, resolve, stats, silentLogger(), (endpoints) =>
    seen.push(endpoints.map(({ address, hostname }) => ('ip' in address ? `${hostname}=${address.ip}:${address.port}` : address.path))),
  );
  return { cluster, stats, seen };
}

test('a strict cluster has every address of its names', async () => {
  const { cluster, seen, stats } = watch(async () => [{ ip: '10.0.0.2' }, { ip: '10.0.0.1' }]);
  await cluster.start();
  cluster.stop();
  assert.deepEqual(seen, [['web.test=10.0.0.1:80', 'web.test=10.0.0.2:80']]);
  assert.equal(stats.success.value, 1);
});

test('a logical cluster has the first address', async () => {
  const { cluster, seen } = watch(async () => [{ ip: '10.0.0.2' }, { ip: '10.0.0.1' }], { discovery: 'LOGICAL_DNS' });
  await cluster.start();
  cluster.stop();
  assert.deepEqual(seen, [['web.test=10.0.0.2:80']]);
});

test('an address is not resolved', async () => {
  const { cluster, seen } = watch(async () => assert.fail('asked'), { endpoints: [endpoint('127.0.0.1')] });
  await cluster.start();
  cluster.stop();
  assert.deepEqual(seen, [['=127.0.0.1:80']]);
});

for (const [family, expected] of [
  ['V4_ONLY', ['4']],
  ['V6_ONLY', ['6']],
  ['AUTO', ['6']],
  ['V4_PREFERRED', ['4']],
  ['ALL', ['4', '6']],
] as const) {
  test(`family ${family} asks for what it wants`, async () => {
    const { cluster, seen } = watch(async (_, version) => [{ ip: version === 4 ? '10.0.0.4' : 'fd00::6' }], { family });
    await cluster.start();
    cluster.stop();
    assert.deepEqual(
      seen[0].map((address) => (address.includes('fd00') ? '6' : '4')),
      expected,
    );
  });
}

test('AUTO takes IPv4 where there is no IPv6', async () => {
  const { cluster, seen } = watch(
    async (_, version) => {
      if (version === 6) throw new Error('none');
      return [{ ip: '10.0.0.4' }];
    },
    { family: 'AUTO' },
  );
  await cluster.start();
  cluster.stop();
  assert.deepEqual(seen, [['web.test=10.0.0.4:80']]);
});

test('a failure is counted, ends the first wait and leaves no host', async () => {
  const { cluster, seen, stats } = watch(async () => {
    throw new Error('SERVFAIL');
  });
  await cluster.start();
  cluster.stop();
  assert.deepEqual(seen, []);
  assert.equal(stats.failure.value, 1);
  assert.deepEqual(cluster.endpoints, []);
});
