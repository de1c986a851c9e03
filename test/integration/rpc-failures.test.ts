import assert from 'node:assert/strict';
import test from 'node:test';
import { editHeaderBlock } from '../../codecs/bolt/header-map.js';
import bolt from '../../codecs/bolt/index.js';
import { framing as boltFraming } from '../../codecs/bolt/spec.js';
import kv from '../../codecs/example/index.js';
import { framing, KIND, STATUS } from '../../codecs/example/spec.js';
import type { Frame } from '../../src/protocol/frame.js';
import { encodeFrame } from '../../src/protocol/frame-encoder.js';
import { engines } from '../support/engines.js';
import { eventually } from '../support/peers.js';
import { rpcSetup } from '../support/rpc-proxy.js';

const request = (id: number, text: string, kind: number = KIND.REQUEST) =>
  encodeFrame(framing, { fields: { kind, id }, sections: { body: Buffer.from(text) } });
const response = (to: Frame, text: string, status: number = STATUS.OK) =>
  encodeFrame(framing, { fields: { kind: KIND.RESPONSE, id: to.id, status }, sections: { body: Buffer.from(text) } });
const text = (frame: Frame) => Buffer.from(frame.section('body')).toString();
const route = (more: string) => `- { match: { prefix: / }, route: { cluster: up, ${more} } }`;

