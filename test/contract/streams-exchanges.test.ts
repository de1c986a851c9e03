/** Many exchanges at once between stock clients and servers of both protocols: bodies of any size in any pieces, both ways, with trailers. On each engine. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import http from 'node:http';
import http2 from 'node:http2';
import { Edits } from '../../src/protocol/edits.js';
import { request } from '../support/frame-peer.js';
import { eventually } from '../support/peers.js';
import { type StreamStage, scenario } from '../support/stream-stage.js';

type Version = 'http1' | 'http2';
/** What a server answers: the size of its body and how it is cut; `x-in` and the trailer `x-sum` say what it has got. */
interface Plan {
  readonly method: string;
  readonly sends: number;
  readonly wants: number;
  readonly pieces: number;
  readonly hasLength: boolean;
}
interface Answer {
  readonly status: number;
  readonly bytes: number;
  readonly sum: string;
  readonly got: string;
  readonly trailer: string;
}
const SOURCE = randomBytes(1 << 20);
const sumOf = (...parts: Uint8Array[]): string => parts.reduce((hash, part) => hash.update(part), createHash('md5')).digest('hex');

interface Writes {
  write(chunk: Uint8Array, done: (error?: Error | null) => void): boolean;
}
/** Writes a body in so many pieces, each after the one before has been taken. */
async function write(to: Writes, bytes: number, pieces: number): Promise<void> {
  const size = Math.max(1, Math.ceil(bytes / pieces));
  for (let at = 0; at < bytes; at += size) {
    const piece = SOURCE.subarray(at, Math.min(bytes, at + size));
    await new Promise<void>((resolve) => to.write(piece, () => resolve()));
  }
}
const number = (value: unknown): number => Number(value ?? 0);

/** A server that reads the request and answers as its head says. */
async function serve(stage: StreamStage, version: Version): Promise<number> {
  const answer = async (
    request: AsyncIterable<Buffer>,
    headers: NodeJS.Dict<string | string[]>,
    respond: (head: Record<string, string>) => Writes & { finish(sum: string): void },
  ) => {
    const hash = createHash('md5');
    for await (const chunk of request) hash.update(chunk);
    const sum = hash.digest('hex');
    const wants = number(headers['x-wants']);
    const response = respond({ 'x-in': sum, ...(headers['x-length'] === undefined ? {} : { 'content-length': `${wants}` }) });
    await write(response, wants, number(headers['x-pieces']) || 1);
    response.finish(sum);
  };
  if (version === 'http1') {
    const server = http.createServer((request, response) => {
      void answer(request, request.headers, (head) => {
        response.writeHead(200, head);
        return {
          write: (chunk, done) => response.write(chunk, done),
          finish: (sum) => {
            if (request.headers['x-length'] === undefined) response.addTrailers({ 'x-sum': sum });
            response.end();
          },
        };
      }).catch(() => {});
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    stage.later(() => server.close().closeAllConnections());
    return (server.address() as { port: number }).port;
  }
  const server = http2.createServer();
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    void answer(stream, headers, (head) => {
      let sum = '';
      stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': sum }));
      stream.respond({ ':status': 200, ...head }, { waitForTrailers: true });
      return {
        write: (chunk, done) => stream.write(chunk, done),
        finish: (value) => {
          sum = value;
          stream.end();
        },
      };
    }).catch(() => {});
  });
  const sessions = new Set<http2.ServerHttp2Session>();
  server.on('session', (session) => void sessions.add(session));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  stage.later(() => {
    server.close();
    for (const session of sessions) session.destroy();
  });
  return (server.address() as { port: number }).port;
}

