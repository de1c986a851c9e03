import type { Edits } from '../../../protocol/edits.js';
import { Base64Decoder, Base64Encoder } from '../../../protocol/grpc/base64-stream.js';
import { grpcFrame } from '../../../protocol/grpc/message-reader.js';
import { grpcWebKind, isGrpcType } from '../../../protocol/grpc/request.js';
import type { Head } from '../../../protocol/head.js';
import { KNOWN_ID } from '../../../protocol/head-layout.js';
import { takesTrailers } from '../request-edits.js';
import type { FilterCall, HttpFilter, LocalReply, StreamFilter } from './chain.js';

/** Flag of the frame that carries trailers ("gRPC-Web: Protocol differences vs gRPC over HTTP2"). */
const TRAILERS_FLAG = 0x80;
const WRONG_BODY = 'Bad gRPC-web request, invalid base64 data.';

/**
 * `envoy.filters.http.grpc_web`: a browser's gRPC-Web request becomes a gRPC request, and the response comes back with its trailers as the last frame of the body.
 * Binary and text (base64), over HTTP/1 and HTTP/2. A response that is no gRPC goes to the client as it is.
 */
export const grpcWeb: HttpFilter = {
  open(exchange, head) {
    const kind = grpcWebKind(head.known('content-type'));
    if (kind === undefined || head.method !== 'POST') return undefined;
    exchange.isGrpc = true;
    return new GrpcWebStream(head, kind === 'text');
  },
};

class GrpcWebStream implements StreamFilter {
  /** What follows `application/grpc` upstream: `+proto` and the like, or nothing. */
  readonly #format: string;
  readonly #textResponse: boolean;
  readonly #decoder: Base64Decoder | undefined;
  #encoder: Base64Encoder | undefined;
  #isGrpcResponse = false;

  constructor(head: Head, isText: boolean) {
    const [type] = (head.known('content-type') ?? '').split(';', 1);
    const plus = type.indexOf('+');
    this.#format = plus < 0 ? '' : type.slice(plus).trim().toLowerCase();
    const accept = (head.get('accept') ?? '').toLowerCase();
    this.#textResponse = accept.includes('application/grpc-web-text') || (isText && !accept.includes('application/grpc-web'));
    this.#decoder = isText ? new Base64Decoder() : undefined;
  }

  changeRequest(_call: FilterCall, head: Head, edits: Edits): void {
    edits.replace(head.lineOf(KNOWN_ID['content-type']), `application/grpc${this.#format}`);
  }
  appendRequest(_call: FilterCall, head: Head, edits: Edits): void {
    if (head.lineOf(KNOWN_ID.te) < 0 || !takesTrailers(head)) edits.append('te', 'trailers');
    if (head.indexOf('grpc-accept-encoding') < 0) edits.append('grpc-accept-encoding', 'identity,deflate,gzip');
  }
  onRequestBody(call: FilterCall, bytes: Uint8Array): Uint8Array | undefined {
    if (this.#decoder === undefined) return bytes;
    const decoded = this.#decoder.push(bytes);
    if (decoded === undefined) refuse(call);
    return decoded;
  }
  onRequestEnd(call: FilterCall): undefined {
    if (this.#decoder?.isWhole === false) refuse(call);
  }

  onResponseHead(_call: FilterCall, head: Head): undefined {
    this.#isGrpcResponse = isGrpcType(head.known('content-type'));
    this.#encoder = this.#isGrpcResponse && this.#textResponse ? new Base64Encoder() : undefined;
  }
  changeResponse(_call: FilterCall, head: Head, edits: Edits): void {
    if (this.#isGrpcResponse) edits.replace(head.lineOf(KNOWN_ID['content-type']), this.#responseType(head.known('content-type') ?? ''));
  }
  onResponseBody(_call: FilterCall, bytes: Uint8Array): Uint8Array | undefined {
    return this.#encoder === undefined ? bytes : this.#encoder.push(bytes);
  }
  onResponseEnd(call: FilterCall): Uint8Array | undefined {
    if (!this.#isGrpcResponse) return undefined;
    const frame = grpcFrame(trailerFrame(call.trailers), TRAILERS_FLAG);
    call.trailers = new Uint8Array(0);
    if (this.#encoder === undefined) return frame;
    const [text, rest] = [this.#encoder.push(frame).slice(), this.#encoder.end()];
    const all = new Uint8Array(text.length + rest.length);
    all.set(text);
    all.set(rest, text.length);
    return all;
  }
  onLocalReply(_call: FilterCall, reply: LocalReply): void {
    if (reply.grpcStatus >= 0) reply.contentType = this.#responseType('');
  }

  /** The type of the response: with the format that the upstream names, else `+proto`. */
  #responseType(type: string): string {
    const plus = type.indexOf('+');
    return `application/grpc-web${this.#textResponse ? '-text' : ''}${plus < 0 ? '+proto' : type.slice(plus)}`;
  }
}

function refuse(call: FilterCall): void {
  const reply = { status: 400, body: Buffer.from(WRONG_BODY), contentType: 'text/plain', grpcStatus: -1, headers: [] };
  call.reply(reply, 'grpc_base_64_decode_failed');
}

/** Trailers as the frame has them: names in lower case, no space after the colon ("gRPC-Web: Message framing"). */
function trailerFrame(lines: Uint8Array): Uint8Array {
  const out = new Uint8Array(lines.length);
  let length = 0;
  let inName = true;
  for (let at = 0; at < lines.length; at++) {
    const byte = lines[at];
    if (inName && byte === 0x3a) {
      inName = false;
      out[length++] = byte;
      while (lines[at + 1] === 0x20) at++;
      continue;
    }
    out[length++] = inName && byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
    if (byte === 0x0a) inName = true;
  }
  return out.subarray(0, length);
}
