/** A gRPC server and client made of `node:http2`: what they send and get is seen as it is on the wire. */
import { once } from 'node:events';
import http2, { type ClientHttp2Session, type IncomingHttpHeaders, type OutgoingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { grpcFrame } from '../../src/protocol/grpc/message-reader.js';

const TRAILERS_ONLY = { ':status': 200, 'content-type': 'application/grpc' };

/** One call at the server. */
export class ServerCall {
  readonly stream: ServerHttp2Stream;
  readonly headers: IncomingHttpHeaders;
  /** Name of the error that the stream was reset with. */
  resetWith: number | undefined = undefined;
  isClosed = false;

  constructor(stream: ServerHttp2Stream, headers: IncomingHttpHeaders) {
    this.stream = stream;
    this.headers = headers;
    stream.on('error', () => {});
    stream.on('close', () => {
      this.isClosed = true;
      this.resetWith = stream.rstCode;
    });
  }
  /** All of the request's body. */
  async body(): Promise<Buffer> {
    const chunks: Buffer[] = [];
    for await (const chunk of this.stream) chunks.push(chunk as Buffer);
    return Buffer.concat(chunks);
  }
  /** Messages, then trailers. */
  answer(messages: readonly string[], status = 0, message = ''): void {
    this.stream.respond({ ':status': 200, 'content-type': 'application/grpc+proto' }, { waitForTrailers: true });
    const trailers = { 'grpc-status': `${status}`, ...(message === '' ? {} : { 'grpc-message': message }), 'x-trailer': 'seen' };
    this.stream.on('wantTrailers', () => this.stream.sendTrailers(trailers));
    for (const text of messages) this.stream.write(grpcFrame(Buffer.from(text)));
    this.stream.end();
  }
  /** Nothing but a head. */
  fail(status: number, message = ''): void {
    this.stream.respond(
      { ...TRAILERS_ONLY, 'grpc-status': `${status}`, ...(message === '' ? {} : { 'grpc-message': message }) },
      { endStream: true },
    );
  }
}

export class GrpcServer {
  readonly port: number;
  readonly calls: ServerCall[] = [];
  connections = 0;
  readonly #server: http2.Http2Server;
  readonly #sockets = new Set<Socket>();
  onCall: (call: ServerCall) => void = (call) => call.answer(['hello']);

  private constructor(server: http2.Http2Server) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    server.on('connection', (socket: Socket) => {
      this.connections++;
      this.#sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => this.#sockets.delete(socket));
    });
    server.on('sessionError', () => {});
    server.on('stream', (stream, headers) => {
      const call = new ServerCall(stream, headers);
      this.calls.push(call);
      this.onCall(call);
    });
  }
  static async open(onCall?: (call: ServerCall) => void): Promise<GrpcServer> {
    const server = http2.createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const opened = new GrpcServer(server);
    if (onCall !== undefined) opened.onCall = onCall;
    return opened;
  }
  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }
}

/** What a client got. */
export interface GrpcAnswer {
  readonly headers: IncomingHttpHeaders;
  readonly trailers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** The response was a head alone. */
  readonly isTrailersOnly: boolean;
  /** grpc-status of the head or the trailers. */
  readonly status: string | undefined;
}

export class GrpcClient {
  readonly session: ClientHttp2Session;
  constructor(port: number) {
    this.session = http2.connect(`http://127.0.0.1:${port}`);
    this.session.on('error', () => {});
  }
  open(path = '/pkg.Greeter/Hello', more: OutgoingHttpHeaders = {}): http2.ClientHttp2Stream {
    const headers = { ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers', ...more };
    return this.session.request(headers, { endStream: false });
  }
  async call(path?: string, more?: OutgoingHttpHeaders, body: Uint8Array = grpcFrame(Buffer.from('hi'))): Promise<GrpcAnswer> {
    const stream = this.open(path, more);
    stream.end(body);
    return GrpcClient.answerOf(stream);
  }
  static async answerOf(stream: http2.ClientHttp2Stream): Promise<GrpcAnswer> {
    let headers: IncomingHttpHeaders = {};
    let trailers: IncomingHttpHeaders = {};
    let isTrailersOnly = false;
    const chunks: Buffer[] = [];
    stream.on('response', (found, flags) => {
      headers = found;
      isTrailersOnly = (flags & http2.constants.NGHTTP2_FLAG_END_STREAM) !== 0;
    });
    stream.on('trailers', (found) => {
      trailers = found;
    });
    for await (const chunk of stream) chunks.push(chunk as Buffer);
    const status = (trailers['grpc-status'] ?? headers['grpc-status']) as string | undefined;
    return { headers, trailers, body: Buffer.concat(chunks), isTrailersOnly, status };
  }
  close(): void {
    this.session.destroy();
  }
}
