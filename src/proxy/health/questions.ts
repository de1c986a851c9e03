import { ByteWriter } from '../../protocol/byte-writer.js';
import { grpcFrame } from '../../protocol/grpc/message-reader.js';
import { isGrpcType } from '../../protocol/grpc/request.js';
import { GRPC, parseGrpcStatus } from '../../protocol/grpc/status.js';
import { TrailerLines } from '../../protocol/grpc/trailer-lines.js';
import { ProtobufReader, WIRE } from '../../protocol/protobuf-reader.js';
import type { Question } from './message-probe.js';

/** How `grpc.health.v1.Health/Check` is called. */
export interface GrpcQuestion {
  /** Empty: the server as a whole. */
  readonly service: string;
  readonly authority: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
}
/** How a host is asked over HTTP. */
export interface HttpQuestion {
  readonly isHttp2: boolean;
  readonly method: string;
  readonly path: string;
  readonly host: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** Statuses of a healthy host, from and below. */
  readonly expected: readonly (readonly [from: number, to: number])[];
  /** Statuses that count towards the threshold only. */
  readonly retriable: readonly (readonly [from: number, to: number])[];
}

/** `HealthCheckResponse.ServingStatus.SERVING`. */
const SERVING = 1;
const PREFIX_BYTES = 5;
const USER_AGENT = 'Envoy/HC';

/** Asks the standard health service ("gRPC Health Checking Protocol"). */
export function grpcQuestion({ service, authority, headers }: GrpcQuestion): Question {
  const request = grpcFrame(service === '' ? new Uint8Array(0) : serviceField(service));
  const lines = new TrailerLines();
  return {
    isHttp2: true,
    ask(edits) {
      edits.method('POST').target('/grpc.health.v1.Health/Check');
      edits.append('host', authority).append('content-type', 'application/grpc').append('te', 'trailers').append('user-agent', USER_AGENT);
      for (const [name, value] of headers) edits.append(name, value);
      return request;
    },
    judgeHead(head) {
      if (head.status === 200 && isGrpcType(head.known('content-type')) && !head.ends) return undefined;
      // An answer without a message does not say SERVING; a host without the service is not healthy either.
      return head.status === 200 && parseGrpcStatus(head.known('grpc-status')) < 0 ? 'network' : 'unhealthy';
    },
    judge: (body, trailers) => (lines.grpcStatus(trailers) === GRPC.OK && servingStatus(body) === SERVING ? 'healthy' : 'unhealthy'),
  };
}

/** Asks for a path; the status alone decides. */
export function httpQuestion(how: HttpQuestion): Question {
  const isIn = (ranges: HttpQuestion['expected'], status: number) => ranges.some(([from, to]) => status >= from && status < to);
  return {
    isHttp2: how.isHttp2,
    ask(edits) {
      edits.method(how.method).target(how.path);
      edits.append('host', how.host).append('user-agent', USER_AGENT);
      for (const [name, value] of how.headers) edits.append(name, value);
      return undefined;
    },
    judgeHead: ({ status }) => (isIn(how.expected, status) ? 'healthy' : isIn(how.retriable, status) ? 'network' : 'unhealthy'),
    judge: () => 'unhealthy',
  };
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
