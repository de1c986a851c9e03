import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StatsStore } from '../../base/stats.js';
import { formatJson, formatPrometheus, formatText } from './format.js';
import { StatsView } from './stats-view.js';
import { TagExtractor, tagRules } from './tags.js';

/** A view with one store for each thread number. */
function viewOf(...threads: number[]): { view: StatsView; stores: StatsStore[] } {
  const view = new StatsView();
  return { view, stores: threads.map((thread) => new StatsStore((definition, slab) => view.attach(thread, definition, slab))) };
}

test('sums counters and gauges of all threads by name', () => {
  const { view, stores } = viewOf(1, 2);
  for (const store of stores) store.counter('cluster.a.upstream_rq_total').inc(2);
  stores[0].gauge('listener.x.downstream_cx_active').set(5);
  assert.equal(view.value('cluster.a.upstream_rq_total'), 4);
  assert.equal(view.value('listener.x.downstream_cx_active'), 5);
  assert.equal(view.value('nothing'), undefined);
});

test('what every worker holds once is not counted twice', () => {
  const { view, stores } = viewOf(1, 2);
  for (const store of stores) store.gauge('cluster.a.membership_total').set(3);
  assert.equal(view.value('cluster.a.membership_total'), 3);
});

test('counters of a thread that ended stay in the sum, its gauges do not', () => {
  const { view, stores } = viewOf(1, 2);
  for (const store of stores) {
    store.counter('requests').inc(10);
    store.gauge('active').set(1);
    store.histogram('time').record(7);
  }
  view.detach(1);
  assert.equal(view.value('requests'), 10 + 10);
  assert.equal(view.value('active'), 1);
  const [histogram] = view.read((name) => name === 'time');
  assert.ok(histogram.kind === 'histogram');
  assert.equal(histogram.cumulative.count, 2);
});

test('a gauge set to 0 is used, one never set is not, and a counter is used once above 0', () => {
  const { view, stores } = viewOf(1);
  stores[0].gauge('server.state').set(0);
  stores[0].gauge('untouched');
  const up = stores[0].gauge('up_and_down');
  up.inc();
  up.dec();
  stores[0].counter('zero');
  stores[0].counter('one').inc();
  assert.deepEqual(
    view.read().map(({ name, used }) => [name, used]),
    [
      ['one', true],
      ['server.state', true],
      ['untouched', false],
      ['up_and_down', true],
      ['zero', false],
    ],
  );
});

test('resetting counters leaves gauges, and counting goes on from 0', () => {
  const { view, stores } = viewOf(1);
  const counter = stores[0].counter('requests');
  counter.inc(5);
  stores[0].gauge('active').set(2);
  view.resetCounters();
  assert.equal(view.value('requests'), 0);
  assert.equal(view.value('active'), 2);
  counter.inc();
  assert.equal(view.value('requests'), 1);
});

test('refuses a name that another thread has with another kind', () => {
  const { stores } = viewOf(1, 2);
  stores[0].counter('x');
  assert.throws(() => stores[1].gauge('x'), /x is a counter, not a gauge/);
});

test('text: values sorted by name, then histograms with interval and cumulative quantiles', () => {
  const { view, stores } = viewOf(1);
  stores[0].counter('b').inc(2);
  stores[0].gauge('a').set(1);
  stores[0].histogram('empty');
  const time = stores[0].histogram('time');
  for (let i = 1; i <= 4; i++) time.record(i);
  assert.equal(
    formatText(view.read()),
    'a: 1\nb: 2\nempty: No recorded values\n' +
      'time: P0(nan,1) P25(nan,1) P50(nan,2) P75(nan,3) P90(nan,4) P95(nan,4) P99(nan,4) P99.5(nan,4) P99.9(nan,4) P100(nan,4)\n',
  );
  view.flush();
  time.record(9);
  assert.match(formatText(view.read()), /P0\(1,1\).*P100\(4,9\)/);
  view.flush();
  assert.match(formatText(view.read()), /P0\(9,1\).*P100\(9,9\)/);
});

test('JSON: values, then one object with the histograms', () => {
  const { view, stores } = viewOf(1);
  stores[0].counter('requests').inc(3);
  stores[0].histogram('time').record(1000);
  const { stats } = JSON.parse(formatJson(view.read()));
  assert.deepEqual(stats[0], { name: 'requests', value: 3 });
  assert.equal(stats[1].histograms.supported_quantiles[7], 99.5);
  assert.equal(stats[1].histograms.computed_quantiles[0].name, 'time');
  assert.equal(stats[1].histograms.computed_quantiles[0].values[9].interval, null);
});

