/** Reads sockets into buffers of ours, past the stream machinery of `net.Socket`: no allocation and no stream event for each small read. */
import { type OnReadOpts, Socket, type SocketConstructorOpts } from 'node:net';

/** Most bytes taken by one read. */
const READ_BYTES = 64 * 1024;
/** So many connections may have a buffer of their own: it stays theirs, also idle, until less comes or they end. */
const OWN_BUFFERS = 32;

/** Takes what one read gave. `isLent`: a view of the shared buffer, good until the call returns; else the chunk is the caller's. */
export type OnChunk = (chunk: Buffer, isLent: boolean) => void;

/** What the sockets of one engine are read into: one buffer for all, and new ones for a few through which much flows, so that it need not be copied. */
export class ReadBuffers {
  readonly shared = Buffer.allocUnsafeSlow(READ_BYTES);
  #own = 0;

  /** Reserves the right to buffers of one's own. */
  take(): boolean {
    if (this.#own === OWN_BUFFERS) return false;
    this.#own++;
    return true;
  }
  give(): void {
    this.#own--;
  }
}

/** Reads one socket. */
export class SocketReader {
  /** The option `onread` of `net.connect`. Node asks for the buffer before the first and after each read. */
  readonly onread: OnReadOpts;
  #buffers: ReadBuffers | undefined;
  #own: Buffer | undefined;

  constructor(buffers: ReadBuffers, onChunk: OnChunk) {
    this.#buffers = buffers;
    this.onread = {
      buffer: () => this.#own ?? buffers.shared,
      callback: (length) => {
        const buffer = this.#own ?? buffers.shared;
        const isLent = this.#own === undefined;
        this.#choose(length * 2 > READ_BYTES);
        onChunk(buffer.subarray(0, length), isLent);
        return true;
      },
    };
  }

  /** What the next read goes into. */
  #choose(isMuch: boolean): void {
    if (isMuch && (this.#own !== undefined || this.#buffers?.take())) this.#own = Buffer.allocUnsafeSlow(READ_BYTES);
    else if (this.#own !== undefined) {
      this.#own = undefined;
      this.#buffers?.give();
    }
  }

  /** The socket is not read any more. */
  close(): void {
    if (this.#own !== undefined) this.#buffers?.give();
    this.#own = undefined;
    this.#buffers = undefined;
  }
}

/** What a stream handle of libuv has in Node 20 to 26, as far as it is needed here. */
interface StreamHandle {
  useUserBuffer(buffer: Uint8Array): void;
}

/**
 * An accepted socket, read by `reader` from now on; it must come from a server with `pauseOnConnect`. `net.Server` knows no `onread`, so the handle moves to
 * a socket that does. The property and the option for that are not documented: where they are missing, the given socket is read as the stream it is.
 */
export function readInto(accepted: Socket, reader: SocketReader, onChunk: OnChunk): Socket {
  const owner = accepted as unknown as { _handle?: Partial<StreamHandle> | null };
  const handle = owner._handle;
  if (typeof handle?.useUserBuffer !== 'function') {
    accepted.on('data', (chunk: Buffer) => onChunk(chunk, false));
    accepted.resume();
    return accepted;
  }
  owner._handle = null;
  // Without a handle this only tells the server that one connection fewer is its business.
  accepted.destroy();
  return new Socket({ handle, onread: reader.onread, allowHalfOpen: true, readable: true, writable: true } as SocketConstructorOpts);
}
