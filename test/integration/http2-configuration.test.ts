/** What a configuration says of HTTP/2 holds on connections: each bound just kept and just exceeded, by a raw peer on a running proxy. */
import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { bytes, data, ping, raw, rst, settings, windowUpdate } from '../../codecs/http2/framing/test-support.js';
import { FRAME_FLAG, FRAME_TYPE, SETTING } from '../../codecs/http2/spec.js';
import { engines } from '../support/engines.js';
import { get, Http2Peer, Http2Server, type PeerOptions, post } from '../support/http2-peer.js';
import { eventually } from '../support/peers.js';
import { httpConfig, RunningProxy } from '../support/running-proxy.js';

const LIMITS = 'type.googleapis.com/sluice.extensions.http2.v1.Http2Limits';
const HTTP = 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
/** Routes: /hello is answered here, anything else goes to cluster `up`. */
const ROUTES = `- { match: { path: /hello }, direct_response: { status: 200, body: { inline_string: hello } } }
- { match: { prefix: / }, route: { cluster: up, timeout: 0s } }`;

interface Parts {
  /** Fields of Http2ProtocolOptions, of Http2Limits, and of the connection manager. */
  readonly options?: string;
  readonly limits?: string;
  readonly manager?: string;
  /** What HttpProtocolOptions of the cluster say. Default: HTTP/2. */
  readonly upstream?: string;
}
function configOf(
  { options = '', limits, manager = '', upstream = 'explicit_http_config: { http2_protocol_options: {} }' }: Parts,
  port: number,
): string {
  const cluster = `typed_extension_protocol_options: { http: { "@type": ${HTTP}, ${upstream} } }`;
  const config = httpConfig({ routes: ROUTES, manager: `http2_protocol_options: { ${options} }\n${manager}`, upstreams: [port], cluster });
  if (limits === undefined) return config;
  const filter = `- { name: limits, typed_config: { "@type": ${LIMITS}, ${limits} } }`;
  return config.replace(/( *)- name: envoy.filters.network.http_connection_manager/, (line, indent: string) => `${indent}${filter}\n${line}`);
}

const { HEADERS, CONTINUATION, PRIORITY } = FRAME_TYPE;
const priority = (stream: number): Uint8Array => raw(PRIORITY, 0, stream, [0, 0, 0, 0, 1]);
const times = (count: number, make: (index: number) => Uint8Array): Uint8Array => bytes(...Array.from({ length: count }, (_, index) => make(index)));
/** A request's block in so many frames of CONTINUATION after its HEADERS. */
function inPieces(peer: Http2Peer, continuations: number, fields = get('/hello')): Uint8Array {
  const [stream, block] = [peer.takeStreams(1), peer.block(fields)];
  const size = Math.ceil(block.length / (continuations + 1));
  return times(continuations + 1, (index) => {
    const flags = (index === 0 ? FRAME_FLAG.END_STREAM : 0) | (index === continuations ? FRAME_FLAG.END_HEADERS : 0);
    return raw(index === 0 ? HEADERS : CONTINUATION, flags, stream, [...block.subarray(index * size, (index + 1) * size)]);
  });
}

