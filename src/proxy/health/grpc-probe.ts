import type { CloseReason, ConnectionHandler, ConnectOptions, Engine } from '../../network/engine.js';
import { ByteWriter } from '../../protocol/byte-writer.js';
import type { Edits } from '../../protocol/edits.js';
import { grpcFrame } from '../../protocol/grpc/message-reader.js';
import { isGrpcType } from '../../protocol/grpc/request.js';
import { GRPC, parseGrpcStatus } from '../../protocol/grpc/status.js';
import type { TrailerLines } from '../../protocol/grpc/trailer-lines.js';
import type { Head } from '../../protocol/head.js';
import { ProtobufReader, WIRE } from '../../protocol/protobuf-reader.js';
import type { Probe, ProbeOwner, ProbeResult } from './health-check.js';

/** How `grpc.health.v1.Health/Check` is called. */
export interface GrpcProbeOptions {
  /** Empty: the server as a whole. */
  readonly service: string;
  readonly authority: string;
  readonly metadata: readonly (readonly [name: string, value: string])[];
  /** Default true: one connection for all checks. */
  readonly reuseConnection: boolean;
}
/** What probes are made with. */
export interface ProbeContext {
  readonly engine: Engine;
  readonly edits: Edits;
  readonly trailerLines: TrailerLines;
}

/** Answers are small: a longer one is none. */
const MAX_ANSWER_BYTES = 4096;
/** `HealthCheckResponse.ServingStatus.SERVING`. */
const SERVING = 1;
const PREFIX_BYTES = 5;

/** Asks a host with the standard health service, on an HTTP/2 connection of its own. */
export class GrpcProbe implements Probe, ConnectionHandler {
  readonly #context: ProbeContext;
  readonly #connect: ConnectOptions;
  readonly #options: GrpcProbeOptions;
  readonly #owner: ProbeOwner;
  readonly #request: Uint8Array;
  #connection = 0;
  #isReady = false;
  #isLeaving = false;
  #call: Call | undefined = undefined;
  /** A check waits for the connection. */
  #waits = false;

  /** `connect`: its profile is an upstream one of HTTP/2. */
  constructor(context: ProbeContext, connect: ConnectOptions, options: GrpcProbeOptions, owner: ProbeOwner) {
    this.#context = context;
    this.#connect = connect;
    this.#options = options;
    this.#owner = owner;
    this.#request = grpcFrame(options.service === '' ? new Uint8Array(0) : serviceField(options.service));
  }
  start(): void {
    const { engine } = this.#context;
    if (this.#isLeaving) this.#drop();
    this.#waits = true;
    if (this.#connection === 0) this.#connection = engine.connect(this.#connect, this);
    else if (this.#isReady) this.#ask();
  }
  cancel(): void {
    this.#waits = false;
    this.#call = undefined;
    // What did not answer in time may not answer the next time either.
    this.#drop();
  }
  close(): void {
    this.cancel();
  }

  // ---- the connection -------------------------------------------------------------------------------------------------------------------

  onStreamLimit(connection: number, streams: number): void {
    if (connection !== this.#connection || streams === 0) return;
    this.#isReady = true;
    if (this.#waits) this.#ask();
  }
  onGoAway(connection: number): void {
    if (connection === this.#connection) this.#isLeaving = true;
  }
  onFault(): void {}
  onTimeout(connection: number): void {
    if (connection === this.#connection && this.#call === undefined) this.#drop();
  }
  onClosed(connection: number): void {
    if (connection !== this.#connection) return;
    this.#forget();
    if (this.#waits) this.#end('network');
  }

  #ask(): void {
    const { engine, edits } = this.#context;
    this.#waits = false;
    const call = new Call(this, this.#context);
    this.#call = call;
    call.handle = engine.openStream(this.#connection, call);
    edits.reset().method('POST').target('/grpc.health.v1.Health/Check');
    edits
      .append('host', this.#options.authority)
      .append('content-type', 'application/grpc')
      .append('te', 'trailers')
      .append('user-agent', 'Envoy/HC');
    for (const [name, value] of this.#options.metadata) edits.append(name, value);
    if (call.handle !== 0 && engine.request(call.handle, edits, this.#request)) return;
    // Its ids are used up, or it goes: the next check has a new one. Told later, as every result is.
    this.#call = undefined;
    this.#waits = true;
    this.#isReady = false;
    engine.close(this.#connection, 'now');
  }
  /** The call has ended. */
  ended(call: Call, result: ProbeResult): void {
    if (call !== this.#call) return;
    this.#end(result);
  }
  #end(result: ProbeResult): void {
    this.#waits = false;
    this.#call = undefined;
    if (!this.#options.reuseConnection || this.#isLeaving) this.#drop();
    this.#owner.probed(result);
  }
  #drop(): void {
    const connection = this.#connection;
    this.#forget();
    if (connection !== 0) this.#context.engine.close(connection, 'now');
  }
  #forget(): void {
    this.#connection = 0;
    this.#isReady = false;
    this.#isLeaving = false;
  }
}

/** One check. */
class Call implements ConnectionHandler {
  handle = 0;
  readonly #probe: GrpcProbe;
  readonly #context: ProbeContext;
  readonly #answer = new ByteWriter();
  #isBroken = false;
  #result: ProbeResult = 'network';

  constructor(probe: GrpcProbe, context: ProbeContext) {
    this.#probe = probe;
    this.#context = context;
  }
  onHead(stream: number, head: Head): void {
    const { engine } = this.#context;
    if (head.status < 200) {
      engine.show(stream);
      return;
    }
    if (head.ends || head.status !== 200 || !isGrpcType(head.known('content-type'))) {
      // An answer without a message is none that says SERVING; a host without the service is not healthy either.
      this.#result = head.status === 200 && parseGrpcStatus(head.known('grpc-status')) < 0 ? 'network' : 'unhealthy';
      engine.close(stream, 'now');
      return;
    }
    engine.show(stream);
  }
  onBody(_stream: number, bytes: Uint8Array): void {
    if (this.#answer.length + bytes.length > MAX_ANSWER_BYTES) this.#isBroken = true;
    else this.#answer.bytes(bytes);
  }
  onTrailers(_stream: number, trailers: Uint8Array): void {
    const status = this.#context.trailerLines.grpcStatus(trailers);
    this.#result = status === GRPC.OK && !this.#isBroken && servingStatus(this.#answer.view) === SERVING ? 'healthy' : 'unhealthy';
  }
  onFault(stream: number): void {
    this.#context.engine.close(stream, 'now');
  }
  onClosed(_stream: number, _reason: CloseReason): void {
    this.#probe.ended(this, this.#result);
  }
}

/** `HealthCheckRequest.service`. */
function serviceField(service: string): Uint8Array {
  const bytes = Buffer.from(service, 'utf8');
  return new ByteWriter()
    .u8((1 << 3) | WIRE.BYTES)
    .varint(bytes.length)
    .bytes(bytes)
    .take();
}
/** `HealthCheckResponse.status` of a body of one message; -1 where it is none. */
export function servingStatus(body: Uint8Array): number {
  if (body.length < PREFIX_BYTES || body[0] !== 0) return -1;
  const length = new DataView(body.buffer, body.byteOffset).getUint32(1);
  if (length !== body.length - PREFIX_BYTES) return -1;
  const reader = new ProtobufReader(body, PREFIX_BYTES, body.length);
  let status = 0;
  while (reader.next()) if (reader.number === 1 && reader.wireType === WIRE.VARINT) status = reader.low;
  return reader.isBroken ? -1 : status;
}
