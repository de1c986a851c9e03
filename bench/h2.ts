/** The HTTP/2 scenarios: their load (h2load), a request that shows who answers, and streams that are held open. */
import { spawn } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import type { LoadResult, Scenario } from './load.js';
import { type Running, sleep, toolPath } from './process.js';

/** What speaks HTTP/2 in a scenario; the other side speaks HTTP/1. */
export interface Http2Traffic {
  /** The client, and the server. */
  readonly front: boolean;
  readonly back: boolean;
  /** Unary gRPC: a message of 128 bytes each way. */
  readonly grpc: boolean;
  /** Of an answer. */
  readonly answerBytes: number;
}

/** An answer that the benchmark did not ask for: what was measured is not what the scenario says. */
export class WrongAnswer extends Error {}

/** Clients of h2load, and their streams in flight. */
const CLIENTS = 8;
const DEPTH = 32;
const GRPC_HEADERS = { 'content-type': 'application/grpc', te: 'trailers' } as const;
const GRPC_MESSAGE_BYTES = 128;

function grpcMessage(): Buffer {
  const message = Buffer.alloc(5 + GRPC_MESSAGE_BYTES, 'x');
  message.writeUInt8(0, 0);
  message.writeUInt32BE(GRPC_MESSAGE_BYTES, 1);
  return message;
}

/** Runs h2load, pinned to one core. Throws a WrongAnswer where any request failed or was not answered with 2xx. */
export function runH2load(folder: string, core: number, port: number, scenario: Scenario, seconds: number): Promise<LoadResult> {
  const log = join(folder, `h2load-${port}.log`);
  const args = ['-c', String(core), toolPath('h2load'), '-t', '1', '-c', String(CLIENTS), '-m', String(DEPTH), '-D', String(seconds)];
  if (scenario.h2?.grpc === true) {
    const body = join(folder, 'grpc-message');
    writeFileSync(body, grpcMessage());
    args.push('-d', body, ...Object.entries(GRPC_HEADERS).flatMap(([name, value]) => ['-H', `${name}: ${value}`]));
  }
  // It appends to a log that is there.
  rmSync(log, { force: true });
  args.push('--log-file', log, `http://127.0.0.1:${port}${scenario.path}`);
  return new Promise((resolve, reject) => {
    const child = spawn(toolPath('taskset'), args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString('latin1');
    });
    child.stderr.on('data', (chunk: Buffer) => {
      output += chunk.toString('latin1');
    });
    child.on('error', reject);
    child.on('close', (code) => {
      const line = /^requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout$/m.exec(output);
      const statuses = /^status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx$/m.exec(output);
      if (code !== 0 || line === null || statuses === null) return reject(new Error(`h2load ended with code ${code}:\n${output}`));
      const [done, succeeded, failed, errored, timedOut] = line.slice(1).map(Number);
      // An answer that has begun when the time is over counts as a status, not as done.
      const [good, ...others] = statuses.slice(1).map(Number);
      const bad = others.reduce((sum, count) => sum + count, 0);
      if (done === 0 || good === 0) return reject(new WrongAnswer(`no request was answered with 2xx:\n${output}`));
      if (failed + errored + timedOut + bad > 0 || succeeded !== done)
        return reject(new WrongAnswer(`${bad} of ${done} answers were not 2xx, ${failed} requests failed (${errored} errors, ${timedOut} timeouts)`));
      const timesUs = readTimes(log);
      rmSync(log, { force: true });
      const at = (share: number) => (timesUs[Math.min(timesUs.length - 1, Math.floor(timesUs.length * share))] ?? 0) / 1000;
      resolve({ requests: done, seconds, p50Ms: at(0.5), p99Ms: at(0.99), errors: 0 });
    });
  });
}

/** Times of the requests in the log of h2load, sorted: start, status and µs a line. */
function readTimes(log: string): Float64Array {
  const bytes = readFileSync(log);
  const times: number[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = bytes.indexOf(0x0a, at);
    if (end < 0) break;
    times.push(Number(bytes.toString('latin1', bytes.lastIndexOf(0x09, end) + 1, end)));
    at = end + 1;
  }
  return Float64Array.from(times).sort();
}

/** What an answer says of who made it. */
interface Seen {
  readonly status: number;
  readonly backend: string;
  readonly bytes: number;
  readonly grpcStatus: string;
}

/** Sends one request as the scenario's client does, and throws a WrongAnswer where it is not answered as its server does. */
export async function checkAnswer(port: number, path: string, traffic: Http2Traffic): Promise<void> {
  const seen = await (traffic.front ? askHttp2(port, path, traffic.grpc) : askHttp1(port, path));
  const backend = traffic.back ? 'h2' : 'h1';
  const wanted: Seen = {
    status: 200,
    backend,
    bytes: traffic.answerBytes + (traffic.grpc ? 5 : 0),
    grpcStatus: traffic.grpc ? '0' : '',
  };
  if (JSON.stringify(seen) !== JSON.stringify(wanted)) throw new WrongAnswer(`answered ${JSON.stringify(seen)}, not ${JSON.stringify(wanted)}`);
}

const PROBE_MS = 5000;

function askHttp2(port: number, path: string, grpc: boolean): Promise<Seen> {
  return new Promise((resolve, reject) => {
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    const failed = (error: Error) => {
      session.destroy();
      reject(new WrongAnswer(`a request over HTTP/2 failed: ${error.message}`));
    };
    session.on('error', failed);
    const stream = session.request({ ':path': path, ...(grpc ? { ':method': 'POST', ...GRPC_HEADERS } : {}) }, { endStream: !grpc });
    let [status, backend, bytes, grpcStatus] = [0, '', 0, ''];
    stream.setTimeout(PROBE_MS, () => failed(new Error('no answer')));
    stream.on('response', (headers) => {
      status = Number(headers[':status']);
      backend = String(headers['x-backend'] ?? '');
    });
    stream.on('trailers', (headers) => {
      grpcStatus = String(headers['grpc-status'] ?? '');
    });
    stream.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    stream.on('error', failed);
    stream.on('end', () => {
      session.close();
      resolve({ status, backend, bytes, grpcStatus });
    });
    if (grpc) stream.end(grpcMessage());
  });
}