interface Bound {
  readonly parts: Parts;
  /** Frames that keep within it; and after those, and a request that is served, what exceeds it. */
  readonly keep: (peer: Http2Peer) => Uint8Array;
  readonly exceed: (peer: Http2Peer) => Uint8Array;
  /** Error of the GOAWAY. */
  readonly error: string;
}
const CALM = 'ENHANCE_YOUR_CALM';
/** A request that waits for its end at the server. */
const opened = (peer: Http2Peer): Uint8Array => peer.headers(peer.takeStreams(1), post('/slow'), false);
const reset = (peer: Http2Peer): Uint8Array => {
  const stream = peer.nextStream;
  return bytes(opened(peer), rst(stream));
};
const BOUNDS: readonly Bound[] = [
  {
    parts: { options: 'max_consecutive_inbound_frames_with_empty_payload: 1' },
    keep: (peer) => bytes(opened(peer), data(1, '')),
    exceed: () => times(2, () => data(1, '')),
    error: CALM,
  },
  {
    parts: { options: 'max_inbound_priority_frames_per_stream: 2' },
    keep: () => times(2, () => priority(9)),
    exceed: () => times(3, () => priority(9)),
    error: CALM,
  },
  {
    parts: { options: 'max_inbound_window_update_frames_per_data_frame_sent: 1' },
    keep: () => times(5, () => windowUpdate(0, 1)),
    exceed: () => times(5, () => windowUpdate(0, 1)),
    error: CALM,
  },
  {
    parts: { limits: 'max_resets: 2, reset_interval: 3600s' },
    keep: (peer) => times(2, () => reset(peer)),
    exceed: (peer) => times(2, () => reset(peer)),
    error: CALM,
  },
  {
    parts: { limits: 'max_control_frames: 5, control_frame_interval: 3600s' },
    keep: () => times(3, (index) => ping(index, 0)),
    exceed: () => times(6, (index) => ping(index, 1)),
    error: CALM,
  },
  {
    parts: { limits: 'max_continuation_frames: 1' },
    keep: (peer) => inPieces(peer, 1),
    exceed: (peer) => inPieces(peer, 2),
    error: CALM,
  },
  {
    parts: { limits: 'max_header_block_bytes: 1024' },
    keep: (peer) => inPieces(peer, 3, get('/hello', ['x', '~'.repeat(900)])),
    exceed: (peer) => inPieces(peer, 3, get('/hello', ['x', '~'.repeat(1024)])),
    error: CALM,
  },
  {
    parts: { limits: 'max_settings_entries: 2' },
    keep: () => settings([SETTING.ENABLE_PUSH, 0], [SETTING.INITIAL_WINDOW_SIZE, 70_000]),
    exceed: () => settings([SETTING.ENABLE_PUSH, 0], [SETTING.ENABLE_PUSH, 0], [SETTING.ENABLE_PUSH, 0]),
    error: CALM,
  },
  {
    parts: { limits: 'max_frame_size: 20000' },
    keep: (peer) => bytes(opened(peer), data(1, 'x'.repeat(20_000))),
    exceed: () => data(1, 'x'.repeat(20_001)),
    error: 'FRAME_SIZE_ERROR',
  },
];

