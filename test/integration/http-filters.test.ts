/** The chain of stream filters in a running proxy, with filters made here: in both protocols, on both engines. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import test from 'node:test';
import type { ActiveFilters, FilterCall, HttpFilterConfig, LocalReply, StreamFilter } from '../../src/proxy/http/filters/chain.js';
import { VERDICT } from '../../src/proxy/http/filters/chain.js';
import type { HttpManagerConfig, RuntimeConfig } from '../../src/proxy/runtime.js';
import { engines } from '../support/engines.js';
import { GrpcClient } from '../support/grpc-peers.js';
import { connect, eventually, type Peer, Upstream } from '../support/peers.js';
import { httpConfig, RunningProxy } from '../support/running-proxy.js';

const GET = 'GET /a HTTP/1.1\r\nhost: a\r\n\r\n';
const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';
const refusal = (): LocalReply => ({
  status: 403,
  body: Buffer.from('denied'),
  contentType: 'text/plain',
  grpcStatus: -1,
  headers: [['x-why', 'test']],
});

/** A configuration with filters that no configuration names. */
function withFilters(config: RuntimeConfig, filters: readonly StreamFilter[]): RuntimeConfig {
  const [listener] = config.listeners;
  const [chain] = listener.chains;
  const configs = filters.map((stream, index): HttpFilterConfig => ({ name: `${index}`, disabled: false, create: () => ({ open: () => stream }) }));
  const filter: HttpManagerConfig = { ...(chain.filter as HttpManagerConfig), filters: configs };
  const changed = { ...chain, filter };
  return { ...config, listeners: [{ ...listener, chains: [changed], matchChain: () => changed }] };
}

