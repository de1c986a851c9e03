import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import test from 'node:test';
import { engines } from '../support/engines.js';
import { connect, eventually, Upstream } from '../support/peers.js';
import { clusterConfig, RunningProxy } from '../support/running-proxy.js';

const LOG = '%RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %UPSTREAM_CLUSTER%\\n';
const tcpFilter = (more = '') => `filters:
      - name: envoy.filters.network.tcp_proxy
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: t
          cluster: up
          access_log:
          - name: envoy.access_loggers.file
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
              path: /dev/null
              log_format: { text_format_source: { inline_string: "${LOG}" } }
          ${more}`;
const config = (ports: readonly number[], { more = '', chain = '', listener = '', cluster = '' } = {}) => `
static_resources:
  listeners:
  - name: tcp
    address: { socket_address: { address: 127.0.0.1, port_value: 0 } }
    ${listener}
    filter_chains:
    - ${chain === '' ? tcpFilter(more) : `${chain}\n      ${tcpFilter(more)}`}
  clusters:
${clusterConfig('up', ports, cluster)}
`;

for (const [engine, create] of engines()) {
  const setup = async (context: TestContext, options: Parameters<typeof config>[1] = {}, dead = false) => {
    const upstream = await Upstream.open();
    const proxy = new RunningProxy(create());
    context.after(async () => {
      await proxy.close();
      upstream.close();
    });
    await proxy.apply(config(dead ? [1] : [upstream.port], options));
    const client = await connect(proxy.port('tcp'));
    context.after(() => client.close());
    return { proxy, upstream, client };
  };

  test(`${engine}: bytes go both ways, half-closes too, and are counted`, async (context) => {
    const { proxy, upstream, client } = await setup(context);
    const up = await upstream.accepts();
    client.send('hello');
    await up.receives('hello');
    up.send('hi');
    await client.receives('hi');
    client.end();
    await up.receivesFin();
    up.send('bye').end();
    assert.equal(await client.receivesAll(), 'bye');
    assert.deepEqual(await proxy.logged(1), ['- 5 5 up']);
    await eventually(() => proxy.engine.connections === 0, 'a connection is left');
    assert.deepEqual(
      ['tcp.t.downstream_cx_total', 'tcp.t.downstream_cx_rx_bytes_total', 'tcp.t.downstream_cx_tx_bytes_total', 'cluster.up.upstream_cx_active'].map(
        (name) => proxy.stat(name),
      ),
      [1, 5, 5, 0],
    );
  });

  test(`${engine}: a server that speaks first is heard`, async (context) => {
    const { upstream, client } = await setup(context);
    (await upstream.accepts()).send('220 ready\r\n');
    await client.receives('220 ready\r\n');
  });

  test(`${engine}: nobody listens upstream: the client is closed, UF and URX`, async (context) => {
    const { proxy, client } = await setup(context, { more: 'max_connect_attempts: 2' }, true);
    await client.receivesAll();
    assert.deepEqual(await proxy.logged(1), ['UF,URX 0 0 up']);
    assert.equal(proxy.stat('cluster.up.upstream_cx_connect_fail'), 2);
    assert.equal(proxy.stat('cluster.up.upstream_cx_connect_attempts_exceeded'), 1);
    assert.equal(proxy.stat('cluster.up.upstream_cx_active'), 0);
  });

  test(`${engine}: an idle connection is closed on both sides`, async (context) => {
    const { proxy, upstream, client } = await setup(context, { more: 'idle_timeout: 0.15s' });
    const up = await upstream.accepts();
    await client.receivesAll();
    await up.receivesAll();
    assert.equal(proxy.stat('tcp.t.idle_timeout'), 1);
  });

  test(`${engine}: a connection ends when its longest duration is over`, async (context) => {
    const { proxy, client } = await setup(context, { more: 'max_downstream_connection_duration: 0.1s' });
    await client.receivesAll();
    assert.equal(proxy.stat('tcp.t.max_downstream_connection_duration'), 1);
  });

  test(`${engine}: the client's reset ends the upstream connection`, async (context) => {
    const { proxy, upstream, client } = await setup(context);
    const up = await upstream.accepts();
    client.reset();
    await up.receivesAll();
    await eventually(() => proxy.engine.connections === 0, 'a connection is left');
  });

  test(`${engine}: more connections than the circuit breaker allows are closed`, async (context) => {
    const { proxy, upstream } = await setup(context, { cluster: 'circuit_breakers: { thresholds: [{ max_connections: 1 }] }' });
    await upstream.accepts();
    const second = await connect(proxy.port('tcp'));
    await second.receivesAll();
    assert.deepEqual(await proxy.logged(1), ['UO 0 0 up']);
    assert.equal(proxy.stat('cluster.up.upstream_cx_overflow'), 1);
  });

  test(`${engine}: no chain matches: the connection is closed and counted`, async (context) => {
    const { proxy, client } = await setup(context, {
      chain: 'filter_chain_match: { source_prefix_ranges: [{ address_prefix: 10.0.0.0, prefix_len: 8 }] }',
    });
    await client.receivesAll();
    const [name] = ['no_filter_chain_match'];
    const port = proxy.port('tcp');
    const found = [`listener.127.0.0.1_${port}.${name}`, `listener.127.0.0.1_0.${name}`].map((stat) => proxy.stat(stat));
    assert.ok(found.includes(1), `${found}`);
  });

  test(`${engine}: a chain is chosen by what the bytes look like`, async (context) => {
    const inspector = `listener_filters:
    - name: envoy.filters.listener.http_inspector
      typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.listener.http_inspector.v3.HttpInspector }`;
    const { upstream, client, proxy } = await setup(context, {
      listener: inspector,
      chain: 'filter_chain_match: { application_protocols: ["http/1.1"] }',
    });
    client.send('GET / HTTP/1.1\r\n');
    const up = await upstream.accepts();
    await up.receives('GET / HTTP/1.1\r\n');
    const other = await connect(proxy.port('tcp'));
    other.send('\x01\x02\x03');
    await other.receivesAll();
    assert.equal(upstream.connections.length, 1);
  });
}
