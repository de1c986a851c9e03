/** Errors that cross a layer (STYLE §6). Codes are stable UPPER_SNAKE strings. */

/** Bytes that break a protocol. `offset` counts from the first byte of the frame or message. */
export class CodecError extends Error {
  override readonly name = 'CodecError';
  constructor(
    readonly protocol: string,
    readonly code: string,
    readonly offset: number,
    detail = '',
    readonly scope: 'stream' | 'connection' = 'connection',
  ) {
    super(`${protocol}: ${code} at byte ${offset}${detail === '' ? '' : `: ${detail}`}`);
  }
}

/** A configuration or an environment that the proxy cannot run with: the text says where and what. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/** A socket that cannot be opened. `code` is the system's: EADDRINUSE, EACCES, ... */
export class ListenError extends Error {
  override readonly name = 'ListenError';
  constructor(
    readonly code: string,
    readonly address: string,
    detail: string,
  ) {
    super(`cannot listen on ${address}: ${code}: ${detail}`);
  }
}