for (const [engine, create] of engines()) {
  const setup = async (context: TestContext, filters: readonly StreamFilter[], routes?: string) => {
    const upstream = await Upstream.open();
    const proxy = new RunningProxy(create());
    const peers: Peer[] = [];
    context.after(async () => {
      for (const peer of peers) peer.close();
      await proxy.close();
      upstream.close();
    });
    const log = '%RESPONSE_CODE% %RESPONSE_CODE_DETAILS% %RESPONSE_FLAGS%\n';
    const yaml = httpConfig({ upstreams: [upstream.port], log, ...(routes === undefined ? {} : { routes }) });
    assert.deepEqual(await proxy.proxy.apply(withFilters(proxy.compile(yaml), filters)), []);
    peers.push(await connect(proxy.port('web')));
    return { proxy, upstream, client: peers[0] };
  };

  test(`${engine}: a filter stops a request and lets it go on later, body and all`, async (context) => {
    let stopped: FilterCall | undefined;
    const stopping: StreamFilter = {
      onRequestHead: (call) => {
        stopped = call;
        return VERDICT.STOP;
      },
    };
    const { upstream, client } = await setup(context, [stopping]);
    client.send('POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhe');
    await eventually(() => stopped !== undefined, 'not seen');
    client.send('llo');
    stopped?.resume();
    const up = await upstream.accepts();
    assert.match(await up.receivesHead(), /^POST \/a /);
    await up.receives('hello');
    up.send(OK);
    assert.match(await client.receivesHead(), /^HTTP\/1.1 200 /);
    await client.receives('ok');
  });
  test(`${engine}: a filter answers at once, or later, and the next request is served`, async (context) => {
    let later: FilterCall | undefined;
    let count = 0;
    const ended: number[] = [];
    const refusing: StreamFilter = {
      onRequestHead: (call) => {
        count++;
        if (count === 1) call.reply(refusal(), 'denied_by_test');
        else if (count === 2) later = call;
        return count < 3 ? VERDICT.STOP : VERDICT.CONTINUE;
      },
      onLocalReply: (_call, reply) => void reply.headers.push(['x-seen', 'yes']),
      onStreamEnd: ({ exchange }) => void ended.push(exchange.status),
    };
    const { proxy, upstream, client } = await setup(context, [refusing]);
    const refused = async () => {
      const head = await client.receivesHead();
      assert.match(head, /^HTTP\/1.1 403 /);
      assert.match(head, /x-why: test\r\nx-seen: yes\r\n/);
      await client.receives('denied');
    };
    client.send(GET);
    await refused();
    client.send(GET);
    await eventually(() => later !== undefined, 'not seen');
    later?.reply(refusal(), 'denied_later');
    await refused();
    // What comes too late does nothing.
    later?.reply(refusal(), 'again');
    later?.resume();
    client.send(GET);
    const up = await upstream.accepts();
    await up.receivesHead();
    up.send(OK);
    assert.match(await client.receivesHead(), /^HTTP\/1.1 200 /);
    await client.receives('ok');
    assert.deepEqual(await proxy.logged(3), ['403 denied_by_test -', '403 denied_later -', '200 via_upstream -']);
    assert.deepEqual(ended, [403, 403, 200]);
  });
  test(`${engine}: a client that leaves while its request is stopped ends the stream`, async (context) => {
    let stopped: FilterCall | undefined;
    let ended = 0;
    const stopping: StreamFilter = {
      onRequestHead: (call) => {
        stopped = call;
        return VERDICT.STOP;
      },
      onStreamEnd: () => void ended++,
    };
    const { proxy, client } = await setup(context, [stopping]);
    client.send(GET);
    await eventually(() => stopped !== undefined, 'not seen');
    client.reset();
    await eventually(() => ended === 1, 'not told');
    stopped?.resume();
    stopped?.reply(refusal(), 'late');
    assert.deepEqual(await proxy.logged(1), ['0 downstream_remote_disconnect DC']);
  });
  test(`${engine}: bodies are changed on their way, whatever their length was`, async (context) => {
    const shouting: StreamFilter = {
      onRequestBody: (_call, bytes) => Buffer.from(Buffer.from(bytes).toString('latin1').toUpperCase()),
      onRequestEnd: () => Buffer.from('!'),
      onResponseBody: (_call, bytes) => (bytes.length > 0 ? Buffer.from(`${Buffer.from(bytes).toString('latin1').toUpperCase()}.`) : undefined),
      onResponseEnd: (call) => {
        call.trailers = Buffer.from('x-end: yes\r\n');
        return Buffer.from('END');
      },
      appendRequest: (_call, _head, edits) => void edits.append('x-filter', 'up'),
      appendResponse: (_call, _head, edits) => void edits.append('x-filter', 'down'),
    };
    const { proxy, upstream, client } = await setup(context, [shouting]);
    client.send('POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello');
    const up = await upstream.accepts();
    const asked = await up.receivesHead();
    assert.match(asked, /x-filter: up\r\n/);
    assert.match(asked, /transfer-encoding: chunked\r\n/);
    assert.doesNotMatch(asked, /content-length/);
    await up.receives('5\r\nHELLO\r\n1\r\n!\r\n0\r\n\r\n');
    up.send('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
    const head = await client.receivesHead();
    assert.match(head, /x-filter: down\r\n/);
    assert.match(head, /transfer-encoding: chunked\r\n/);
    await client.receives('3\r\nOK.\r\n3\r\nEND\r\n0\r\nx-end: yes\r\n\r\n');
    // The same over HTTP/2, with a body of an unknown length.
    const other = new GrpcClient(proxy.port('web'));
    const answer = other.call('/b', { 'content-type': 'text/plain' }, Buffer.from('hi'));
    await up.receivesHead();
    await up.receives('2\r\nHI\r\n1\r\n!\r\n0\r\n\r\n');
    up.send(OK);
    const { body, trailers } = await answer;
    other.close();
    assert.deepEqual([body.toString(), trailers['x-end']], ['OK.END', 'yes']);
  });
  test(`${engine}: a request whose body was shown is sent again with what was made of it`, async (context) => {
    let shown = '';
    const shouting: StreamFilter = {
      onRequestBody: (_call, bytes) => {
        shown += Buffer.from(bytes).toString('latin1');
        return Buffer.from(Buffer.from(bytes).toString('latin1').toUpperCase());
      },
    };
    const routes = '- match: { prefix: / }\n  route: { cluster: up, retry_policy: { retry_on: 5xx, num_retries: 1 } }';
    const { upstream, client } = await setup(context, [shouting], routes);
    client.send('POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello');
    const up = await upstream.accepts();
    await up.receivesHead();
    await up.receives('5\r\nHELLO\r\n0\r\n\r\n');
    up.send('HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n');
    const again = await upstream.accepts();
    await again.receivesHead();
    await again.receives('5\r\nHELLO\r\n0\r\n\r\n');
    again.send(OK);
    assert.match(await client.receivesHead(), /^HTTP\/1.1 200 /);
    await client.receives('ok');
    assert.equal(shown, 'hello');
  });
  test(`${engine}: trailers are read where nobody wants the body`, async (context) => {
    const seen: string[] = [];
    const reading: StreamFilter = {
      onRequestEnd: ({ trailers }) => void seen.push(Buffer.from(trailers).toString('latin1')),
      onResponseEnd: ({ trailers }) => void seen.push(Buffer.from(trailers).toString('latin1')),
    };
    const { upstream, client } = await setup(context, [reading]);
    client.send('POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx-up: 1\r\n\r\n');
    const up = await upstream.accepts();
    await up.receivesHead();
    await up.receives('2\r\nhi\r\n0\r\nx-up: 1\r\n\r\n');
    up.send('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-down: 2\r\n\r\n');
    await client.receivesHead();
    await client.receives('2\r\nok\r\n0\r\nx-down: 2\r\n\r\n');
    assert.deepEqual(seen, ['x-up: 1\r\n', 'x-down: 2\r\n']);
  });
  test(`${engine}: a filter that fails a body midway is answered, or cut off where the response has begun`, async (context) => {
    let calls: ActiveFilters | FilterCall | undefined;
    const failing: StreamFilter = {
      onRequestBody: (call, bytes) => {
        calls = call;
        if (Buffer.from(bytes).includes('bad')) call.reply(refusal(), 'bad_body');
        return bytes;
      },
    };
    const { proxy, upstream, client } = await setup(context, [failing]);
    client.send('POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 6\r\n\r\nok');
    const up = await upstream.accepts();
    await up.receivesHead();
    await eventually(() => calls !== undefined, 'not seen');
    client.send('bad!');
    assert.match(await client.receivesHead(), /^HTTP\/1.1 403 /);
    await up.isOverSoon();
    assert.deepEqual(await proxy.logged(1), ['403 bad_body -']);
  });

  test(`${engine}: a filter that answers when there is a tunnel already ends it`, async (context) => {
    let call: FilterCall | undefined;
    const filter: StreamFilter = {
      onRequestHead: (its) => {
        call = its;
        return VERDICT.CONTINUE;
      },
    };
    const routes = '- match: { prefix: / }\n  route: { cluster: up, upgrade_configs: [{ upgrade_type: websocket }] }';
    const { proxy, upstream, client } = await setup(context, [filter], routes);
    client.send('GET /chat HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n');
    const up = await upstream.accepts();
    await up.receivesHead();
    up.send('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n');
    await client.receivesHead();
    assert.equal(proxy.stat('http.in.downstream_cx_upgrades_active'), 1);
    call?.reply(refusal(), 'refused_late');
    await client.isOverSoon();
    assert.equal(proxy.stat('http.in.downstream_cx_upgrades_active'), 0);
    assert.equal(proxy.stat('cluster.up.upstream_rq_active'), 0);
    assert.deepEqual(await proxy.logged(1), ['101 refused_late -']);
  });
}
