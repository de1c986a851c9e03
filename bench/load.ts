/** The load on a subject: wrk for requests, our own sockets for idle connections. */
import { spawn } from 'node:child_process';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import type { Http2Traffic } from './h2.js';
import { sleep, toolPath } from './process.js';

/** One scenario of `npm run bench -- proxy`. */
export interface Scenario {
  readonly name: string;
  readonly what: string;
  readonly mode: 'http' | 'tcp' | 'rpc';
  readonly path: string;
  /** Keep-alive connections (or connections at a time). */
  readonly connections: number;
  /** Bytes of a POST body; 0: GET. */
  readonly bodyBytes: number;
  /** A connection for each request. */
  readonly close: boolean;
  /** Idle connections, or streams of HTTP/2, to hold instead of sending load; 0: none. */
  readonly idle: number;
  /** What speaks HTTP/2; absent: nothing. */
  readonly h2?: Http2Traffic;
  /** RPC: the protocol (RPC_TRAFFIC) and the bytes of payload of a request and of its answer. */
  readonly rpc?: { readonly protocol: string; readonly payloadBytes: number };
}

const base = { mode: 'http', path: '/128', connections: 64, bodyBytes: 0, close: false, idle: 0 } as const;

const h2 = { front: true, back: true, grpc: false, answerBytes: 128 } as const;

/** All scenarios, in the order they run. */
export const SCENARIOS: readonly Scenario[] = [
  { ...base, name: 'small', what: 'GET, 128-byte answer, 64 keep-alive connections' },
  { ...base, name: 'body10k', what: 'GET, 10 KiB answer', path: '/10k' },
  { ...base, name: 'body1m', what: 'GET, 1 MiB answer, 16 connections', path: '/1m', connections: 16 },
  { ...base, name: 'post10k', what: 'POST of 10 KiB, 128-byte answer', bodyBytes: 10 * 1024 },
  { ...base, name: 'connect', what: 'GET, 128-byte answer, a connection for each request', close: true },
  { ...base, name: 'tcp', what: 'the load of `small` through a TCP proxy', mode: 'tcp' },
  { ...base, name: 'idle10k', what: 'resident memory of 10,000 idle keep-alive connections (rssMb: the growth)', idle: 10_000 },
  { ...base, name: 'h2small', what: 'HTTP/2 on both sides: GET, 128-byte answer, 8 connections with 32 streams each', h2 },
  { ...base, name: 'h2body10k', what: 'HTTP/2 on both sides: GET, 10 KiB answer', path: '/10k', h2: { ...h2, answerBytes: 10 * 1024 } },
  { ...base, name: 'h1toh2', what: 'the load of `small` to a server that speaks HTTP/2', h2: { ...h2, front: false } },
  { ...base, name: 'h2toh1', what: 'the load of `h2small` to a server that speaks HTTP/1', h2: { ...h2, back: false } },
  {
    ...base,
    name: 'grpc',
    what: 'unary gRPC, 128-byte messages, 8 connections with 32 streams each',
    path: '/bench.Echo/Say',
    h2: { ...h2, grpc: true },
  },
  { ...base, name: 'h2idle10k', what: 'resident memory of 10,000 open streams on 100 connections (rssMb: the growth)', h2, idle: 10_000 },
  ...['bolt', 'dubbo', 'tars', 'private'].flatMap((protocol) =>
    [128, 4096].map((payloadBytes): Scenario => {
      const [name, size] = payloadBytes === 128 ? [protocol, '128-byte'] : [`${protocol}4k`, '4 KiB'];
      const codec = protocol === 'private' ? 'a described private protocol (codecs/example)' : protocol;
      return {
        ...base,
        name,
        what: `${codec}: ${size} payloads, 8 connections with 32 requests in flight each`,
        mode: 'rpc',
        rpc: { protocol, payloadBytes },
      };
    }),
  ),
];

