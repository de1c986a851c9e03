/** A server of Node's own, in HTTP/1 or HTTP/2: node:http and node:http2 take the same handler. */
import { createHash } from 'node:crypto';
import { createServer as createHttp1Server, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createHttp2Server, type Http2ServerRequest, type Http2ServerResponse, type ServerHttp2Session } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import type { TestContext } from 'node:test';
import type { HttpVersion } from '../../support/http2-config.js';

type AnyRequest = IncomingMessage | Http2ServerRequest;
type AnyResponse = ServerResponse | Http2ServerResponse;

/** What a server has seen. */
export interface WebServer {
  readonly port: number;
  /** `VERSION METHOD TARGET` of each request. */
  readonly requests: string[];
  /** Targets whose request or response was cut off before its end. */
  readonly aborted: string[];
}

const PIECE = Buffer.alloc(16_384, 'x');
/** Digest that /upload answers with. */
export const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
/** Lets a response take so many bytes, no faster than its reader. */
async function writeBytes(response: ServerResponse, bytes: number): Promise<void> {
  for (let left = bytes; left > 0 && !response.destroyed; left -= PIECE.length)
    if (!response.write(PIECE.subarray(0, Math.min(left, PIECE.length))))
      await new Promise<void>((resolve) => {
        const go = () => {
          response.off('drain', go).off('close', go);
          resolve();
        };
        response.on('drain', go).on('close', go);
      });
}

/**
 * /hello answers when the request has ended; /upload with the length and digest of the body; /echo with the body, as it comes; /big?N with N bytes;
 * /early with 413 before the body has come; /trailers with trailers; /status/N with N; /hints with a 103 before.
 */
function handle(request: AnyRequest, response: AnyResponse): void {
  const [path, query = ''] = (request.url ?? '').split('?');
  const out = response as ServerResponse;
  const [, status] = /^\/status\/(\d+)$/.exec(path) ?? [];
  if (path === '/early') {
    out.writeHead(413, { 'content-type': 'text/plain' });
    out.end('too large\n');
  } else if (path === '/echo') {
    out.writeHead(200);
    request.pipe(out);
  } else if (path === '/upload') {
    const hash = createHash('sha256');
    let bytes = 0;
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      hash.update(chunk);
    });
    request.on('end', () => out.end(`${bytes} ${hash.digest('hex')}`));
  } else {
    request.resume();
    request.on('end', async () => {
      if (path === '/big') {
        out.writeHead(200, { 'content-type': 'application/octet-stream' });
        await writeBytes(out, Number(query));
        out.end();
      } else if (path === '/trailers') {
        out.writeHead(200, { trailer: 'x-sum' });
        out.write('body');
        out.addTrailers({ 'x-sum': '4' });
        out.end();
      } else if (path === '/hints') {
        out.writeEarlyHints({ link: '</style.css>; rel=preload' });
        out.end('hinted\n');
      } else {
        out.writeHead(status === undefined ? 200 : Number(status), { 'content-type': 'text/plain', 'x-method': request.method ?? '' });
        out.end(status === '204' || status === '304' ? undefined : 'hello from the server\n');
      }
    });
  }
}

/** Opens one; it closes with the test. */
export async function openWebServer(context: TestContext, version: HttpVersion): Promise<WebServer> {
  const requests: string[] = [];
  const aborted: string[] = [];
  const listener = (request: AnyRequest, response: AnyResponse) => {
    requests.push(`${request.httpVersion} ${request.method} ${request.url}`);
    response.on('close', () => {
      if (!response.writableFinished) aborted.push(request.url ?? '');
    });
    // Who goes away is of no interest here.
    request.on('error', () => {});
    response.on('error', () => {});
    handle(request, response);
  };
  const server = version === 'HTTP1' ? createHttp1Server(listener) : createHttp2Server(listener);
  const sessions = new Set<ServerHttp2Session>();
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket)).on('error', () => {});
  });
  server.on('session', (session: ServerHttp2Session) => {
    sessions.add(session);
    session.on('close', () => sessions.delete(session)).on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  context.after(async () => {
    const closed = new Promise((resolve) => server.close(resolve));
    for (const session of sessions) session.destroy();
    for (const socket of sockets) socket.destroy();
    await closed;
  });
  return { port: (server.address() as AddressInfo).port, requests, aborted };
}
