import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { CallbackSink, LogHub } from '../../base/log.js';
import { StatsStore } from '../../base/stats.js';
import { StatsView } from '../stats/stats-view.js';
import { TagExtractor } from '../stats/tags.js';
import { AdminServer, parseQuery } from './admin-server.js';
import type { AdminBackend, DrainRequest, ServerState } from './backend.js';

/** A backend with real statistics and a real log; what it is told to do is written down. */
class TestBackend implements AdminBackend {
  readonly stats = new StatsView();
  readonly store = new StatsStore((definition, slab) => this.stats.attach(0, definition, slab));
  readonly tags = new TagExtractor();
  bucketsOf = () => [1, 10];
  readonly hub = new LogHub({ level: 'warning', sink: new CallbackSink(() => {}) });
  readonly calls: unknown[] = [];
  current: ServerState = 'LIVE';
  state = () => this.current;
  serverInfo = () => ({ version: 'sluice/1.2.3', state: this.current, uptime_current_epoch: '12s' });
  clusters = async () => [
    {
      name: 'web',
      observabilityName: 'web',
      addedViaApi: false,
      circuitBreakers: [{ priority: 'DEFAULT' as const, maxConnections: 1024, maxPending: 1024, maxRequests: 1024, maxRetries: 3 }],
      hosts: [
        {
          address: { socket_address: { address: '10.0.0.1', port_value: 80 } },
          hostname: 'web.local',
          stats: [{ name: 'cx_total', value: 4, kind: 'counter' as const }],
          edsHealth: 'UNHEALTHY' as const,
          failedActiveHealthCheck: false,
          failedOutlierCheck: false,
          weight: 1,
          priority: 0,
          locality: { region: 'r', zone: 'z', subZone: '' },
        },
      ],
    },
  ];
  listeners = () => [{ name: 'in', addresses: [{ socket_address: { address: '::1', port_value: 8080 } }] }];
  configDump = ({ includeEds }: { includeEds: boolean }) => [
    { '@type': 'type.googleapis.com/envoy.admin.v3.BootstrapConfigDump', bootstrap: { node: { id: 'n' }, admin: {} } },
    {
      '@type': 'type.googleapis.com/envoy.admin.v3.ClustersConfigDump',
      static_clusters: [{ cluster: { name: 'web' } }, { cluster: { name: 'api' } }],
    },
    ...(includeEds ? [{ '@type': 'type.googleapis.com/envoy.admin.v3.EndpointsConfigDump', static_endpoint_configs: [] }] : []),
  ];
  logLevels = () => this.hub.levels();
  setLogLevel: AdminBackend['setLogLevel'] = (level, component) =>
    component === undefined ? this.hub.setLevel(level) : this.hub.setComponentLevel(component, level);
  drainListeners = (request: DrainRequest) => void this.calls.push(['drain', request]);
  failHealthcheck = (failed: boolean) => {
    this.current = failed ? 'DRAINING' : 'LIVE';
  };
  quit = () => void this.calls.push('quit');
  memory = () => ({ allocated: 1, heapSize: 3, physical: 4, external: 0 });
  resetCounters = () => this.stats.resetCounters();
  reopenLogs = () => void this.calls.push('reopen');
  runtime = () => ({ layers: [], entries: {} });
  certificates = () => ({ certificates: [] });
  initDump = () => ({});
}