function askHttp1(port: number, path: string): Promise<Seen> {
  return new Promise((resolve, reject) => {
    const failed = (error: Error) => reject(new WrongAnswer(`a request over HTTP/1 failed: ${error.message}`));
    const call = request({ host: '127.0.0.1', port, path, agent: false, timeout: PROBE_MS }, (response) => {
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
      });
      response.on('error', failed);
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, backend: String(response.headers['x-backend'] ?? ''), bytes, grpcStatus: '' }),
      );
    });
    call.on('timeout', () => call.destroy(new Error('no answer')));
    call.on('error', failed);
    call.end();
  });
}

/** Streams on each connection that is held: the peers' default bound. */
export const IDLE_STREAMS_PER_CONNECTION = 100;
const OPENING_MS = 20_000;

/**
 * Opens `count` streams, each with a request whose end never comes, and gives them to `measure` once all have reached `server` (bench/h2_backend.cc). The one
 * time of the result is how long that took. Throws where they do not get there, or a connection is closed.
 */
export async function withIdleStreams<T>(port: number, count: number, server: Running, measure: (result: LoadResult) => Promise<T>): Promise<T> {
  const held: HeldConnection[] = [];
  const started = performance.now();
  const before = await openStreams(server);
  try {
    for (let left = count; left > 0; left -= IDLE_STREAMS_PER_CONNECTION)
      held.push(new HeldConnection(port, Math.min(left, IDLE_STREAMS_PER_CONNECTION)));
    const end = started + OPENING_MS;
    for (let open = 0; open < count; open = (await openStreams(server)) - before) {
      const broken = held.find((connection) => connection.fault !== '');
      if (broken !== undefined) throw new WrongAnswer(broken.fault);
      if (performance.now() > end) throw new WrongAnswer(`only ${open} of ${count} streams reached the server in ${OPENING_MS} ms`);
      await sleep(50);
    }
    const openedMs = performance.now() - started;
    // Buffers that are released when a connection falls quiet are released by then.
    await sleep(1000);
    const errors = held.filter((connection) => connection.fault !== '').length;
    return await measure({ requests: count, seconds: openedMs / 1000, p50Ms: openedMs, p99Ms: openedMs, errors });
  } finally {
    for (const connection of held) connection.destroy();
  }
}

/** How many requests wait at the server. */
async function openStreams(server: Running): Promise<number> {
  const before = [...server.output().matchAll(/^open (\d+)$/gm)].length;
  process.kill(server.pid, 'SIGUSR1');
  for (const end = performance.now() + 2000; performance.now() < end; await sleep(5)) {
    const lines = [...server.output().matchAll(/^open (\d+)$/gm)];
    if (lines.length > before) return Number(lines[lines.length - 1][1]);
  }
  throw new Error('the server does not say how many streams are open');
}

const FRAME = { HEADERS: 1, RST_STREAM: 3, SETTINGS: 4, PING: 6, GOAWAY: 7 } as const;
const frame = (type: number, flags: number, stream: number, payload: Uint8Array = Buffer.alloc(0)): Buffer => {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
};
/** POST /128 with the authority `bench`, out of the static table. */
const HEADER_BLOCK = Buffer.concat([Buffer.of(0x83, 0x86, 0x04, 4), Buffer.from('/128'), Buffer.of(0x01, 5), Buffer.from('bench')]);

/** A connection whose requests have a head and no end. It answers what it must, and notes what it should not get. */
class HeldConnection {
  /** Why it is of no use any more; empty: it is. */
  fault = '';
  readonly #socket: Socket;
  #input: Buffer = Buffer.alloc(0);

  constructor(port: number, streams: number) {
    this.#socket = connect(port, '127.0.0.1');
    const requests = Array.from({ length: streams }, (_, index) => frame(FRAME.HEADERS, 4, 1 + 2 * index, HEADER_BLOCK));
    this.#socket.write(Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), frame(FRAME.SETTINGS, 0, 0), ...requests]));
    this.#socket.on('data', (chunk: Buffer) => this.#read(chunk));
    this.#socket.on('error', (error) => this.#fail(error.message));
    this.#socket.on('end', () => this.#fail('a connection with open streams was closed'));
  }
  destroy(): void {
    this.#socket.destroy();
  }
  #fail(why: string): void {
    if (this.fault === '') this.fault = why;
  }
  #read(chunk: Buffer): void {
    this.#input = Buffer.concat([this.#input, chunk]);
    while (this.#input.length >= 9) {
      const end = 9 + this.#input.readUIntBE(0, 3);
      if (this.#input.length < end) return;
      const [type, flags, payload] = [this.#input[3], this.#input[4], this.#input.subarray(9, end)];
      this.#input = this.#input.subarray(end);
      if (type === FRAME.SETTINGS && flags === 0) this.#socket.write(frame(FRAME.SETTINGS, 1, 0));
      if (type === FRAME.PING && flags === 0) this.#socket.write(frame(FRAME.PING, 1, 0, payload));
      if (type === FRAME.HEADERS) this.#fail('a request whose end had not come was answered');
      if (type === FRAME.RST_STREAM) this.#fail(`a stream was reset: error ${payload.readUInt32BE(0)}`);
      if (type === FRAME.GOAWAY) this.#fail(`GOAWAY: error ${payload.readUInt32BE(4)}`);
    }
  }
}
