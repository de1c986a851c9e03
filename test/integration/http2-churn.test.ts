/**
 * Many clients of both versions do random things to a proxy whose upstreams do random things to it: nothing may be left behind. The seed is printed; `SLUICE_SEED` repeats it.
 */
import assert from 'node:assert/strict';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import test, { type TestContext } from 'node:test';
import { data, goAway, headers, rst } from '../../codecs/http2/framing/test-support.js';
import { SETTING } from '../../codecs/http2/spec.js';
import { NO_CODECS } from '../../src/control/codecs.js';
import { STREAM_ERROR } from '../../src/protocol/stream-table.js';
import { type BreakerUse, ownBreakerUse } from '../../src/proxy/cluster/breaker-use.js';
import type { EndpointConfig } from '../../src/proxy/runtime.js';
import { engines } from '../support/engines.js';
import { http2Cluster, httpListener } from '../support/http2-config.js';
import { get, Http2Peer, Http2Server } from '../support/http2-peer.js';
import { eventually } from '../support/peers.js';
import { clusterConfig, RunningProxy } from '../support/running-proxy.js';

const RUN_MS = 3000;
/** What one client does at the same time. */
const LANES = 3;
const HTTP2_CLIENTS = 6;
const HTTP1_CLIENTS = 6;
/** Nobody waits longer for an answer. */
const PATIENCE_MS = 600;
/** What fits into the windows of a stream. */
const BIG_BYTES = 40_001;
const FRAME_BYTES = 10_000;
const ANSWERS = ['ok', 'ok', 'ok', 'slow', 'big', 'early', 'fail', 'fail', 'reset', 'half', 'refuse', 'goaway', 'close', 'hang', 'informational'];

type Random = (below: number) => number;
/** Mulberry32. */
function randomOf(seed: number): Random {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}
const pick = <T>(random: Random, list: readonly T[]): T => list[random(list.length)];
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const nothing = () => {};

