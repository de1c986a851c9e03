/** Status codes of gRPC ("gRPC core: status codes"), in its spelling; the index is the number. */
export const GRPC_NAMES = [
  'OK',
  'CANCELLED',
  'UNKNOWN',
  'INVALID_ARGUMENT',
  'DEADLINE_EXCEEDED',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION',
  'ABORTED',
  'OUT_OF_RANGE',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
  'UNAUTHENTICATED',
] as const;
export type GrpcName = (typeof GRPC_NAMES)[number];
/** `GRPC.UNAVAILABLE === 14`, and so on. */
export const GRPC = Object.fromEntries(GRPC_NAMES.map((name, index) => [name, index])) as Readonly<Record<GrpcName, number>>;

/** HTTP status of an answer without a grpc-status ("HTTP to gRPC status code mapping"): the gRPC status that it means. */
const BY_HTTP: ReadonlyMap<number, number> = new Map([
  [400, GRPC.INTERNAL],
  [401, GRPC.UNAUTHENTICATED],
  [403, GRPC.PERMISSION_DENIED],
  [404, GRPC.UNIMPLEMENTED],
  [429, GRPC.UNAVAILABLE],
  [431, GRPC.INTERNAL],
  [502, GRPC.UNAVAILABLE],
  [503, GRPC.UNAVAILABLE],
  [504, GRPC.UNAVAILABLE],
]);
/** The gRPC status that an HTTP status stands for. */
export const grpcOfHttp = (status: number): number => BY_HTTP.get(status) ?? GRPC.UNKNOWN;

/** HTTP status by gRPC status, as Envoy maps it (`Grpc::Utility::grpcToHttpStatus`). */
const TO_HTTP: readonly number[] = [200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401];
/** The HTTP status that a gRPC status is counted as; 500 for a number that gRPC does not know. */
export const httpOfGrpc = (status: number): number => TO_HTTP[status] ?? 500;

/** Error names of RFC 9113 §7: the gRPC status of a stream that was reset with it ("PROTOCOL-HTTP2: Errors"). */
const BY_RESET: ReadonlyMap<string, number> = new Map([
  ['REFUSED_STREAM', GRPC.UNAVAILABLE],
  ['CANCEL', GRPC.CANCELLED],
  ['ENHANCE_YOUR_CALM', GRPC.RESOURCE_EXHAUSTED],
  ['INADEQUATE_SECURITY', GRPC.PERMISSION_DENIED],
  ['STREAM_CLOSED', GRPC.UNKNOWN],
  ['HTTP_1_1_REQUIRED', GRPC.UNKNOWN],
]);
/** The gRPC status of a stream reset with this error, by its name; `INTERNAL` for those not named apart. */
export const grpcOfReset = (error: string): number => BY_RESET.get(error) ?? GRPC.INTERNAL;

/** Longest grpc-status that is a number: statuses beyond 16 are the application's own. */
const MAX_DIGITS = 9;
/** Reads a grpc-status of `length` bytes; -1 where it is no number. */
export function readGrpcStatus(bytes: Uint8Array, start: number, length: number): number {
  if (length <= 0 || length > MAX_DIGITS) return -1;
  let value = 0;
  for (let at = start; at < start + length; at++) {
    const digit = bytes[at] - 0x30;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}
/** The same of a header's value; -1 also where there is none. */
export function parseGrpcStatus(text: string | undefined): number {
  if (text === undefined || text.length === 0 || text.length > MAX_DIGITS) return -1;
  let value = 0;
  for (let at = 0; at < text.length; at++) {
    const digit = text.charCodeAt(at) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}
