import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import test from 'node:test';
import { grpcFrame } from '../../src/protocol/grpc/message-reader.js';
import { engines } from '../support/engines.js';
import { GrpcServer, type ServerCall } from '../support/grpc-peers.js';
import { http2Cluster } from '../support/http2-config.js';
import { eventually } from '../support/peers.js';
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
}