/** An HTTP/2 server that does what the path asks for. */
async function http2Upstream(context: TestContext): Promise<number> {
  const server = await Http2Server.open(() => ({ settings: [[SETTING.MAX_CONCURRENT_STREAMS, 10]] }));
  context.after(() => server.close());
  server.onRequest = (peer, stream, fields) => answerStream(peer, stream, fields.find(([name]) => name === ':path')?.[1].split('/')[2] ?? 'ok');
  return server.port;
}
function answerStream(peer: Http2Peer, stream: number, what: string): void {
  const isGone = () => peer.isOver || peer.stream(stream).reset !== undefined;
  const finish = (status: number, bytes: number) => {
    if (isGone()) return;
    peer.send(headers(stream, [[':status', `${status}`]], false));
    for (let left = bytes; left > 0; left -= FRAME_BYTES) peer.send(data(stream, 'x'.repeat(Math.min(left, FRAME_BYTES))));
    peer.send(bytes % 2 === 1 ? headers(stream, [['x-end', '1']]) : data(stream, '', true));
  };
  const whenWhole = (act: () => void) =>
    void peer.until(() => isGone() || peer.stream(stream).ended, PATIENCE_MS).then((isWhole) => isWhole && act());
  if (what === 'early') finish(200, 11);
  else if (what === 'reset') peer.send(rst(stream, STREAM_ERROR.INTERNAL_ERROR));
  else if (what === 'refuse') peer.send(rst(stream, STREAM_ERROR.REFUSED_STREAM));
  else if (what === 'goaway') {
    peer.send(goAway(stream - 2 * (stream % 3 === 0 ? 1 : 0)));
    whenWhole(() => finish(200, 5));
  } else if (what === 'close') peer.close();
  else if (what === 'half') peer.send(headers(stream, [[':status', '200']], false), data(stream, 'x'.repeat(FRAME_BYTES)), rst(stream));
  else if (what === 'fail') whenWhole(() => finish(503, 4));
  else if (what === 'slow') whenWhole(() => void setTimeout(finish, 150, 200, 10));
  else if (what !== 'hang') {
    if (what === 'informational') peer.send(headers(stream, [[':status', '103']], false));
    whenWhole(() => finish(200, what === 'big' ? BIG_BYTES : 10));
  }
}
/** The same of HTTP/1. */
async function http1Upstream(context: TestContext): Promise<number> {
  const server = http.createServer((request, response) => {
    const what = String(request.url).split('/')[2] ?? 'ok';
    const socket = request.socket;
    const finish = (status: number, bytes: number) => response.writeHead(status).end(Buffer.alloc(bytes));
    response.on('error', nothing);
    request.on('error', nothing);
    if (what === 'early') finish(200, 11);
    else if (what === 'reset' || what === 'refuse') socket.resetAndDestroy();
    else if (what === 'close') socket.destroy();
    else if (what === 'hang') request.resume();
    else if (what === 'half') response.writeHead(200, { 'content-length': 50_000 }).write(Buffer.alloc(20_000), () => socket.destroy());
    else if (what === 'fail') request.on('end', () => finish(503, 4)).resume();
    else if (what === 'slow') request.on('end', () => void setTimeout(finish, 150, 200, 10)).resume();
    else {
      if (what === 'informational') response.writeEarlyHints({ link: '</a>; rel=preload' });
      if (what === 'goaway') response.shouldKeepAlive = false;
      request.on('end', () => finish(200, what === 'big' ? BIG_BYTES : 10)).resume();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  context.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return (server.address() as AddressInfo).port;
}

const MANAGER = `stream_idle_timeout: 0.5s
common_http_protocol_options: { max_requests_per_connection: 40 }
http2_protocol_options: { max_concurrent_streams: 20 }`;
const RETRIES =
  'retry_policy: { retry_on: "5xx,reset,connect-failure,refused-stream", num_retries: 2, per_try_timeout: 0.2s, retry_back_off: { base_interval: 0.005s } }';
const routes = ['one', 'two']
  .map(
    (name) => `- match: { prefix: /${name}/, headers: [{ name: x-retry, present_match: true }] }
  route: { cluster: ${name}, timeout: 0.5s, ${RETRIES} }
- match: { prefix: /${name}/ }
  route: { cluster: ${name}, timeout: 0.5s }`,
  )
  .join('\n');
const BREAKERS = 'circuit_breakers: { thresholds: [{ max_connections: 8, max_pending_requests: 10, max_requests: 30, max_retries: 3 }] }';
const LIMITED = `max_requests_per_connection: 30\n${BREAKERS}`;
const endpointsOf = (ports: readonly number[]): EndpointConfig[] =>
  ports.map((port) => ({
    address: { ip: '127.0.0.1', port },
    hostname: '',
    weight: 1,
    priority: 0,
    locality: { region: '', zone: '', subZone: '' },
    health: 'UNKNOWN',
  }));
const configOf = (one: readonly number[], two: readonly number[], refresh = '5s'): string => `static_resources:
  listeners:
${httpListener({ name: 'web', routes, manager: MANAGER })}
  clusters:
${clusterConfig('one', one, `dns_refresh_rate: ${refresh}\n${LIMITED}`)}
${clusterConfig('two', two, `dns_refresh_rate: ${refresh}\n${http2Cluster()}\n${LIMITED}`)}
`;

/** A client of HTTP/2: a connection that is replaced whenever it is gone, and lanes of random requests on it. */
async function http2Requests(port: number, random: Random, until: number): Promise<void> {
  let peer: Http2Peer | undefined;
  let connecting: Promise<void> | undefined;
  const connectAnew = async () => {
    peer?.close();
    peer = await Http2Peer.connect(port, { settings: [[SETTING.INITIAL_WINDOW_SIZE, pick(random, [0, 1000, 65_535])]] });
    connecting = undefined;
  };
  const replace = () => {
    connecting ??= connectAnew();
    return connecting;
  };
  const lane = async () => {
    while (performance.now() < until) {
      await pause(1);
      if (peer === undefined || peer.isOver || peer.goAway !== undefined || random(40) === 0) await replace();
      else await http2Request(peer, random);
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  peer?.close();
}
async function http2Request(peer: Http2Peer, random: Random): Promise<void> {
  const { method, more, body, isSlow, leaveMs } = requestOf(random);
  const stream = peer.request([[':method', method], ...get(pathOf(random)).slice(1), ...more], body === 0);
  const isGone = () => peer.isOver || peer.stream(stream).reset !== undefined;
  const send = (bytes: number, ends: boolean) => {
    if (!isGone())
      for (let left = bytes; left > 0; left -= FRAME_BYTES)
        peer.send(data(stream, 'x'.repeat(Math.min(left, FRAME_BYTES)), ends && left <= FRAME_BYTES));
  };
  if (body > 0) write(send, body, isSlow);
  if (await peer.until(() => isGone() || peer.stream(stream).ended, leaveMs)) return;
  peer.send(rst(stream));
}
/** A client of HTTP/1. */
async function http1Requests(port: number, random: Random, until: number): Promise<void> {
  const agent = new http.Agent({ keepAlive: true, maxSockets: LANES });
  const lane = async () => {
    while (performance.now() < until) await http1Request(port, agent, random);
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  agent.destroy();
}
function http1Request(port: number, agent: http.Agent, random: Random): Promise<void> {
  const { method, more, body, isSlow, leaveMs } = requestOf(random);
  const options = { port, host: '127.0.0.1', agent, method, path: pathOf(random), headers: Object.fromEntries(more) };
  const request = http.request(options, (response) => void response.on('error', nothing).resume());
  request.on('error', nothing);
  const send = (bytes: number, ends: boolean) => {
    request.write(Buffer.alloc(bytes));
    if (ends) request.end();
  };
  if (body > 0) write(send, body, isSlow);
  else request.end();
  const timer = setTimeout(() => request.destroy(), leaveMs);
  return new Promise((resolve) => {
    request.on('close', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
const pathOf = (random: Random): string => (random(50) === 0 ? '/nowhere' : `/${pick(random, ['one', 'two'])}/${pick(random, ANSWERS)}`);
function requestOf(random: Random) {
  const body = pick(random, [0, 0, 10, 1000, BIG_BYTES]);
  const more: [string, string][] = [];
  if (random(2) === 0) more.push(['x-retry', '1']);
  if (body > 0 && random(4) === 0) more.push(['expect', '100-continue']);
  return { method: body > 0 ? 'POST' : 'GET', more, body, isSlow: random(3) === 0, leaveMs: random(4) === 0 ? random(120) : PATIENCE_MS };
}
function write(send: (bytes: number, ends: boolean) => void, length: number, isSlow: boolean): void {
  if (!isSlow) {
    send(length, true);
    return;
  }
  const half = Math.ceil(length / 2);
  send(half, false);
  setTimeout(send, 30, length - half, true);
}

for (const [engine, create] of engines()) {
  test(`${engine}: after all that clients and upstreams can do, nothing is counted as open`, { timeout: 30_000 }, async (context) => {
    const seed = Number(process.env.SLUICE_SEED ?? Date.now() % 1_000_000);
    context.diagnostic(`SLUICE_SEED=${seed}`);
    const random = randomOf(seed);
    const uses = new Map<string, BreakerUse>();
    const breakerUses = (name: string): BreakerUse => uses.get(name) ?? (uses.set(name, ownBreakerUse()).get(name) as BreakerUse);
    const proxy = new RunningProxy(create(), NO_CODECS, { breakerUses });
    context.after(() => proxy.close());
    const one = [await http1Upstream(context), await http1Upstream(context)];
    const two = [await http2Upstream(context), await http2Upstream(context)];
    await proxy.apply(configOf(one, two));
    const port = proxy.port('web');
    const until = performance.now() + RUN_MS;
    const changeHosts = async () => {
      // Hosts leave with streams on them, and come back; clusters are made anew.
      for (let round = 1; performance.now() < until - 300; round++) {
        await pause(200);
        if (round % 5 === 0) await proxy.apply(configOf(one, two, `${round}s`));
        else
          for (const [name, ports] of [
            ['one', one],
            ['two', two],
          ] as const)
            proxy.proxy.updateEndpoints(name, endpointsOf(ports.slice(round % 2)));
      }
    };
    await Promise.all([
      changeHosts(),
      ...Array.from({ length: HTTP2_CLIENTS }, () => http2Requests(port, randomOf(random(2 ** 31)), until)),
      ...Array.from({ length: HTTP1_CLIENTS }, () => http1Requests(port, randomOf(random(2 ** 31)), until)),
    ]);
    const open = () =>
      proxy.gauges().filter(([name, value]) => value !== 0 && /_active$|_open$/.test(name) && !/(upstream|endpoint).*cx_active$|cx_open$/.test(name));
    await eventually(
      () => open().length === 0,
      () => `seed ${seed}: ${JSON.stringify(open())}`,
    );
    // No host is left: what was kept for the next request goes.
    for (const name of ['one', 'two']) {
      for (const status of [200, 503]) assert.ok(proxy.stat(`cluster.${name}.upstream_rq_${status}`) > 0, `seed ${seed}: no ${status} from ${name}`);
      proxy.proxy.updateEndpoints(name, []);
    }
    await eventually(
      () => proxy.engine.connections === 0,
      () =>
        `seed ${seed}: ${proxy.engine.connections} connections, ${JSON.stringify(proxy.gauges().filter(([name, value]) => value !== 0 && /cx_active/.test(name)))}`,
    );
    for (const name of ['one', 'two']) {
      assert.equal(proxy.stat(`cluster.${name}.upstream_cx_active`), 0);
      assert.deepEqual([...new Set(uses.get(name)?.cells)], [0], `seed ${seed}: circuit breakers of ${name}`);
    }
  });
}
