import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import bolt from '../../codecs/bolt/index.js';
import dubbo from '../../codecs/dubbo/index.js';
import kv from '../../codecs/example/index.js';
import { framing, KIND } from '../../codecs/example/spec.js';
import type { Engine } from '../../src/network/engine.js';
import type { Frame } from '../../src/protocol/frame.js';
import { encodeFrame } from '../../src/protocol/frame-encoder.js';
import { engines } from '../support/engines.js';
import { ask, http2Client } from '../support/http2-ends.js';
import { connect as connectPeer, eventually, Upstream } from '../support/peers.js';
import { rpcSetup } from '../support/rpc-proxy.js';

const request = (id: number, text: string) => encodeFrame(framing, { fields: { kind: KIND.REQUEST, id }, sections: { body: Buffer.from(text) } });
const echo = (frame: Frame) =>
  frame.field('kind') === KIND.REQUEST
    ? encodeFrame(framing, { fields: { kind: KIND.RESPONSE, id: frame.id }, sections: { body: frame.section('body') } })
    : undefined;
const CODECS = [kv, bolt, dubbo];
const HTTP = `http:
  stat_prefix: web
  http_filters:
  - name: envoy.filters.http.router
    typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }
  route_config:
    virtual_hosts:
    - { name: all, domains: ["*"], routes: [{ match: { prefix: / }, direct_response: { status: 200, body: { inline_string: hello } } }] }`;

for (const [engine, create] of engines()) {
  /** The fallback cluster is `other`; `raw` is what stands there. */
  const setup = async (context: TestContext, make: () => Engine, filter: string) => {
    const raw = await Upstream.open();
    const made = await rpcSetup(context, make, { codecs: CODECS, filter, answer: echo, otherPort: raw.port });
    context.after(() => raw.close());
    const peer = async () => {
      const client = await connectPeer(made.proxy.port('rpc'));
      context.after(() => client.close());
      return client;
    };
    return { ...made, raw, peer };
  };

  test(`${engine}: one port serves RPC, both versions of HTTP and, as they are, TLS and unknown bytes`, async (context) => {
    const { connect, peer, raw, proxy } = await setup(context, create, `fallback_for_unknown_protocol: other\n${HTTP}`);
    const client = await connect();
    client.send(request(1, 'get a'));
    assert.equal((await client.receives()).id, 1n);
    const web = await peer();
    web.send('GET /x HTTP/1.1\r\nhost: h\r\n\r\n');
    assert.match(await web.receivesHead(), /^HTTP\/1\.1 200 /);
    await web.receives('hello');
    web.send('GET /y HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n');
    assert.match(await web.receivesAll(), /hello$/);
    const session = await http2Client(proxy.port('rpc'));
    context.after(() => session.destroy());
    assert.equal((await ask(session, { ':path': '/z' })).body.toString(), 'hello');
    const hello = Buffer.concat([Buffer.from('1603010200010001fc0303', 'hex'), Buffer.alloc(506, 7)]);
    const secure = await peer();
    secure.send(hello);
    const taken = await raw.accepts();
    assert.deepEqual(await taken.receivesBytes(hello.length), hello);
    taken.send('pong');
    await secure.receives('pong');
    const unknown = await peer();
    unknown.send('x'.repeat(3000));
    await (await raw.accepts()).receives('x'.repeat(3000));
    const stat = (name: string) => proxy.stat(`rpc.r.downstream_cx_${name}`);
    assert.deepEqual(
      ['kv_total', 'bolt_total', 'http1_total', 'http2_total', 'tls_total', 'protocol_not_detected', 'protocol_ambiguous', 'protocol_timeout'].map(
        stat,
      ),
      [1, 0, 1, 1, 1, 1, 0, 0],
    );
    assert.equal(proxy.stat('http.web.downstream_rq_2xx'), 3);
  });

  test(`${engine}: without an HTTP part, HTTP/1 is unknown as well; without a fallback the unknown is closed`, async (context) => {
    const { peer, proxy } = await setup(context, create, '');
    const web = await peer();
    web.send('GET /x HTTP/1.1\r\nhost: h\r\n\r\n');
    assert.equal(await web.receivesAll(), '');
    assert.equal(proxy.stat('rpc.r.downstream_cx_protocol_not_detected'), 1);
    assert.equal(proxy.proxy.connections, 0);
  });

  test(`${engine}: bytes that come one at a time are told apart as bytes that come at once`, async (context) => {
    const { connect, peer, raw } = await setup(context, create, `fallback_for_unknown_protocol: other\n${HTTP}`);
    const client = await connect();
    const web = await peer();
    const unknown = await peer();
    const [frame, head, text] = [request(1, 'get a'), Buffer.from('GET / HTTP/1.1\r\nhost: h\r\n\r\n'), Buffer.from('GET key\r\nGET other\r\n')];
    for (let at = 0; at < head.length; at++) {
      if (at < frame.length) client.socket.write(frame.subarray(at, at + 1));
      web.send(head.subarray(at, at + 1));
      if (at < text.length) unknown.send(text.subarray(at, at + 1));
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    assert.equal((await client.receives()).id, 1n);
    assert.match(await web.receivesHead(), /^HTTP\/1\.1 200 /);
    await (await raw.accepts()).receives(text.toString());
  });

  test(`${engine}: a server that speaks first is found when the time for detection is over`, async (context) => {
    const filter = 'fallback_for_unknown_protocol: other\ndetection_timeout: 0.1s';
    const { peer, raw, proxy } = await setup(context, create, filter);
    raw.onConnection = (server) => server.send('220 ready\r\n');
    const client = await peer();
    await client.receives('220 ready\r\n');
    client.send('EHLO\r\n');
    await (await raw.accepts()).receives('EHLO\r\n');
    assert.equal(proxy.stat('rpc.r.downstream_cx_protocol_timeout'), 1);
  });

  test(`${engine}: a FIN ends detection, with bytes or without, and is passed on`, async (context) => {
    const { peer, raw } = await setup(context, create, 'fallback_for_unknown_protocol: other');
    for (const bytes of ['', 'GE', '\x01']) {
      const client = await peer();
      if (bytes !== '') client.send(Buffer.from(bytes, 'latin1'));
      client.end();
      const server = await raw.accepts();
      assert.equal(await server.receivesAll(), bytes);
      server.send('bye');
      server.end();
      assert.equal(await client.receivesAll(), 'bye');
    }
  });

  test(`${engine}: a client that says nothing, or too little, is closed when there is no fallback`, async (context) => {
    const { peer, proxy } = await setup(context, create, 'detection_timeout: 0.1s');
    const [silent, slow] = [await peer(), await peer()];
    slow.send(Buffer.of(1, 1));
    assert.equal(await silent.receivesAll(), '');
    assert.equal(await slow.receivesAll(), '');
    await eventually(() => proxy.proxy.connections === 0, 'nothing is left');
    assert.equal(proxy.stat('rpc.r.downstream_cx_protocol_timeout'), 2);
  });
}