type Ask = (plan: Plan) => Promise<Answer>;
const headOf = ({ wants, pieces, hasLength, sends, method }: Plan): Record<string, string> => ({
  'x-wants': `${wants}`,
  'x-pieces': `${pieces}`,
  ...(hasLength ? { 'x-length': '1', ...(method === 'GET' ? {} : { 'content-length': `${sends}` }) } : {}),
});
async function read(body: AsyncIterable<Buffer>): Promise<{ bytes: number; sum: string }> {
  const hash = createHash('md5');
  let bytes = 0;
  for await (const chunk of body) {
    hash.update(chunk);
    bytes += chunk.length;
  }
  return { bytes, sum: hash.digest('hex') };
}
function clientOf(stage: StreamStage, version: Version, port: number): Ask {
  if (version === 'http1') {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 20 });
    stage.later(() => agent.destroy());
    return async (plan) => {
      const request = http.request({ port, agent, host: '127.0.0.1', path: '/x', method: plan.method, headers: headOf(plan) });
      const response = await new Promise<http.IncomingMessage>((resolve, reject) => {
        request.once('response', resolve);
        request.once('error', reject);
        void write({ write: (chunk, done) => request.write(chunk, done) }, plan.sends, plan.pieces).then(() => request.end());
      });
      const body = await read(response);
      return { status: response.statusCode ?? 0, ...body, got: `${response.headers['x-in']}`, trailer: response.trailers['x-sum'] ?? '' };
    };
  }
  const session = http2.connect(`http://127.0.0.1:${port}`);
  stage.later(() => session.destroy());
  return async (plan) => {
    const stream = session.request({ ':method': plan.method, ':path': '/x', ...headOf(plan) }, { endStream: plan.method === 'GET' });
    let trailer = '';
    stream.on('trailers', (trailers) => {
      trailer = `${trailers['x-sum']}`;
    });
    const headers = new Promise<http2.IncomingHttpHeaders>((resolve, reject) => {
      stream.once('response', resolve);
      stream.once('error', reject);
    });
    if (plan.method !== 'GET') void write({ write: (chunk, done) => stream.write(chunk, done) }, plan.sends, plan.pieces).then(() => stream.end());
    const head = await headers;
    const body = await read(stream);
    return { status: number(head[':status']), ...body, got: `${head['x-in']}`, trailer };
  };
}

/** Small, random, repeatable. */
function randomOf(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

for (const down of ['http1', 'http2'] as const) {
  for (const up of ['http1', 'http2'] as const) {
    scenario(`bodies of any size go both ways, many at once: ${down} to ${up}`, async (stage) => {
      const port = await serve(stage, up);
      const small = { bufferLimitBytes: 40_000 };
      const proxy = await stage.proxy({ port, down: down === 'http1' ? 'auto' : 'http2', up, downProfile: small, upProfile: small });
      const ask = clientOf(stage, down, proxy.port);
      const random = randomOf(down === up ? 7 : 11);
      const size = () => [0, 1, random(100), random(20_000), random(300_000)][random(5)];
      const plans: Plan[] = Array.from({ length: 60 }, () => {
        const method = ['GET', 'POST', 'PUT'][random(3)];
        return { method, sends: method === 'GET' ? 0 : size(), wants: size(), pieces: 1 + random(6), hasLength: random(2) === 0 };
      });
      await Promise.all(
        plans.map(async (plan) => {
          const answer = await ask(plan);
          const sent = sumOf(SOURCE.subarray(0, plan.sends));
          const hasTrailers = !plan.hasLength || (up === 'http2' && down === 'http2');
          assert.deepEqual(
            answer,
            { status: 200, bytes: plan.wants, sum: sumOf(SOURCE.subarray(0, plan.wants)), got: sent, trailer: hasTrailers ? sent : '' },
            JSON.stringify(plan),
          );
        }),
      );
      await eventually(() => proxy.byDown.size === 0, 'an exchange is left');
    });
  }
}

scenario('many streams that are cancelled leave nothing behind', async (stage) => {
  const port = await serve(stage, 'http2');
  const proxy = await stage.proxy({ port, down: 'http2', up: 'http2' });
  const session = http2.connect(`http://127.0.0.1:${proxy.port}`);
  stage.later(() => session.destroy());
  const random = randomOf(5);
  await Promise.all(
    Array.from({ length: 80 }, async () => {
      const stream = session.request({ ':path': '/x', 'x-wants': '500000', 'x-pieces': '20' });
      stream.on('error', () => {});
      stream.resume();
      const closed = new Promise((resolve) => stream.once('close', resolve));
      setTimeout(() => stream.close(http2.constants.NGHTTP2_CANCEL), random(30));
      await closed;
    }),
  );
  const ask = clientOf(stage, 'http2', proxy.port);
  assert.equal((await ask({ method: 'GET', sends: 0, wants: 700_000, pieces: 3, hasLength: false })).bytes, 700_000);
  const deadline = performance.now() + 3000;
  while (proxy.byDown.size + proxy.byUp.size > 0 && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.deepEqual([proxy.byDown.size, proxy.byUp.size], [0, 0]);
});

scenario('a handle does not come again soon', async (stage) => {
  const server = await stage.frameServer();
  const handles = new Set<number>();
  const proxy = await stage.proxy({
    port: server.port,
    down: 'http2',
    up: 'http2',
    onRequest: (_proxy, down) => {
      handles.add(down);
      return stage.engine.reply(down, new Edits().status(204));
    },
  });
  const client = await stage.frameClient(proxy);
  for (let at = 0; at < 2100; at++) {
    client.send(request(2 * at + 1, 'GET', '/'));
    await client.head(2 * at + 1);
  }
  assert.equal(handles.size, 2100);
});