for (const [engine, create] of engines()) {
  const stage = async (context: TestContext, parts: Parts): Promise<{ proxy: RunningProxy; up: Http2Server }> => {
    const up = await Http2Server.open();
    const proxy = new RunningProxy(create());
    context.after(() => Promise.all([proxy.close(), up.close()]));
    await proxy.apply(configOf(parts, up.port));
    return { proxy, up };
  };
  const client = async (context: TestContext, proxy: RunningProxy, options: PeerOptions = {}): Promise<Http2Peer> => {
    const peer = await Http2Peer.connect(proxy.port('web'), options);
    context.after(() => peer.close());
    return peer;
  };
  /** Waits until all that was sent has been read, by asking for an answer behind it. */
  const isServed = async (peer: Http2Peer): Promise<void> => assert.equal(await peer.status(peer.request(get('/hello'))), '200');

  for (const { parts, keep, exceed, error } of BOUNDS)
    test(`${engine}: ${parts.options ?? parts.limits} is kept, and its excess ends in ${error}`, async (context) => {
      const { proxy } = await stage(context, parts);
      const peer = await client(context, proxy);
      await peer.receives('SETTINGS');
      peer.send(keep(peer));
      await isServed(peer);
      assert.equal(peer.goAway, undefined);
      peer.send(exceed(peer));
      assert.equal(await peer.receivesGoAway(), error);
      await peer.ends();
    });

  test(`${engine}: what is announced to clients is what the configuration says`, async (context) => {
    const { proxy } = await stage(context, {
      options:
        'max_concurrent_streams: 7, initial_stream_window_size: 70000, initial_connection_window_size: 80000, hpack_table_size: 512, allow_connect: true',
      limits: 'max_frame_size: 20000',
      manager: 'max_request_headers_kb: 9',
    });
    const peer = await client(context, proxy);
    const announced = new Map((await peer.receives('SETTINGS')).settings);
    assert.deepEqual(
      [
        ...[
          'MAX_CONCURRENT_STREAMS',
          'INITIAL_WINDOW_SIZE',
          'HEADER_TABLE_SIZE',
          'ENABLE_CONNECT_PROTOCOL',
          'MAX_FRAME_SIZE',
          'MAX_HEADER_LIST_SIZE',
        ],
      ].map((name) => announced.get(SETTING[name as keyof typeof SETTING])),
      [7, 70_000, 512, 1, 20_000, 9 * 1024],
    );
    assert.equal((await peer.receives('WINDOW_UPDATE')).increment, 80_000 - 65_535);
  });

  test(`${engine}: a stream beyond max_concurrent_streams is refused, and the others live`, async (context) => {
    const { proxy } = await stage(context, { options: 'max_concurrent_streams: 2' });
    const peer = await client(context, proxy);
    for (let index = 0; index < 2; index++) peer.send(opened(peer));
    const beyond = peer.request(get('/hello'));
    assert.equal((await peer.response(beyond)).reset, 'REFUSED_STREAM');
    // Its place is free once the server has been told.
    peer.send(rst(1), ping(1, 1));
    await peer.receives('PING');
    await isServed(peer);
    assert.deepEqual([peer.stream(3).reset, peer.goAway], [undefined, undefined]);
  });

  test(`${engine}: settings_timeout ends a connection whose peer never acknowledges`, async (context) => {
    const { proxy } = await stage(context, { limits: 'settings_timeout: 0.1s' });
    const peer = await client(context, proxy, { acknowledges: false });
    assert.equal(await peer.receivesGoAway(), 'SETTINGS_TIMEOUT');
    await peer.ends();
  });

  test(`${engine}: bounds of heads are those of HTTP/1, and answer 431`, async (context) => {
    const { proxy } = await stage(context, { manager: 'max_request_headers_kb: 1\ncommon_http_protocol_options: { max_headers_count: 3 }' });
    const peer = await client(context, proxy);
    const statuses: (string | undefined)[] = [];
    for (const fields of [
      get('/hello', ['a', 'b']),
      get('/hello', ['a', '1'], ['b', '2'], ['c', '3'], ['d', '4']),
      get('/hello', ['a', 'b'.repeat(1024)]),
    ])
      statuses.push(await peer.status(peer.request(fields)));
    assert.deepEqual(statuses, ['200', '431', '431']);
    await isServed(peer);
  });

  test(`${engine}: keep-alive closes the connection of a client that does not answer, and of no other`, async (context) => {
    const { proxy } = await stage(context, { options: 'connection_keepalive: { interval: 0.1s, timeout: 0.2s }' });
    const [silent, good] = [await client(context, proxy, { answersPing: false }), await client(context, proxy)];
    await silent.ends();
    assert.equal(proxy.stat('http2.keepalive_timeout'), 1);
    await isServed(good);
    assert.ok((good.counts.get('PING') ?? 0) > 0);
  });

  test(`${engine}: keep-alive closes the connection to a host that does not answer`, async (context) => {
    const up = await Http2Server.open(() => ({ answersPing: false }));
    const proxy = new RunningProxy(create());
    context.after(() => Promise.all([proxy.close(), up.close()]));
    const upstream = 'explicit_http_config: { http2_protocol_options: { connection_keepalive: { interval: 0.1s, timeout: 0.2s } } }';
    await proxy.apply(configOf({ upstream }, up.port));
    const peer = await client(context, proxy);
    assert.equal(await peer.status(peer.request(get('/slow'))), '503');
    assert.equal(proxy.stat('cluster.up.http2.keepalive_timeout'), 1);
  });

  test(`${engine}: streams beyond max_concurrent_streams of a cluster go on another connection`, async (context) => {
    const { proxy, up } = await stage(context, { upstream: 'explicit_http_config: { http2_protocol_options: { max_concurrent_streams: 2 } }' });
    const asked: number[] = [];
    up.onRequest = (peer) => asked.push(up.peers.indexOf(peer));
    const peer = await client(context, proxy);
    for (let index = 0; index < 5; index++) peer.request(get('/slow'));
    await eventually(() => asked.length === 5, 'five requests have come');
    assert.deepEqual([0, 1, 2].map((connection) => asked.filter((one) => one === connection).length).sort(), [1, 2, 2]);
  });

  test(`${engine}: what a cluster announces to its hosts is what the configuration says`, async (context) => {
    const options = 'initial_stream_window_size: 70000, hpack_table_size: 512';
    const { proxy, up } = await stage(context, { upstream: `explicit_http_config: { http2_protocol_options: { ${options} } }` });
    const seen = new Promise<readonly (readonly [number, number])[]>((resolve) => {
      up.onRequest = (peer) => resolve(peer.receives('SETTINGS').then(({ settings = [] }) => settings));
    });
    const peer = await client(context, proxy);
    peer.request(get('/slow'));
    const announced = new Map(await seen);
    assert.deepEqual([announced.get(SETTING.INITIAL_WINDOW_SIZE), announced.get(SETTING.HEADER_TABLE_SIZE)], [70_000, 512]);
  });

  test(`${engine}: codec_type HTTP1 does not take the preface, HTTP2 takes nothing else`, async (context) => {
    const { proxy } = await stage(context, { manager: 'codec_type: HTTP1' });
    const peer = await client(context, proxy);
    await peer.ends();
    assert.equal(peer.counts.get('SETTINGS'), undefined);
    await proxy.apply(configOf({ manager: 'codec_type: HTTP2' }, 9));
    const plain = await client(context, proxy, { greets: false });
    plain.send(Buffer.from('GET /hello HTTP/1.1\r\nHost: a\r\n\r\n'));
    await plain.ends();
    await isServed(await client(context, proxy));
  });
}
