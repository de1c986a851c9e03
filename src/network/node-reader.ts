/** Reads sockets into a buffer of ours, past the stream machinery of `net.Socket`: no allocation and no stream event for each read. */
import { type OnReadOpts, Socket, type SocketConstructorOpts } from 'node:net';

/** Takes what one read gave. The chunk is a view of the shared buffer: good until the call returns. */
export type OnChunk = (chunk: Buffer) => void;

/** The option `onread` of `net.connect`. */
export function readerOf(buffer: Buffer, onChunk: OnChunk): OnReadOpts {
  return {
    buffer,
    callback: (length) => {
      onChunk(buffer.subarray(0, length));
      return true;
    },
  };
}

/** What a stream handle of libuv has in Node 20 to 26, as far as it is needed here. */
interface StreamHandle {
  useUserBuffer(buffer: Uint8Array): void;
}

/**
 * An accepted socket, read by way of `buffer` from now on; it must come from a server with `pauseOnConnect`. `net.Server` knows no `onread`, so the handle
 * moves to a socket that does. The property and the option for that are not documented: where they are missing, the given socket is read as the stream it is.
 */
export function readInto(accepted: Socket, buffer: Buffer, onChunk: OnChunk): Socket {
  const owner = accepted as unknown as { _handle?: Partial<StreamHandle> | null };
  const handle = owner._handle;
  if (typeof handle?.useUserBuffer !== 'function') {
    accepted.on('data', onChunk);
    accepted.resume();
    return accepted;
  }
  owner._handle = null;
  // Without a handle this only tells the server that one connection fewer is its business.
  accepted.destroy();
  return new Socket({ handle, onread: readerOf(buffer, onChunk), allowHalfOpen: true, readable: true, writable: true } as SocketConstructorOpts);
}
