import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import test from 'node:test';
import { grpcFrame } from '../../src/protocol/grpc/message-reader.js';
import { engines } from '../support/engines.js';
import { GrpcServer, type ServerCall } from '../support/grpc-peers.js';
import { http2Cluster } from '../support/http2-config.js';
import { eventually, Upstream } from '../support/peers.js';
import { httpConfig, RunningProxy } from '../support/running-proxy.js';

const check = (more = '', grpc = '') => `${http2Cluster()}
common_lb_config: { healthy_panic_threshold: { value: 0 } }
health_checks:
- { timeout: 0.2s, interval: 0.02s, no_traffic_interval: 0.02s, unhealthy_threshold: 2, healthy_threshold: 2, ${more} grpc_health_check: { ${grpc} } }`;
/** `HealthCheckResponse` with this status. */
const says = (call: ServerCall, status: number) => call.answer([Buffer.from([8, status]).toString('latin1')]);

for (const [engine, create] of engines()) {
  const setup = async (context: TestContext, cluster: string, onCall: (call: ServerCall) => void) => {
    const server = await GrpcServer.open(onCall);
    const proxy = new RunningProxy(create());
    context.after(async () => {
      await proxy.close();
      server.close();
    });
    await proxy.apply(httpConfig({ upstreams: [server.port], cluster }));
    const flags = () => proxy.proxy.clusterStatus()[0].hosts[0].healthFlags;
    const stat = (name: string) => proxy.stat(`cluster.up.health_check.${name}`);
    return { proxy, server, flags, stat };
  };
  test(`${engine}: a host is asked with the standard health service, and used when it serves`, async (context) => {
    const bodies: Buffer[] = [];
    const grpc = 'service_name: my.Service, authority: my.host, initial_metadata: [{ header: { key: x-token, value: secret } }]';
    const { server, flags, stat } = await setup(context, check('', grpc), (call) => {
      void call.body().then((body) => {
        bodies.push(body);
        says(call, 1);
      });
    });
    assert.equal(flags(), '/failed_active_hc');
    await eventually(() => flags() === 'healthy' && stat('success') >= 3, 'not found healthy');
    const { headers } = server.calls[0];
    assert.deepEqual(
      [headers[':method'], headers[':path'], headers[':authority'], headers['content-type'], headers.te, headers['user-agent'], headers['x-token']],
      ['POST', '/grpc.health.v1.Health/Check', 'my.host', 'application/grpc', 'trailers', 'Envoy/HC', 'secret'],
    );
    assert.deepEqual(Buffer.from(bodies[0]), Buffer.from(grpcFrame(Buffer.from('\n\x0amy.Service'))));
    assert.equal(server.connections, 1, 'one connection for all checks');
    assert.equal(stat('healthy'), 1);
  });
  test(`${engine}: a host that does not serve, fails, or says nothing is not used until it serves again`, async (context) => {
    let answer = (call: ServerCall) => says(call, 1);
    const { flags, stat } = await setup(context, check(), (call) => {
      call.stream.resume();
      answer(call);
    });
    await eventually(() => flags() === 'healthy', 'not found healthy');
    const bad: ((call: ServerCall) => void)[] = [
      (call) => says(call, 2),
      (call) => call.fail(12),
      (call) => call.answer(['\x08\x01'], 14),
      (call) => call.stream.respond({ ':status': 503 }, { endStream: true }),
      (call) => call.stream.close(2),
      (call) => call.stream.session?.destroy(),
      () => {},
    ];
    for (const [index, fails] of bad.entries()) {
      answer = fails;
      await eventually(() => flags() === '/failed_active_hc', `case ${index}: not found unhealthy`);
      answer = (call) => says(call, 1);
      await eventually(() => flags() === 'healthy', `case ${index}: not found healthy again`);
    }
    assert.ok(stat('failure') >= bad.length && stat('network_failure') >= 3);
  });
  test(`${engine}: without reuse_connection each check has a connection of its own`, async (context) => {
    const { server, stat } = await setup(context, check('reuse_connection: false,'), (call) => {
      call.stream.resume();
      says(call, 1);
    });
    await eventually(() => stat('success') >= 3, 'not checked');
    assert.ok(server.connections >= 3);
  });
  test(`${engine}: checks end with their cluster`, async (context) => {
    const { proxy, server, stat } = await setup(context, check(), (call) => {
      call.stream.resume();
      says(call, 1);
    });
    await eventually(() => stat('success') >= 1, 'not checked');
    await proxy.apply(httpConfig({ upstreams: [server.port], cluster: http2Cluster() }));
    const before = stat('attempt');
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(stat('attempt'), before);
    assert.equal(stat('healthy'), 0);
  });

  const http = (how: string, more = '') => `common_lb_config: { healthy_panic_threshold: { value: 0 } }
health_checks:
- { timeout: 0.2s, interval: 0.02s, no_traffic_interval: 0.02s, unhealthy_threshold: 3, healthy_threshold: 1, ${more} ${how} }`;
  /** Answers each request of a connection with what `next` gives. */
  const httpServer = async (context: TestContext, next: () => string | undefined) => {
    const upstream = await Upstream.open();
    const heads: string[] = [];
    upstream.onConnection = async (peer) => {
      while (!peer.isOver) {
        const head = await peer.receivesHead().catch(() => undefined);
        if (head === undefined) return;
        heads.push(head);
        const answer = next();
        if (answer !== undefined) peer.send(answer);
      }
    };
    const proxy = new RunningProxy(create());
    context.after(async () => {
      await proxy.close();
      upstream.close();
    });
    const flags = () => proxy.proxy.clusterStatus()[0].hosts[0].healthFlags;
    return { upstream, proxy, heads, flags };
  };
  test(`${engine}: hosts are asked over HTTP/1, and judged by their status`, { timeout: 15_000 }, async (context) => {
    let answer: string | undefined = 'HTTP/1.1 204 No Content\r\n\r\n';
    const { upstream, proxy, heads, flags } = await httpServer(context, () => answer);
    const how =
      'http_health_check: { path: /healthy, host: my.host, expected_statuses: [{ start: 200, end: 205 }], retriable_statuses: [{ start: 429, end: 430 }], request_headers_to_add: [{ header: { key: X-Check, value: "1" } }] }';
    await proxy.apply(httpConfig({ upstreams: [upstream.port], cluster: http(how) }));
    await eventually(() => flags() === 'healthy' && heads.length >= 3, 'not found healthy');
    assert.equal(heads[0].toLowerCase(), 'get /healthy http/1.1\r\nhost: my.host\r\nuser-agent: envoy/hc\r\nx-check: 1\r\n\r\n');
    assert.equal(upstream.connections.length, 1, 'one connection for all checks');
    answer = 'HTTP/1.1 429 Slow Down\r\ncontent-length: 4\r\n\r\nwait';
    await eventually(() => flags() === '/failed_active_hc', 'not found unhealthy');
    assert.ok(proxy.stat('cluster.up.health_check.network_failure') >= 3);
    answer = 'HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok';
    await eventually(() => flags() === 'healthy', 'not found healthy again');
    const { length } = upstream.connections;
    await eventually(() => upstream.connections.length > length, 'no new connection');
    for (const bad of ['HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n', 'nonsense\r\n\r\n', undefined]) {
      answer = bad;
      await eventually(() => flags() === '/failed_active_hc', `${bad}: not found unhealthy`);
      answer = `HTTP/1.1 200 OK\r\ncontent-length: 3000\r\n\r\n${'x'.repeat(3000)}`;
      await eventually(() => flags() === 'healthy', `${bad}: not found healthy again`);
    }
  });
  test(`${engine}: hosts are asked over HTTP/2, on another port`, { timeout: 15_000 }, async (context) => {
    const server = await GrpcServer.open((call) => call.stream.respond({ ':status': 200 }, { endStream: true }));
    const proxy = new RunningProxy(create());
    context.after(async () => {
      await proxy.close();
      server.close();
    });
    const how = 'http_health_check: { path: /, codec_client_type: HTTP2, method: HEAD }';
    await proxy.apply(httpConfig({ upstreams: [1], cluster: http(how, `alt_port: ${server.port},`) }));
    await eventually(() => proxy.stat('cluster.up.health_check.success') >= 2, 'not found healthy');
    assert.deepEqual([server.calls[0].headers[':method'], server.calls[0].headers[':authority'], server.connections], ['HEAD', 'up', 1]);
  });
  test(`${engine}: hosts are asked for a connection`, { timeout: 15_000 }, async (context) => {
    const { upstream, proxy, flags } = await httpServer(context, () => undefined);
    await proxy.apply(httpConfig({ upstreams: [upstream.port], cluster: http('tcp_health_check: {}') }));
    await eventually(() => flags() === 'healthy', 'not found healthy');
    upstream.close();
    await eventually(() => flags() === '/failed_active_hc', 'not found unhealthy');
  });
}
