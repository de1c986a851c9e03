/** Ends of HTTP/2 for tests, on `node:http2`: a server that answers as a test says, and requests that collect their answers. */
import assert from 'node:assert/strict';
import http2, {
  type ClientHttp2Session,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo } from 'node:net';

export interface Answer {
  readonly headers: IncomingHttpHeaders & { readonly ':status'?: number };
  readonly body: Buffer;
  readonly trailers: IncomingHttpHeaders | undefined;
  /** 1xx statuses that came before. */
  readonly early: number[];
}

export type OnStream = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, body: Buffer) => void;

/** An HTTP/2 server on loopback; `onRequest` is called when a request is whole, `onStream` when its head is there. */
export class Http2Server {
  readonly sessions: ServerHttp2Session[] = [];
  readonly #server: http2.Http2Server;
  requests = 0;

  private constructor(server: http2.Http2Server) {
    this.#server = server;
  }
  static async open(
    answer: { readonly onRequest?: OnStream; readonly onStream?: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void },
    settings: http2.Settings = {},
  ): Promise<Http2Server> {
    const server = http2.createServer({ settings });
    const made = new Http2Server(server);
    server.on('session', (session) => {
      made.sessions.push(session);
      session.on('error', () => {});
    });
    server.on('stream', (stream, headers) => {
      made.requests++;
      stream.on('error', () => {});
      answer.onStream?.(stream, headers);
      if (answer.onRequest === undefined) return;
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => answer.onRequest?.(stream, headers, Buffer.concat(chunks)));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return made;
  }
  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }
  close(): void {
    for (const session of this.sessions) session.destroy();
    this.#server.close();
  }
}

/** A client session on loopback. */
export async function http2Client(port: number, options: http2.ClientSessionOptions = {}): Promise<ClientHttp2Session> {
  const session = http2.connect(`http://127.0.0.1:${port}`, options);
  session.on('error', () => {});
  await new Promise<void>((resolve, reject) => session.once('connect', () => resolve()).once('error', reject));
  return session;
}

/** Sends one request and waits for all of its answer. Rejects with the stream's error (`code`, `rstCode`). */
export function ask(
  session: ClientHttp2Session,
  headers: OutgoingHttpHeaders,
  body?: Buffer | string,
  trailers?: OutgoingHttpHeaders,
): Promise<Answer> {
  const stream = session.request(headers, { endStream: body === undefined && trailers === undefined, waitForTrailers: trailers !== undefined });
  if (trailers !== undefined) stream.on('wantTrailers', () => stream.sendTrailers(trailers));
  if (body !== undefined || trailers !== undefined) stream.end(body ?? '');
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const early: number[] = [];
    let got: Answer['headers'] | undefined;
    let trailing: IncomingHttpHeaders | undefined;
    stream.on('headers', (heads) => early.push(Number(heads[':status'])));
    stream.on('response', (heads) => {
      got = heads;
    });
    stream.on('trailers', (heads) => {
      trailing = heads;
    });
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('error', (error) => reject(Object.assign(error, { rstCode: stream.rstCode })));
    stream.on('close', () => {
      if (got === undefined || stream.rstCode !== 0)
        reject(Object.assign(new Error(`stream closed with ${stream.rstCode}`), { rstCode: stream.rstCode, headers: got }));
      else resolve({ headers: got, body: Buffer.concat(chunks), trailers: trailing, early });
    });
  });
}

/** The code that a stream is reset with, where it must not be answered. */
export async function resetCodeOf(answer: Promise<Answer>): Promise<number> {
  return answer.then(
    ({ headers }) => assert.fail(`answered ${headers[':status']}`),
    (error: { rstCode: number }) => error.rstCode,
  );
}