/** What a run of load gave. */
export interface LoadResult {
  readonly requests: number;
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Connections and requests that failed. */
  readonly errors: number;
  /** CPU of the load generator for each request, µs, where it says so. */
  readonly loadUs?: number;
}

/** Runs wrk, pinned to one core. Throws where it fails or no request came through. */
export function runWrk(root: string, core: number, port: number, scenario: Scenario, seconds: number): Promise<LoadResult> {
  const args = ['-c', String(core), toolPath('wrk'), '-t', '1', '-c', String(scenario.connections), '-d', `${seconds}s`, '--timeout', '5s'];
  args.push('-s', join(root, 'bench/load.lua'), `http://127.0.0.1:${port}${scenario.path}`);
  const env = { ...process.env, BENCH_BODY_BYTES: String(scenario.bodyBytes), BENCH_CLOSE: scenario.close ? '1' : '0' };
  return new Promise((resolve, reject) => {
    const child = spawn(toolPath('taskset'), args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString('latin1');
    });
    child.stderr.on('data', (chunk: Buffer) => {
      output += chunk.toString('latin1');
    });
    child.on('error', reject);
    child.on('close', (code) => {
      const line = /^RESULT (.+)$/m.exec(output)?.[1];
      if (code !== 0 || line === undefined) return reject(new Error(`wrk ended with code ${code}:\n${output}`));
      const result = JSON.parse(line) as Record<'requests' | 'durationUs' | 'p50Us' | 'p99Us' | 'socketErrors' | 'statusErrors', number>;
      const good = result.requests - result.statusErrors;
      if (good <= 0) return reject(new Error(`no request succeeded:\n${output}`));
      resolve({
        requests: result.requests,
        seconds: result.durationUs / 1e6,
        p50Ms: result.p50Us / 1000,
        p99Ms: result.p99Us / 1000,
        errors: result.socketErrors + result.statusErrors,
      });
    });
  });
}

/** Connections opened at a time. */
const OPENING = 100;

/**
 * Opens `count` keep-alive connections with one request on each, and gives them to `measure` once all are idle. The times are those of the first request, connecting included.
 * Throws where a connection fails.
 */
export async function withIdle<T>(port: number, count: number, measure: (result: LoadResult) => Promise<T>): Promise<T> {
  const sockets: Socket[] = [];
  const timesMs: number[] = [];
  const started = performance.now();
  try {
    const opener = async () => {
      while (sockets.length < count) {
        const from = performance.now();
        const socket = connect(port, '127.0.0.1');
        sockets.push(socket);
        await firstAnswer(socket);
        timesMs.push(performance.now() - from);
      }
    };
    await Promise.all(Array.from({ length: OPENING }, opener));
    const seconds = (performance.now() - started) / 1000;
    timesMs.sort((a, b) => a - b);
    const at = (share: number) => timesMs[Math.min(timesMs.length - 1, Math.floor(timesMs.length * share))];
    // Buffers that are released when a connection falls idle are released by then.
    await sleep(1_000);
    const closed = sockets.filter((socket) => socket.destroyed || socket.readableEnded).length;
    return await measure({ requests: timesMs.length, seconds, p50Ms: at(0.5), p99Ms: at(0.99), errors: closed });
  } finally {
    for (const socket of sockets) socket.destroy();
  }
}

const REQUEST = 'GET /128 HTTP/1.1\r\nHost: bench\r\n\r\n';

function firstAnswer(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    let answer = '';
    socket.on('data', (chunk: Buffer) => {
      answer += chunk.toString('latin1');
      const head = answer.indexOf('\r\n\r\n');
      if (head < 0 || answer.length < head + 4 + 128) return;
      if (!answer.startsWith('HTTP/1.1 200')) return reject(new Error(`an answer that is not 200: ${answer.slice(0, 60)}`));
      socket.removeAllListeners('data');
      socket.resume();
      resolve();
    });
    socket.on('error', reject);
    socket.on('end', () => reject(new Error('a connection was closed before its answer')));
    socket.on('connect', () => socket.write(REQUEST));
  });
}