describe('admin server', () => {
  let backend: TestBackend;
  let server: AdminServer;
  let base: string;
  beforeEach(async () => {
    backend = new TestBackend();
    server = new AdminServer(backend, backend.hub.logger('admin'));
    const address = await server.listen({ ip: '127.0.0.1', port: 0 });
    base = `http://127.0.0.1:${'port' in address ? address.port : 0}`;
  });
  afterEach(() => server.close(0));

  const get = async (path: string, init: RequestInit = {}): Promise<{ status: number; text: string; type: string }> => {
    const response = await fetch(base + path, { ...init, headers: { connection: 'close', ...(init.headers as Record<string, string>) } });
    return { status: response.status, text: await response.text(), type: response.headers.get('content-type') ?? '' };
  };
  const post = (path: string, init: RequestInit = {}) => get(path, { method: 'POST', ...init });

  test('/ready is 200 only while live', async () => {
    assert.deepEqual(await get('/ready'), { status: 200, text: 'LIVE\n', type: 'text/plain; charset=UTF-8' });
    assert.equal((await post('/healthcheck/fail')).text, 'OK\n');
    assert.deepEqual(await get('/ready'), { status: 503, text: 'DRAINING\n', type: 'text/plain; charset=UTF-8' });
    await post('/healthcheck/ok');
    assert.equal((await get('/ready')).status, 200);
  });

  for (const path of ['/healthcheck/fail', '/healthcheck/ok', '/quitquitquit', '/drain_listeners', '/logging', '/reset_counters', '/reopen_logs']) {
    test(`${path} takes POST only`, async () => {
      assert.deepEqual(await get(path), { status: 405, text: 'Method Not Allowed', type: 'text/plain; charset=UTF-8' });
      assert.deepEqual(backend.calls, []);
    });
  }

  test('a page of another site cannot change anything', async () => {
    assert.equal((await post('/quitquitquit', { headers: { 'sec-fetch-site': 'cross-site' } })).status, 403);
    assert.deepEqual(backend.calls, []);
    assert.equal((await post('/quitquitquit')).text, 'OK\n');
    assert.deepEqual(backend.calls, ['quit']);
  });

  test('/stats filters by a raw regular expression and by use', async () => {
    backend.store.gauge('server.state').set(0);
    backend.store.gauge('listener_manager.workers_started').set(1);
    backend.store.gauge('server.stale');
    backend.store.counter('other').inc();
    assert.equal(
      (await get('/stats?usedonly&filter=^(server\\.state|listener_manager\\.workers_started)')).text,
      'listener_manager.workers_started: 1\nserver.state: 0\n',
    );
    assert.equal((await get('/stats?filter=server')).text, 'server.stale: 0\nserver.state: 0\n');
    assert.equal((await get('/stats?filter=(')).status, 400);
    assert.equal((await get('/stats?format=xml')).status, 400);
    assert.equal((await get('/stats?type=Counters')).text, 'other: 1\n');
    assert.deepEqual(JSON.parse((await get('/stats?format=json&type=Counters')).text), { stats: [{ name: 'other', value: 1 }] });
    assert.match((await get('/stats/prometheus')).text, /^# TYPE envoy_other counter\nenvoy_other\{\} 1\n/);
  });

  test('/stats leaves out the counters of single hosts unless asked', async () => {
    backend.store.counter('cluster.web.endpoint.10_0_0_1_80.rq_total').inc();
    assert.equal((await get('/stats')).text, '');
    assert.equal((await get('/stats?hidden=include')).text, 'cluster.web.endpoint.10_0_0_1_80.rq_total: 1\n');
  });

  test('/clusters and /listeners as text and as JSON', async () => {
    const { text } = await get('/clusters');
    assert.match(text, /^web::observability_name::web\nweb::default_priority::max_connections::1024\n/);
    assert.match(text, /\nweb::10\.0\.0\.1:80::cx_total::4\n/);
    assert.match(text, /\nweb::10\.0\.0\.1:80::health_flags::\/failed_eds_health\n/);
    const json = JSON.parse((await get('/clusters?format=json')).text);
    assert.equal(json.cluster_statuses[0].host_statuses[0].address.socket_address.port_value, 80);
    assert.equal(json.cluster_statuses[0].host_statuses[0].stats[0].value, '4');
    assert.equal((await get('/listeners')).text, 'in::[::1]:8080\n');
    assert.equal(JSON.parse((await get('/listeners?format=json')).text).listener_statuses[0].local_address.socket_address.port_value, 8080);
  });

  test('/config_dump with mask, resource, name and endpoints', async () => {
    const configs = async (query: string) => JSON.parse((await get(`/config_dump${query}`)).text).configs;
    assert.equal((await configs('')).length, 2);
    assert.equal((await configs('?include_eds')).length, 3);
    assert.deepEqual(await configs('?mask=bootstrap.node'), [
      { '@type': 'type.googleapis.com/envoy.admin.v3.BootstrapConfigDump', bootstrap: { node: { id: 'n' } } },
    ]);
    assert.equal((await configs('?mask=dynamic_active_clusters,static_clusters'))[0].static_clusters.length, 2);
    assert.deepEqual(await configs('?resource=static_clusters&name_regex=w.*'), [
      { '@type': 'type.googleapis.com/envoy.admin.v3.ClustersConfigDump.StaticCluster', cluster: { name: 'web' } },
    ]);
    assert.equal((await get('/config_dump?resource=nothing')).status, 404);
    assert.equal((await get('/config_dump?resource=bootstrap')).status, 400);
    assert.equal((await get('/config_dump?mask=nothing')).status, 400);
  });

  test('/logging shows and changes levels', async () => {
    assert.match((await post('/logging')).text, /^active loggers:\n {2}admin: warning\n/);
    assert.match((await post('/logging?router=debug')).text, / {2}router: debug\n/);
    assert.match((await post('/logging?paths=http:trace,upstream:error')).text, / {2}http: trace\n/);
    assert.equal(backend.hub.levels().get('upstream'), 'error');
    await post('/logging?level=info');
    assert.equal(backend.hub.levels().get('router'), 'info');
    for (const bad of ['level=loud', 'nothing=debug', 'paths=router']) assert.equal((await post(`/logging?${bad}`)).status, 400, bad);
  });

  test('/drain_listeners hands on what was asked', async () => {
    assert.equal((await post('/drain_listeners?inboundonly&graceful')).text, 'OK\n');
    assert.deepEqual(backend.calls, [['drain', { graceful: true, inboundOnly: true, skipExit: false }]]);
    assert.equal((await post('/drain_listeners?skip_exit')).status, 400);
  });

  test('/reset_counters', async () => {
    backend.store.counter('requests').inc(3);
    await post('/reset_counters');
    assert.equal((await get('/stats')).text, 'requests: 0\n');
  });

  test('the fields of a form on the page count like a query', async () => {
    await post('/logging', { body: new URLSearchParams({ level: '', paths: 'router:error' }) });
    assert.equal(backend.hub.levels().get('router'), 'error');
  });

  test('the page lists every endpoint, and changes are forms', async () => {
    const { text, type } = await get('/');
    assert.equal(type, 'text/html; charset=UTF-8');
    for (const path of ['stats', 'config_dump', 'server_info', 'listeners'])
      assert.ok(text.includes(`action="${path}"`) || text.includes(`href="${path}"`), path);
    assert.match(text, /<form [^>]*method="post" action="quitquitquit">/);
    assert.doesNotMatch(text, /https?:\/\//);
  });

  test('/help and a wrong path list the commands', async () => {
    assert.match((await get('/help')).text, /^admin commands are:\n {2}\/: Admin home page\n/);
    const wrong = await get('/nothing');
    assert.equal(wrong.status, 404);
    assert.match(wrong.text, /^invalid path\. admin commands are:\n/);
  });

  for (const path of ['/server_info', '/memory', '/runtime', '/certs', '/init_dump', '/contention']) {
    test(`${path} answers JSON`, async () => {
      const { status, text, type } = await get(path);
      assert.equal(status, 200);
      assert.equal(type, 'application/json');
      assert.equal(typeof JSON.parse(text), 'object');
    });
  }

  test('/stats?histogram_buckets= shows counts by bucket, as text and JSON', async () => {
    const histogram = backend.store.histogram('h');
    for (const value of [0, 7, 40]) histogram.record(value);
    assert.equal((await get('/stats?histogram_buckets=cumulative')).text, 'h: B1(0,1) B10(0,2)\n');
    assert.equal((await get('/stats?histogram_buckets=disjoint')).text, 'h: B1(0,1) B10(0,1)\n');
    assert.match(
      (await get('/stats?histogram_buckets=detailed')).text,
      /^h:\n {2}totals=0,1:1, 7,1:1, 40,1:1\n {2}intervals=\n {2}summary=P0\(nan,0\) /,
    );
    assert.deepEqual(JSON.parse((await get('/stats?format=json&histogram_buckets=cumulative')).text), {
      stats: [
        {
          histograms: [
            {
              name: 'h',
              buckets: [
                { upper_bound: 1, interval: 0, cumulative: 1 },
                { upper_bound: 10, interval: 0, cumulative: 2 },
              ],
            },
          ],
        },
      ],
    });
    assert.equal((await get('/stats?histogram_buckets=some')).status, 400);
  });

  test('/hot_restart_version', async () => assert.equal((await get('/hot_restart_version')).text, 'disabled\n'));

  test('a second server on the same port fails with the address', async () => {
    const second = new AdminServer(backend, backend.hub.logger('admin'));
    await assert.rejects(second.listen({ ip: '127.0.0.1', port: Number(new URL(base).port) }), /cannot listen on admin 127\.0\.0\.1:\d+: EADDRINUSE/);
  });
});

test('a query keeps plus signs and broken escapes as they are', () => {
  assert.deepEqual(
    [...parseQuery('a=x+y%2B%5E&b&c=%zz&d=%ff')],
    [
      ['a', 'x+y+^'],
      ['b', ''],
      ['c', '%zz'],
      ['d', '%ff'],
    ],
  );
});