for (const [engine, create] of engines()) {
  test(`${engine}: an attempt that takes too long is given up, and made again; the late answer goes to nobody`, async (context) => {
    const held: Frame[] = [];
    const answer = (frame: Frame) => {
      held.push(frame);
      return held.length === 1 ? undefined : response(frame, `try ${held.length}`);
    };
    const routes = route('timeout: 5s, retry_policy: { retry_on: 5xx, per_try_timeout: 0.1s, num_retries: 2 }');
    const { upstream, connect, proxy } = await rpcSetup(context, create, { codecs: [kv], routes, answer });
    const client = await connect();
    client.send(request(1, 'get a'));
    assert.equal(text(await client.receives()), 'try 2');
    upstream.peers[0].send(response(held[0], 'late'));
    await eventually(() => proxy.stat('cluster.up.upstream_rq_late_response') === 1, 'the late answer');
    assert.equal(proxy.stat('cluster.up.upstream_rq_per_try_timeout'), 1);
    assert.equal(proxy.stat('cluster.up.upstream_rq_retry_success'), 1);
    assert.equal(proxy.stat('cluster.up.upstream_rq_active'), 0);
    assert.equal(client.frames.length, 1);
  });

  test(`${engine}: attempts that all take too long end with the answer for it`, async (context) => {
    const routes = route('timeout: 5s, retry_policy: { retry_on: 5xx, per_try_timeout: 0.05s, num_retries: 1 }');
    const { upstream, connect, proxy } = await rpcSetup(context, create, { codecs: [kv], routes, log: '%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%' });
    const client = await connect();
    client.send(request(1, 'get a'));
    assert.equal((await client.receives()).field('status'), STATUS.TIMEOUT);
    assert.equal(upstream.frames.length, 2);
    assert.deepEqual(await proxy.logged(1), ['UT,URX upstream_per_try_timeout']);
  });

  test(`${engine}: a status is tried again by its class; what the route does not name goes to the client`, async (context) => {
    const statuses = [STATUS.BUSY, STATUS.OK, STATUS.FAILED, STATUS.NOT_FOUND];
    const routes = route('retry_policy: { retry_on: gateway-error, num_retries: 3 }');
    const answer = (frame: Frame) => response(frame, '', statuses.shift());
    const { connect, proxy } = await rpcSetup(context, create, { codecs: [kv], routes, answer });
    const client = await connect();
    const got: number[] = [];
    for (let id = 1; id <= 3; id++) {
      client.send(request(id, 'get a'));
      got.push((await client.receives()).field('status'));
    }
    assert.deepEqual(got, [STATUS.OK, STATUS.FAILED, STATUS.NOT_FOUND]);
    assert.equal(proxy.stat('cluster.up.upstream_rq_retry'), 1);
    assert.deepEqual(
      [2, 4, 5].map((hundreds) => proxy.stat(`cluster.up.upstream_rq_${hundreds}xx`)),
      [1, 1, 2],
    );
    assert.deepEqual(
      [2, 4, 5].map((hundreds) => proxy.stat(`rpc.r.downstream_rq_${hundreds}xx`)),
      [1, 1, 1],
    );
  });

  test(`${engine}: retries stay within the budget; what is beyond it gets its first answer`, async (context) => {
    const routes = route('retry_policy: { retry_on: 5xx, num_retries: 1, retry_back_off: { base_interval: 0.2s, max_interval: 0.2s } }');
    const cluster = 'circuit_breakers: { thresholds: [{ retry_budget: { budget_percent: { value: 20 }, min_retry_concurrency: 1 } }] }';
    const answer = (frame: Frame) => response(frame, '', STATUS.FAILED);
    const { connect, proxy } = await rpcSetup(context, create, { codecs: [kv], routes, cluster, answer });
    const client = await connect();
    client.send(...[1, 2, 3, 4].map((id) => request(id, 'get a')));
    for (let i = 0; i < 4; i++) assert.equal((await client.receives()).field('status'), STATUS.FAILED);
    assert.equal(proxy.stat('cluster.up.upstream_rq_retry'), 1);
    assert.equal(proxy.stat('cluster.up.upstream_rq_retry_overflow'), 3);
  });

  test(`${engine}: a request larger than what is kept elsewhere is sent again whole`, async (context) => {
    let failures = 1;
    const answer = (frame: Frame) => response(frame, text(frame), failures-- > 0 ? STATUS.FAILED : STATUS.OK);
    const routes = route('retry_policy: { retry_on: 5xx, num_retries: 1 }');
    const { connect } = await rpcSetup(context, create, { codecs: [kv], routes, answer });
    const client = await connect();
    const body = 'put a '.padEnd(300_000, 'x');
    client.send(request(1, body));
    assert.equal(text(await client.receives()), body);
  });

  test(`${engine}: waiting for a connection counts towards the timeout of the route, and a client that leaves waits no longer`, async (context) => {
    const cluster = 'circuit_breakers: { thresholds: [{ max_connections: 1 }] }';
    const pingpong = { ...kv, name: 'kv-pingpong', pool: 'pingpong' as const };
    const { upstream, connect, proxy } = await rpcSetup(context, create, { codecs: [pingpong], cluster, routes: route('timeout: 0.2s') });
    const [one, two] = [await connect(), await connect()];
    one.send(request(1, 'get a'), request(2, 'get b'));
    two.send(request(3, 'get c'));
    await eventually(() => proxy.stat('cluster.up.upstream_rq_pending_active') === 2, 'two wait');
    two.close();
    await eventually(() => proxy.stat('cluster.up.upstream_rq_pending_active') === 1, 'one waits');
    assert.deepEqual([(await one.receives()).field('status'), (await one.receives()).field('status')], [STATUS.TIMEOUT, STATUS.TIMEOUT]);
    await eventually(() => proxy.stat('cluster.up.upstream_rq_active') === 0, 'nothing is open');
    assert.equal(proxy.stat('cluster.up.upstream_rq_pending_active'), 0);
    assert.ok(upstream.frames.length <= 2);
  });

  test(`${engine}: the access log has names, headers, bytes and times of a request`, async (context) => {
    const log =
      '%PROTOCOL% %REQ(:AUTHORITY)% %REQ(:METHOD)% %REQ(:PATH)% %REQ(TRACE)% %RESP(side)% %RESPONSE_CODE% %RESPONSE_FLAGS% ' +
      '%BYTES_RECEIVED% %BYTES_SENT% %UPSTREAM_WIRE_BYTES_SENT% %UPSTREAM_WIRE_BYTES_RECEIVED% %ROUTE_NAME% %UPSTREAM_CLUSTER% %UPSTREAM_REQUEST_ATTEMPT_COUNT% %DURATION% %RESPONSE_DURATION%';
    const headers = (of: Record<string, string>) => editHeaderBlock(new Uint8Array(0), new Map(Object.entries(of)));
    const call = (type: number, of: Record<string, string>) =>
      encodeFrame(boltFraming, {
        variant: 'v1-request',
        fields: { typeOrVer1: type, cmdcode: 1, ver2: 1, requestId: 5, codec: 1, timeout: 3000 },
        sections: { header: headers(of), content: Buffer.from('12345') },
      });
    const answer = (frame: Frame) =>
      encodeFrame(boltFraming, {
        variant: 'v1-response',
        fields: { cmdcode: 2, ver2: 1, requestId: frame.idLow, codec: 1, respstatus: 0 },
        sections: { header: headers({ side: 'server' }) },
      });
    const routes = '- { name: main, match: { prefix: / }, route: { cluster: up } }';
    const { connect, proxy } = await rpcSetup(context, create, {
      codecs: [bolt],
      routes,
      log,
      answer: (frame) => (frame.kind === 1 ? answer(frame) : undefined),
    });
    const client = await connect();
    const sent = call(1, { service: 'a.B:1.0', sofa_head_method_name: 'hello', trace: 'größe' });
    client.send(sent);
    const got = await client.receives();
    const oneway = call(2, { service: 'a.B:1.0' });
    client.send(oneway);
    const lines = await proxy.logged(2);
    const trace = Buffer.from('größe').toString('latin1');
    const wire = `${sent.length} ${got.length} ${sent.length} ${got.length}`;
    assert.match(lines[0], new RegExp(`^bolt a\\.B:1\\.0 hello /a\\.B:1\\.0/hello ${trace} server 200 - ${wire} main up 1 \\d+ \\d+$`));
    assert.match(lines[1], new RegExp(`^bolt a\\.B:1\\.0 - /a\\.B:1\\.0/ - - 0 - ${oneway.length} 0 ${oneway.length} 0 main up 1 \\d+ -$`));
  });
}
