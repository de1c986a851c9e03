/**
 * The known attacks on HTTP/2, with raw frames, on a running proxy: from clients, and from servers. Each shows that memory and processor time stay bounded, what the
 * attacker is told, what is counted, and that another client is served within 100 ms meanwhile.
 */
import assert from 'node:assert/strict';
import { createServer as createHttp1Server, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import test, { type TestContext } from 'node:test';
import { block, bytes, data, frame, headers, ping, raw, rst, settings, u32, windowUpdate } from '../../codecs/http2/framing/test-support.js';
import { FRAME_FLAG, FRAME_TYPE, LIMIT, OPTION, OPTION_DEFAULTS, SETTING } from '../../codecs/http2/spec.js';
import { engines } from '../support/engines.js';
import { http2Bootstrap } from '../support/http2-config.js';
import { type Fields, get, Http2Peer, Http2Server, NO_WINDOW, post } from '../support/http2-peer.js';
import { ProxyProcess } from '../support/proxy-process.js';
import { SteadyClient } from '../support/steady-client.js';

const MIB = 1_048_576;
const SLOWNESS = Number(process.env.SLUICE_TEST_SLOWNESS ?? 1);
/** Well-behaved clients are answered within this; one answer in twenty may wait for the processors of a busy machine. */
const ANSWER_MS = 100 * SLOWNESS;
/** What the process may grow by over what it had before any attack; the fallback engine's garbage is collected when V8 likes. What one attack may cost. */
const MAX_GROWTH_BYTES = { native: 64 * MIB, fallback: 112 * MIB } as const;
const MAX_CPU_MS = 1500 * SLOWNESS;
/** How long a stream may wait for its peer, in the configuration of this test. */
const STALLED_MS = 1000;
/** An attacker gives up after so many pieces. */
const TIMES = 20_000;
const { DATA, HEADERS, PRIORITY, CONTINUATION, PUSH_PROMISE } = FRAME_TYPE;
const { END_STREAM, END_HEADERS } = FRAME_FLAG;
const RESETS = OPTION_DEFAULTS[OPTION.RESETS_BURST];
const STREAMS = OPTION_DEFAULTS[OPTION.MAX_CONCURRENT_STREAMS];

/** Many copies of some bytes in one piece. */
const repeated = (piece: Uint8Array, times: number): Uint8Array => Buffer.concat(Array.from({ length: times }, () => piece));
/** Byte codes of HPACK: an entry of the static table; and an insertion of name and value, which the next indexes name. */
const indexed = (index: number): number => 0x80 | index;
const inserted = (name: string, value: string): Uint8Array =>
  bytes(Uint8Array.of(0x40, name.length), Buffer.from(name), lengthOf(value), Buffer.from(value));
/** Length of a plain string, as an integer of 7 bits. */
function lengthOf(value: string): Uint8Array {
  if (value.length < 127) return Uint8Array.of(value.length);
  const out = [127];
  let left = value.length - 127;
  for (; left >= 128; left >>= 7) out.push((left & 127) | 128);
  return Uint8Array.of(...out, left);
}
/** The newest entry of the dynamic table. */
const NEWEST = indexed(62);
/** `:method: GET`, `:scheme: http`, `:path: /` and `:authority` of nothing but an index would be none: it follows as a literal. */
const GET_BLOCK = bytes(Uint8Array.of(indexed(2), indexed(6), indexed(4), 0x01, 1), Buffer.from('a'));
const OK_BLOCK = Uint8Array.of(indexed(8));
/** As many one-byte fields as a frame has room for. */
const FULL = LIMIT.MIN_FRAME_SIZE - 5000;
const bombs = {
  /** Each names an entry of the static table: `accept-encoding: gzip, deflate`. */
  'one-byte fields': bytes(new Uint8Array(FULL).fill(indexed(16))),
  'an entry of 4,000 bytes named again and again': bytes(inserted('x', 'y'.repeat(4000)), new Uint8Array(FULL).fill(NEWEST)),
  'crumbs of a cookie': bytes(inserted('cookie', 'a=b'), new Uint8Array(FULL).fill(NEWEST)),
} as const;

interface Stage {
  readonly proxy: ProxyProcess;
  readonly port: number;
  /** Answers /slow never, and counts. */
  readonly up: Http2Server;
  readonly hostile: Http2Server;
}
interface Attack {
  readonly title: string;
  attack(peer: Http2Peer, stage: Stage): Promise<void> | void;
  /** Error of the GOAWAY. Absent: the connection lives. */
  readonly error?: string;
  /** Names of counters without their prefix, one of which must rise, and by how much at least. */
  readonly counter?: readonly [names: readonly string[], atLeast: number];
}

/** Streams that are opened and made to fail, `TIMES` of them at most; the attacker goes on for as long as it is let. */
const madeToReset = (title: string, provoke: (stream: number) => Uint8Array, fields: Fields = post('/slow'), ends = false): Attack => ({
  title: `MadeYouReset: ${title}`,
  async attack(peer, { up }) {
    const before = up.peers.reduce((sum, { counts }) => sum + (counts.get('HEADERS') ?? 0), 0);
    const head = headers(1, fields, ends);
    for (let round = 0; round < 20 && peer.goAway === undefined && !peer.isOver; round++) {
      const first = peer.takeStreams(50);
      for (let index = 0; index < 50; index++) {
        const stream = first + 2 * index;
        peer.send(withStream(head, stream), provoke(stream));
      }
      await peer.until(() => peer.goAway !== undefined, 10);
    }
    await peer.receivesGoAway();
    const after = up.peers.reduce((sum, { counts }) => sum + (counts.get('HEADERS') ?? 0), 0);
    assert.ok(after - before <= RESETS + STREAMS, `${after - before} requests have reached the server`);
  },
  error: 'ENHANCE_YOUR_CALM',
  counter: [['inbound_reset_flood'], 1],
});
/** The frame with another stream. */
function withStream(bytes: Uint8Array, stream: number): Uint8Array {
  const copy = Buffer.from(bytes);
  copy.writeUInt32BE(stream, 5);
  return copy;
}
/** The same bytes until the proxy has enough. */
const flood = (title: string, piece: Uint8Array, error: string, counter?: Attack['counter']): Attack => ({
  title,
  error,
  counter,
  async attack(attacker) {
    await attacker.flood(repeated(piece, 100), TIMES / 100);
  },
});
const CALM = 'ENHANCE_YOUR_CALM';
/** What ends a flood of frames that want an answer: their number, or that of the answers that wait. */
const ASKING = ['inbound_control_frames_flood', 'outbound_control_flood'];

const FROM_CLIENTS: readonly Attack[] = [
  {
    title: 'rapid reset of requests that a server works on',
    async attack(peer, { up }) {
      const before = up.peers.reduce((sum, { counts }) => sum + (counts.get('HEADERS') ?? 0), 0);
      for (let round = 0; round < 20 && peer.goAway === undefined && !peer.isOver; round++) {
        for (let index = 0; index < 50; index++) peer.send(rst(peer.request(get('/slow'))));
        await peer.until(() => peer.goAway !== undefined, 10);
      }
      await peer.receivesGoAway();
      const after = up.peers.reduce((sum, { counts }) => sum + (counts.get('HEADERS') ?? 0), 0);
      assert.ok(after - before <= RESETS + STREAMS, `${after - before} requests have reached the server`);
    },
    error: CALM,
    counter: [['inbound_reset_flood'], 1],
  },
  madeToReset('WINDOW_UPDATE by 0', (stream) => windowUpdate(stream, 0)),
  madeToReset('WINDOW_UPDATE above 2^31 - 1', (stream) => bytes(windowUpdate(stream, LIMIT.MAX_WINDOW), windowUpdate(stream, LIMIT.MAX_WINDOW))),
  madeToReset('DATA after END_STREAM', (stream) => data(stream, 'more'), get('/slow'), true),
  madeToReset('HEADERS after END_STREAM', (stream) => headers(stream, get('/slow'), true), get('/slow'), true),
  madeToReset('PRIORITY of 4 bytes', (stream) => raw(PRIORITY, 0, stream, [0, 0, 0, 0])),
  madeToReset('more DATA than Content-Length says', (stream) => data(stream, 'more'), post('/slow', ['content-length', '1'])),
  madeToReset('trailers with a pseudo-header', (stream) => headers(stream, [[':path', '/']], true)),
  madeToReset('trailers that do not end the stream', (stream) => headers(stream, [['x-a', 'b']], false)),

  {
    title: 'CONTINUATION without end, large',
    async attack(peer) {
      peer.send(raw(HEADERS, END_STREAM, 1, GET_BLOCK));
      await peer.flood(raw(CONTINUATION, 0, 1, block([['x-large', 'y'.repeat(16_000)]])), 2000);
    },
    error: CALM,
    counter: [['header_overflow'], 1],
  },
  {
    title: 'CONTINUATION without end, of one byte each',
    async attack(peer) {
      peer.send(raw(HEADERS, END_STREAM, 1, GET_BLOCK));
      await peer.flood(repeated(raw(CONTINUATION, 0, 1, [indexed(16)]), 100), TIMES / 100);
    },
    error: CALM,
    counter: [['header_overflow'], 1],
  },
  {
    title: 'CONTINUATION without end, empty',
    async attack(peer) {
      peer.send(raw(HEADERS, END_STREAM, 1, GET_BLOCK));
      await peer.flood(repeated(raw(CONTINUATION, 0, 1), 100), TIMES / 100);
    },
    error: CALM,
  },
  ...Object.entries(bombs).map(
    ([name, block]): Attack => ({
      title: `HPACK bomb: ${name}, on 100 streams`,
      async attack(peer) {
        const first = peer.takeStreams(STREAMS);
        for (let index = 0; index < STREAMS; index++) peer.send(raw(HEADERS, END_STREAM | END_HEADERS, first + 2 * index, bytes(GET_BLOCK, block)));
        for (let index = 0; index < STREAMS; index++) assert.equal((await peer.response(first + 2 * index)).status, '431');
      },
      counter: [['header_overflow'], STREAMS],
    }),
  ),

  flood('PING', ping(1, 2), CALM, [ASKING, 1]),
  flood('SETTINGS', settings(), CALM, [ASKING, 1]),
  flood('SETTINGS that change all windows', settings([SETTING.INITIAL_WINDOW_SIZE, 100]), CALM, [ASKING, 1]),
  flood('frames of unknown types', raw(0x77, 0, 0, [1, 2, 3]), CALM, [['inbound_control_frames_flood'], 1]),
  flood('PRIORITY', raw(PRIORITY, 0, 1, [0, 0, 0, 0, 15]), CALM, [['inbound_priority_frames_flood'], 1]),
  flood('WINDOW_UPDATE', windowUpdate(0, 1), CALM, [['inbound_window_update_frames_flood'], 1]),
  {
    title: 'WINDOW_UPDATE of a stream',
    async attack(peer) {
      const stream = peer.request(get('/slow'));
      await peer.flood(repeated(windowUpdate(stream, 1), 100), TIMES / 100);
    },
    error: CALM,
    counter: [['inbound_window_update_frames_flood'], 1],
  },
  {
    title: 'RST_STREAM of a stream that is gone',
    async attack(peer) {
      const stream = peer.request(get('/slow'));
      await peer.flood(repeated(rst(stream), 100), TIMES / 100);
    },
    error: CALM,
  },
  {
    title: 'empty DATA',
    async attack(peer) {
      const stream = peer.request(post('/slow'), false);
      await peer.flood(repeated(data(stream, ''), 100), TIMES / 100);
    },
    error: CALM,
    counter: [['inbound_empty_frames_flood'], 1],
  },
  {
    title: 'DATA of nothing but padding',
    async attack(peer) {
      const stream = peer.request(post('/slow'), false);
      const padded = frame(DATA, FRAME_FLAG.PADDED, stream, { content: new Uint8Array(0), padding: new Uint8Array(100) });
      await peer.flood(repeated(padded, 100), TIMES / 100);
    },
    error: CALM,
    counter: [['inbound_empty_frames_flood'], 1],
  },
  {
    title: 'large SETTINGS',
    async attack(peer) {
      peer.send(settings(...Array.from({ length: 33 }, (): [number, number] => [SETTING.MAX_FRAME_SIZE, LIMIT.MIN_FRAME_SIZE])));
      await peer.receivesGoAway();
    },
    error: CALM,
    counter: [['inbound_control_frames_flood'], 1],
  },
  {
    title: 'PING whose answers are not read',
    async attack(peer) {
      peer.pause();
      await peer.flood(repeated(ping(1, 2), 100), TIMES / 100);
      peer.resume();
      await peer.receivesGoAway();
    },
    error: CALM,
  },
  {
    title: 'more streams than were offered',
    async attack(peer) {
      const streams = Array.from({ length: STREAMS + 50 }, () => peer.request(post('/slow'), false));
      for (const stream of streams.slice(STREAMS)) assert.equal((await peer.response(stream)).reset, 'REFUSED_STREAM');
    },
  },
  {
    title: 'more DATA than the window',
    async attack(peer) {
      const stream = peer.request(post('/slow'), false);
      const piece = data(stream, 'x'.repeat(LIMIT.MIN_FRAME_SIZE));
      for (let sent = 0; sent < 4 * MIB; sent += LIMIT.MIN_FRAME_SIZE) peer.send(piece);
      await peer.until(() => peer.goAway !== undefined || peer.stream(stream).reset !== undefined || peer.isOver);
      assert.equal(peer.goAway?.error ?? peer.stream(stream).reset, 'FLOW_CONTROL_ERROR');
    },
    counter: [['rx_messaging_error'], 1],
  },
];

/** Heads of a request with crumbs of a cookie, within all limits. */
const crumbs: Fields = Array.from({ length: 90 }, (_, index) => ['cookie', `crumb${index}=${'c'.repeat(100)}`]);
/** Connections of an attacker that holds what it has. */
const HOLDERS = 3;
/** What an attacker holds for as long as it can: the answers of many streams. */
const HOLDS: readonly { readonly title: string; readonly fields: Fields; readonly ends?: boolean }[] = [
  { title: 'cookie bombs held by a zero window', fields: get('/big', ...crumbs) },
  {
    title: 'one-byte fields held by a zero window',
    fields: get('/big', ...Array.from({ length: 90 }, (): [string, string] => ['accept-encoding', 'gzip, deflate'])),
  },
  { title: 'large answers held by a zero window', fields: get('/big') },
  { title: 'requests with large heads that never end', fields: post('/slow', ['x-large', 'y'.repeat(15_000)]), ends: false },
];

interface HostileAttack {
  readonly title: string;
  /** What the server does with a request. */
  attack(peer: Http2Peer, stream: number): Promise<void> | void;
  /** Error of the GOAWAY that the server gets. Absent: the connection lives. */
  readonly error?: string;
  readonly counter?: Attack['counter'];
  /** Statuses that the client may get; `reset`: its stream is reset instead. */
  readonly client: readonly string[];
}
const BROKEN = ['502', '503', 'reset'];
const OK: Fields = [[':status', '200']];
const serverFlood = (title: string, piece: Uint8Array, counters: readonly string[]): HostileAttack => ({
  title,
  async attack(peer) {
    await peer.flood(repeated(piece, 100), TIMES / 100);
  },
  error: CALM,
  counter: [counters, 1],
  client: BROKEN,
});
const FROM_SERVERS: readonly HostileAttack[] = [
  {
    title: 'CONTINUATION without end',
    async attack(peer, stream) {
      peer.send(raw(HEADERS, END_STREAM, stream, OK_BLOCK));
      await peer.flood(raw(CONTINUATION, 0, stream, block([['x-large', 'y'.repeat(16_000)]])), 2000);
    },
    error: CALM,
    counter: [['header_overflow'], 1],
    client: BROKEN,
  },
  ...Object.entries(bombs).map(
    ([name, block]): HostileAttack => ({
      title: `HPACK bomb: ${name}`,
      attack(peer, stream) {
        peer.send(raw(HEADERS, END_STREAM | END_HEADERS, stream, bytes(OK_BLOCK, block)));
      },
      counter: [['header_overflow'], 1],
      client: BROKEN,
    }),
  ),
  {
    title: 'HPACK bomb in trailers',
    attack(peer, stream) {
      peer.send(headers(stream, OK, false), data(stream, 'body'));
      peer.send(raw(HEADERS, END_STREAM | END_HEADERS, stream, bombs['one-byte fields']));
    },
    counter: [['header_overflow'], 1],
    client: ['200', 'reset'],
  },
  serverFlood('PING', ping(1, 2), ASKING),
  serverFlood('SETTINGS', settings(), ASKING),
  serverFlood('PRIORITY', raw(PRIORITY, 0, 1, [0, 0, 0, 0, 15]), ['inbound_priority_frames_flood']),
  serverFlood('WINDOW_UPDATE', windowUpdate(0, 1), ['inbound_window_update_frames_flood']),
  {
    title: 'empty DATA',
    async attack(peer, stream) {
      peer.send(headers(stream, OK, false));
      await peer.flood(repeated(data(stream, ''), 100), TIMES / 100);
    },
    error: CALM,
    counter: [['inbound_empty_frames_flood'], 1],
    client: ['200', 'reset'],
  },
  {
    title: '103 without end',
    async attack(peer, stream) {
      await peer.flood(
        repeated(
          headers(
            stream,
            [
              [':status', '103'],
              ['link', '</a>'],
            ],
            false,
          ),
          100,
        ),
        TIMES / 10,
      );
    },
    client: ['502', '503'],
  },
  {
    title: 'GOAWAY without end',
    async attack(peer) {
      await peer.flood(repeated(frame(FRAME_TYPE.GOAWAY, 0, 0, { lastStream: 1, error: 0 }), 100), TIMES / 100);
    },
    error: CALM,
    counter: [['inbound_control_frames_flood'], 1],
    client: BROKEN,
  },
  {
    title: 'PUSH_PROMISE',
    attack(peer, stream) {
      peer.send(raw(PUSH_PROMISE, END_HEADERS, stream, [...u32(2), ...GET_BLOCK]));
    },
    error: 'PROTOCOL_ERROR',
    counter: [['rx_messaging_error'], 1],
    client: BROKEN,
  },
  {
    title: 'more DATA than the window',
    async attack(peer, stream) {
      peer.send(headers(stream, OK, false));
      const piece = data(stream, 'x'.repeat(LIMIT.MIN_FRAME_SIZE));
      for (let sent = 0; sent < 4 * MIB && !peer.isOver; sent += LIMIT.MIN_FRAME_SIZE) peer.send(piece);
      await peer.until(() => peer.goAway !== undefined || peer.stream(stream).reset !== undefined || peer.isOver);
    },
    client: ['200', 'reset'],
  },
];

/** A server whose answers are larger than any buffer: each is 8 MiB. */
async function openBigServer(context: TestContext): Promise<{ port: number; server: Server }> {
  const piece = Buffer.alloc(65_536, 'x');
  const server = createHttp1Server((_request, response) => {
    let left = 8 * MIB;
    const go = () => {
      while (left > 0 && !response.destroyed) {
        left -= piece.length;
        if (!response.write(piece)) return;
      }
      response.end();
    };
    response.on('drain', go).on('error', () => {});
    go();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  context.after(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return { port: (server.address() as AddressInfo).port, server };
}

const ROUTES = `- { match: { path: /hello }, direct_response: { status: 200, body: { inline_string: hello } } }
- { match: { prefix: /slow }, route: { cluster: up, timeout: 0s } }
- { match: { prefix: /hostile }, route: { cluster: hostile, timeout: 5s } }
- { match: { prefix: /big }, route: { cluster: big, timeout: 0s } }
- { match: { prefix: / }, direct_response: { status: 200, body: { inline_string: root } } }`;
const UNBOUNDED = 'circuit_breakers: { thresholds: [{ max_connections: 5000, max_requests: 5000, max_pending_requests: 5000 }] }';

for (const [engine] of engines())
  test(`${engine}: attacks`, async (context) => {
    const [up, hostile, big] = [await Http2Server.open(), await Http2Server.open(), await openBigServer(context)];
    context.after(() => Promise.all([up.close(), hostile.close()]));
    const manager = `stream_idle_timeout: ${STALLED_MS / 1000}s`;
    const clusters = [
      { name: 'up', port: up.port, more: UNBOUNDED },
      { name: 'hostile', port: hostile.port, more: UNBOUNDED },
      { name: 'big', port: big.port, version: 'HTTP1' as const, more: UNBOUNDED },
    ];
    const proxy = await ProxyProcess.start(context, http2Bootstrap([{ name: 'web', routes: ROUTES, manager }], clusters), engine);
    const port = proxy.port('web');
    const stage: Stage = { proxy, port, up, hostile };
    const steady = await SteadyClient.start(context, port, '/hello');
    const baseBytes = proxy.rssBytes();
    let mostBytes = baseBytes;
    const watch = setInterval(() => {
      if (proxy.isRunning) mostBytes = Math.max(mostBytes, proxy.rssBytes());
    }, 20);
    context.after(() => clearInterval(watch));

    /** Runs an attack: what it cost, and how others fared. */
    const bounded = async (context: TestContext, attack: () => Promise<void>): Promise<void> => {
      await steady.since();
      const [cpuMs, at] = [proxy.cpuMs(), performance.now()];
      mostBytes = proxy.rssBytes();
      await attack();
      const account = await steady.since();
      const [spentMs, tookMs, growth] = [proxy.cpuMs() - cpuMs, performance.now() - at, mostBytes - baseBytes];
      const told = `${spentMs} ms of processor in ${Math.round(tookMs)} ms, ${Math.round(growth / MIB)} MiB more than before all, ${account.answers} answers to others, the slowest after ${Math.round(account.slowestMs)} ms`;
      context.diagnostic(told);
      assert.equal(account.failures, 0, told);
      assert.ok(account.mostMs <= ANSWER_MS && account.slowestMs <= 10 * ANSWER_MS, told);
      assert.ok(growth <= MAX_GROWTH_BYTES[engine], told);
      assert.ok(spentMs <= MAX_CPU_MS, told);
    };
    const counts = async (prefix: string, counter: Attack['counter'], work: () => Promise<void>): Promise<void> => {
      const sum = async () => {
        const stats = await proxy.stats();
        return (counter?.[0] ?? []).reduce((all, name) => all + (stats.get(`${prefix}http2.${name}`) ?? 0), 0);
      };
      const before = await sum();
      await work();
      const rise = (await sum()) - before;
      assert.ok(rise >= (counter?.[1] ?? 0), `${prefix}http2.${counter?.[0]} rose by ${rise}, not ${counter?.[1]}`);
    };

    for (const { title, attack, error, counter } of FROM_CLIENTS)
      await context.test(`from a client: ${title}`, (context) =>
        counts('', counter, () =>
          bounded(context, async () => {
            const peer = await Http2Peer.connect(port);
            try {
              await peer.next('SETTINGS');
              await attack(peer, stage);
              if (error === undefined) assert.equal(peer.goAway, undefined);
              else {
                assert.equal(await peer.receivesGoAway(), error);
                await peer.isOverSoon();
              }
            } finally {
              peer.close();
            }
          }),
        ),
      );

    for (const { title, fields, ends = true } of HOLDS)
      await context.test(`from clients: ${title}`, (context) =>
        bounded(context, async () => {
          const peers = await Promise.all(
            Array.from({ length: HOLDERS }, () => Http2Peer.connect(port, { settings: [NO_WINDOW], opensWindows: false })),
          );
          try {
            const streams = peers.map((peer) => Array.from({ length: STREAMS }, () => peer.request(fields, ends)));
            for (const [index, peer] of peers.entries())
              for (const stream of streams[index]) {
                const { body, reset } = await peer.response(stream, 10 * STALLED_MS);
                assert.deepEqual([body.length, reset !== undefined || peer.isOver], [0, true]);
              }
          } finally {
            for (const peer of peers) peer.close();
          }
        }),
      );
    await context.test('from clients: answers that nobody reads', (context) =>
      bounded(context, async () => {
        const wide: [number, number] = [SETTING.INITIAL_WINDOW_SIZE, LIMIT.MAX_WINDOW];
        const peers = await Promise.all(Array.from({ length: HOLDERS }, () => Http2Peer.connect(port, { settings: [wide], opensWindows: false })));
        try {
          for (const peer of peers) {
            peer.send(windowUpdate(0, LIMIT.MAX_WINDOW - LIMIT.DEFAULT_WINDOW));
            peer.pause();
            for (let index = 0; index < 10; index++) peer.request(get('/big'));
          }
          await new Promise((resolve) => setTimeout(resolve, 2 * STALLED_MS));
        } finally {
          for (const peer of peers) peer.close();
        }
      }),
    );

    await context.test('from a server: responses that make the proxy reset their streams', (context) =>
      counts('cluster.hostile.', [['inbound_reset_flood'], 1], () =>
        bounded(context, async () => {
          hostile.onRequest = (peer, stream) => peer.send(headers(stream, [[':status', 'none']], true));
          const attacker = () => hostile.peers.at(-1);
          const peer = await Http2Peer.connect(port);
          try {
            for (let round = 0; round < 10 && attacker()?.goAway === undefined; round++) {
              const streams = Array.from({ length: 50 }, () => peer.request(get('/hostile')));
              for (const stream of streams) assert.ok(['502', '503'].includes((await peer.response(stream)).status ?? ''));
            }
            assert.ok(hostile.peers.some(({ goAway }) => goAway?.error === CALM));
          } finally {
            peer.close();
            hostile.onRequest = () => {};
            for (const peer of hostile.peers) peer.close();
          }
        }),
      ),
    );

    for (const { title, attack, error, counter, client } of FROM_SERVERS)
      await context.test(`from a server: ${title}`, (context) =>
        counts('cluster.hostile.', counter, () =>
          bounded(context, async () => {
            const attacked = new Promise<Http2Peer>((resolve, reject) => {
              hostile.onRequest = (peer, stream) => {
                // Retries and later requests must not begin it again.
                hostile.onRequest = () => {};
                Promise.resolve(attack(peer, stream)).then(() => resolve(peer), reject);
              };
            });
            const peer = await Http2Peer.connect(port);
            try {
              const response = await peer.response(peer.request(get('/hostile')), 10_000);
              const got = response.reset === undefined ? `${response.status}` : 'reset';
              assert.ok(client.includes(got), `the client got ${got}`);
              const attacker = await attacked;
              if (error !== undefined) {
                assert.equal(await attacker.receivesGoAway(), error);
                await attacker.isOverSoon();
              }
              attacker.close();
            } finally {
              peer.close();
            }
          }),
        ),
      );
  });