test('Prometheus: one family for all clusters, tags as labels, buckets that grow', () => {
  const { view, stores } = viewOf(1);
  stores[0].counter('cluster.web.upstream_rq_200').inc(7);
  stores[0].counter('cluster.api.upstream_rq_503').inc(1);
  stores[0].gauge('server.live').set(1);
  const time = stores[0].histogram('cluster.web.upstream_rq_time');
  for (const ms of [3, 30, 300]) time.record(ms);
  const text = formatPrometheus(view.read(), new TagExtractor());
  assert.ok(
    text.startsWith(
      '# TYPE envoy_cluster_upstream_rq counter\n' +
        'envoy_cluster_upstream_rq{envoy_response_code="503",envoy_cluster_name="api"} 1\n' +
        'envoy_cluster_upstream_rq{envoy_response_code="200",envoy_cluster_name="web"} 7\n\n',
    ),
    text,
  );
  assert.match(text, /# TYPE envoy_server_live gauge\nenvoy_server_live\{\} 1\n/);
  assert.match(text, /envoy_cluster_upstream_rq_time_bucket\{envoy_cluster_name="web",le="5"\} 1\n/);
  assert.match(text, /envoy_cluster_upstream_rq_time_bucket\{envoy_cluster_name="web",le="50"\} 2\n/);
  assert.match(text, /_bucket\{envoy_cluster_name="web",le="\+Inf"\} 3\nenvoy_cluster_upstream_rq_time_sum\{envoy_cluster_name="web"\} 333\n/);
});

test('Prometheus: a custom namespace of Istio is shown without prefix', () => {
  const { view, stores } = viewOf(1);
  stores[0].counter('istiocustom.istio_requests_total').inc();
  assert.match(formatPrometheus(view.read(), new TagExtractor()), /^# TYPE istio_requests_total counter\nistio_requests_total\{\} 1\n/);
});

for (const [name, family, tags] of [
  ['cluster.web.upstream_rq_2xx', 'cluster.upstream_rq_xx', { 'envoy.response_code_class': '2', 'envoy.cluster_name': 'web' }],
  ['http.ingress.downstream_rq_4xx', 'http.downstream_rq_xx', { 'envoy.response_code_class': '4', 'envoy.http_conn_manager_prefix': 'ingress' }],
  ['listener.0.0.0.0_8080.downstream_cx_total', 'listener.downstream_cx_total', { 'envoy.listener_address': '0.0.0.0_8080' }],
  [
    'listener.0.0.0.0_8080.http.in.downstream_rq_2xx',
    'listener.http.downstream_rq_xx',
    { 'envoy.response_code_class': '2', 'envoy.http_conn_manager_prefix': 'in', 'envoy.listener_address': '0.0.0.0_8080' },
  ],
  [
    'listener.0.0.0.0_80.worker_3.downstream_cx_total',
    'listener.worker_downstream_cx_total',
    { 'envoy.listener_address': '0.0.0.0_80', 'envoy.worker_id': '3' },
  ],
  ['tcp.echo.downstream_cx_total', 'tcp.downstream_cx_total', { 'envoy.tcp_prefix': 'echo' }],
  ['vhost.v.vcluster.c.upstream_rq_total', 'vhost.vcluster.upstream_rq_total', { 'envoy.virtual_cluster': 'c', 'envoy.virtual_host': 'v' }],
] as const) {
  test(`tags of ${name}`, () => {
    const extracted = new TagExtractor().extract(name);
    assert.equal(extracted.family, family);
    assert.deepEqual(Object.fromEntries(extracted.tags.map((tag) => [tag.name, tag.value])), tags);
  });
}

test('configured tags come first, and can stand alone', () => {
  const rules = tagRules(
    [
      { tagName: 'cluster_name', regex: '^cluster\\.((.+?(\\..+?\\.svc\\.cluster\\.local)?)\\.)' },
      { tagName: 'zone', fixedValue: 'a' },
    ],
    false,
  );
  assert.deepEqual(new TagExtractor(rules).extract('cluster.a.b.svc.cluster.local.upstream_rq_200'), {
    family: 'cluster.upstream_rq_200',
    tags: [
      { name: 'cluster_name', value: 'a.b.svc.cluster.local' },
      { name: 'zone', value: 'a' },
    ],
  });
  assert.throws(() => tagRules([{ tagName: 'x', regex: '(' }]), /stats tag x/);
});
