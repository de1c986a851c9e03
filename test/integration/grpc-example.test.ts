import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { grpcFrame } from '../../src/protocol/grpc/message-reader.js';
import { engines } from '../support/engines.js';
import { GrpcClient, GrpcServer, type ServerCall } from '../support/grpc-peers.js';
import { eventually } from '../support/peers.js';
import { RunningProxy } from '../support/running-proxy.js';

const EXAMPLE = readFileSync(fileURLToPath(new URL('../../../examples/grpc.yaml', import.meta.url)), 'utf8');
const SAY_HELLO = '/helloworld.Greeter/SayHello';
/** Serves, and echoes what it is told. */
const serve = (call: ServerCall) => {
  const isCheck = call.headers[':path'] === '/grpc.health.v1.Health/Check';
  void call.body().then((body) => call.answer([isCheck ? '\x08\x01' : body.subarray(5).toString()]));
};

for (const [engine, create] of engines()) {
  test(`${engine}: examples/grpc.yaml serves gRPC and gRPC-Web, retries, counts and checks health`, { timeout: 15_000 }, async (context) => {
    const servers = [await GrpcServer.open(serve), await GrpcServer.open(serve)];
    const proxy = new RunningProxy(create());
    const yaml = EXAMPLE.replaceAll('10000', '0').replaceAll('50051', `${servers[0].port}`).replaceAll('50052', `${servers[1].port}`);
    await proxy.apply(yaml);
    const client = new GrpcClient(proxy.port('grpc'));
    context.after(async () => {
      client.close();
      await proxy.close();
      for (const server of servers) server.close();
    });
    const flags = () => proxy.proxy.clusterStatus()[0].hosts.map((host) => host.healthFlags);
    await eventually(
      () => flags().every((flag) => flag === 'healthy'),
      () => flags().join(),
    );
    const answer = await client.call(SAY_HELLO, { 'grpc-timeout': '5S' });
    assert.deepEqual([answer.status, answer.body], ['0', Buffer.from(grpcFrame(Buffer.from('hi')))]);
    const web = await client.call(SAY_HELLO, { 'content-type': 'application/grpc-web+proto' });
    assert.deepEqual([web.headers['content-type'], web.trailers], ['application/grpc-web+proto', {}]);
    assert.equal((await client.call('/other.Service/Method')).status, '12');
    // One of the two is about to stop: nobody notices.
    servers[0].onCall = (call) => {
      call.stream.resume();
      call.fail(14);
    };
    for (let i = 0; i < 4; i++) assert.equal((await client.call(SAY_HELLO)).status, '0');
    assert.ok(proxy.stat('cluster.greeter.upstream_rq_retry_success') >= 1);
    assert.equal(proxy.stat('cluster.greeter.grpc.helloworld.Greeter.SayHello.success'), 6);
    assert.match((await proxy.logged(7))[0], /^\/helloworld\.Greeter\/SayHello OK \d+ ms, 127\.0\.0\.1:\d+ via_upstream$/);
  });
}
