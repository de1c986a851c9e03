/** The services behind the proxy in the soak: HTTP ones that answer, stall or die, and a TCP echo. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTcpServer, type Socket, type Server as TcpServer } from 'node:net';
import { sleep } from './process.js';

/** Body of `/bytes/N`: a pattern, so that a lost or doubled piece is seen. */
export function pattern(count: number): Buffer {
  const bytes = Buffer.allocUnsafe(count);
  for (let i = 0; i < count; i++) bytes[i] = (i * 31 + (i >> 8)) & 0xff;
  return bytes;
}

/** An HTTP service that can be killed and started again on its port. */
export class Upstream {
  readonly port: number;
  /** When it was last down: from, to (Infinity while it is), on `performance.now()`. */
  readonly outages: { readonly from: number; to: number }[] = [];
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;

  constructor(port: number) {
    this.port = port;
  }
  /** Connections that are open. */
  get connections(): number {
    return this.#sockets.size;
  }
  async start(): Promise<void> {
    const server = createServer({ keepAliveTimeout: 120_000, requestTimeout: 0, headersTimeout: 0 }, answer);
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
    await new Promise<void>((resolve, reject) => {
      server.on('error', reject);
      server.listen(this.port, '127.0.0.1', 1024, resolve);
    });
    this.#server = server;
  }
  /** Dies with all its connections, half of the time by RST, and comes back after `downMs`. */
  async restart(downMs: number, byReset: boolean): Promise<void> {
    const outage = { from: performance.now(), to: Number.POSITIVE_INFINITY };
    this.outages.push(outage);
    this.stop(byReset);
    await sleep(downMs);
    await this.start();
    outage.to = performance.now();
  }
  stop(byReset = false): void {
    this.#server?.close();
    for (const socket of this.#sockets) {
      if (byReset) socket.resetAndDestroy();
      else socket.destroy();
    }
  }
  /** True where it was down at some time since `from`. */
  diedSince(from: number): boolean {
    // What was sent just before the outage may be answered with an error a moment after it.
    return this.outages.some((outage) => outage.to + 1_000 >= from);
  }
}

function answer(request: IncomingMessage, response: ServerResponse): void {
  const [, what, argument] = (request.url ?? '/').split('/');
  request.on('error', () => response.destroy());
  if (what === 'bytes') {
    request.resume();
    response.setHeader('content-length', Number(argument));
    response.end(pattern(Number(argument)));
  } else if (what === 'chunked') {
    request.resume();
    const body = pattern(Number(argument));
    for (let at = 0; at < body.length; at += 1_500) response.write(body.subarray(at, at + 1_500));
    response.end();
  } else if (what === 'slow') {
    request.resume();
    setTimeout(() => response.end('slow'), Number(argument));
  } else if (what === 'die') {
    // In the middle of a body with known length.
    request.resume();
    response.setHeader('content-length', 100_000);
    response.write(pattern(50_000), () => request.socket.resetAndDestroy());
  } else if (what === 'early') {
    // Answers before the request body is there.
    response.writeHead(413, { 'content-length': '5' }).end('early');
    request.resume();
  } else if (what === 'close') {
    request.resume();
    response.setHeader('connection', 'close');
    response.end('close');
  } else {
    // Echo.
    response.setHeader('x-id', request.headers['x-id'] ?? '');
    if (request.headers['content-length'] !== undefined) response.setHeader('content-length', request.headers['content-length']);
    request.pipe(response);
  }
}

/** A TCP echo service. */
export class Echo {
  readonly port: number;
  readonly #sockets = new Set<Socket>();
  readonly #server: TcpServer;

  constructor(port: number) {
    this.port = port;
    this.#server = createTcpServer({ allowHalfOpen: true }, (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      socket.on('error', () => socket.destroy());
      socket.pipe(socket);
    });
  }
  get connections(): number {
    return this.#sockets.size;
  }
  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.on('error', reject);
      this.#server.listen(this.port, '127.0.0.1', 1024, resolve);
    });
  }
  stop(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}
