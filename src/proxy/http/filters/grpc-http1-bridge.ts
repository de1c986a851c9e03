import type { Edits } from '../../../protocol/edits.js';
import { isGrpc, isGrpcHead } from '../../../protocol/grpc/request.js';
import { GRPC } from '../../../protocol/grpc/status.js';
import { TrailerLines } from '../../../protocol/grpc/trailer-lines.js';
import type { Head } from '../../../protocol/head.js';
import { HEAD_FLAG, KNOWN_ID } from '../../../protocol/head-layout.js';
import { takesTrailers } from '../request-edits.js';
import { type FilterCall, type HttpFilter, type LocalReply, type StreamFilter, VERDICT, type Verdict } from './chain.js';

export interface GrpcBridgeOptions {
  /** A request with a Protocol Buffers message as its body becomes a gRPC call, and the message of its answer the body of the response. */
  readonly upgradeProtobuf: boolean;
  /** The query does not go upstream. */
  readonly ignoreQuery: boolean;
}

const PROTOBUF = 'application/x-protobuf';
const PREFIX_BYTES = 5;
/** Of a call with a status other than OK. */
const FAILED = 503;
/** Longest answer that is kept until its trailers have come, and longest request of unknown length that is kept until its end. */
const MAX_BYTES = 1024 * 1024;
/** What the proxy writes itself, and what is about bytes that are not sent as they came. */
const DROPPED = new Set(['date', 'server', 'content-length', 'content-type']);

/**
 * `envoy.filters.http.grpc_http1_bridge`: a gRPC call of a client that speaks HTTP/1 and knows no trailers. The answer is kept until they have come; they go into its
 * head, and a status other than OK makes it a 503. For calls with one message each way.
 */
export function grpcHttp1Bridge(options: GrpcBridgeOptions): HttpFilter {
  return {
    open(exchange, head) {
      if ((head.flags & HEAD_FLAG.HTTP_2) !== 0) return undefined;
      const upgrades = options.upgradeProtobuf && isProtobuf(head);
      if (!upgrades && !isGrpcHead(head)) return undefined;
      exchange.isGrpc = true;
      return new BridgeStream(options.ignoreQuery, upgrades, head.contentLength);
    },
  };
}

class BridgeStream implements StreamFilter {
  readonly #ignoreQuery: boolean;
  readonly #upgrades: boolean;
  readonly #contentLength: number;
  #prefixSent = false;
  /** A request of unknown length, or an answer: kept until its end. */
  #kept: Uint8Array[] = [];
  #keptBytes = 0;
  #status = 0;
  /** The response waits for its trailers. */
  #isKept = false;
  /** The response is one head, which says that the call has failed. */
  #isTrailersOnly = false;
  #lines: [string, string][] = [];

  constructor(ignoreQuery: boolean, upgrades: boolean, contentLength: number) {
    this.#ignoreQuery = ignoreQuery;
    this.#upgrades = upgrades;
    this.#contentLength = contentLength;
  }

  onRequestHead({ exchange }: FilterCall): Verdict {
    const query = this.#ignoreQuery ? exchange.path.indexOf('?') : -1;
    if (query >= 0) {
      exchange.path = exchange.path.slice(0, query);
      exchange.pathChanged = true;
    }
    return VERDICT.CONTINUE;
  }
  changeRequest(_call: FilterCall, head: Head, edits: Edits): void {
    if (this.#upgrades) edits.replace(head.lineOf(KNOWN_ID['content-type']), 'application/grpc');
  }
  appendRequest(_call: FilterCall, head: Head, edits: Edits): void {
    if (head.lineOf(KNOWN_ID.te) < 0 || !takesTrailers(head)) edits.append('te', 'trailers');
  }
  onRequestBody(call: FilterCall, bytes: Uint8Array): Uint8Array | undefined {
    if (!this.#upgrades || this.#prefixSent) return bytes;
    if (this.#contentLength >= 0) {
      this.#prefixSent = true;
      return joined([prefix(this.#contentLength), bytes]);
    }
    if (!this.#keep(bytes)) call.reply(refusal(413, 'Payload Too Large'), 'request_payload_too_large');
    return undefined;
  }
  onRequestEnd(): Uint8Array | undefined {
    if (!this.#upgrades || this.#prefixSent) return undefined;
    const body = this.#takeKept();
    return joined([prefix(body.length), body]);
  }

  onResponseHead({ exchange }: FilterCall, head: Head): Verdict {
    this.#isKept = false;
    this.#isTrailersOnly = head.ends && exchange.grpcStatus > GRPC.OK;
    if (this.#isTrailersOnly) exchange.status = FAILED;
    // What is no gRPC comes from something in between: its text is no message.
    if (head.ends || !isGrpc(head)) return VERDICT.CONTINUE;
    this.#isKept = true;
    this.#status = head.status;
    // Of an attempt before.
    this.#lines = [];
    this.#takeKept();
    for (let index = 0; index < head.count; index++) {
      const name = head.nameAt(index).toLowerCase();
      if (!head.isHopByHop(index) && !DROPPED.has(name)) this.#lines.push([name, head.valueAt(index)]);
    }
    const type = head.known('content-type');
    if (this.#upgrades) this.#lines.push(['content-type', PROTOBUF]);
    else if (type !== undefined) this.#lines.push(['content-type', type]);
    return VERDICT.STOP;
  }
  changeResponse(_call: FilterCall, _head: Head, edits: Edits): void {
    if (this.#isTrailersOnly) edits.status(FAILED);
  }
  onLocalReply(_call: FilterCall, reply: LocalReply): void {
    if (reply.grpcStatus > GRPC.OK) reply.status = FAILED;
  }
  onResponseBody(call: FilterCall, bytes: Uint8Array): Uint8Array | undefined {
    if (!this.#isKept) return bytes;
    if (!this.#keep(bytes)) call.reply(refusal(500, 'Internal Server Error'), 'response_payload_too_large');
  }
  onResponseEnd(call: FilterCall): undefined {
    if (!this.#isKept) return;
    const trailers = new TrailerLines().begin(call.trailers);
    while (trailers.next())
      if (trailers.is('grpc-status') || trailers.is('grpc-message')) this.#lines.push([trailers.name.toLowerCase(), trailers.value]);
    const { grpcStatus } = call.exchange;
    const body = this.#takeKept();
    call.respond({
      status: grpcStatus === GRPC.OK || grpcStatus < 0 ? this.#status : FAILED,
      body: this.#upgrades ? body.subarray(PREFIX_BYTES) : body,
      contentType: '',
      grpcStatus,
      headers: this.#lines,
    });
  }

  #keep(bytes: Uint8Array): boolean {
    this.#keptBytes += bytes.length;
    if (this.#keptBytes > MAX_BYTES) return false;
    this.#kept.push(bytes.slice());
    return true;
  }
  #takeKept(): Uint8Array {
    const all = joined(this.#kept);
    this.#kept = [];
    this.#keptBytes = 0;
    return all;
  }
}

const isProtobuf = (head: Head): boolean => (head.known('content-type') ?? '').split(';', 1)[0].trim().toLowerCase() === PROTOBUF;
const refusal = (status: number, text: string): LocalReply => ({
  status,
  body: Buffer.from(text),
  contentType: 'text/plain',
  grpcStatus: -1,
  headers: [],
});
function prefix(length: number): Uint8Array {
  const bytes = new Uint8Array(PREFIX_BYTES);
  new DataView(bytes.buffer).setUint32(1, length);
  return bytes;
}
function joined(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
