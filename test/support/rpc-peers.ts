/** Clients and servers of an RPC protocol, for tests: they speak whole frames. */
import { createServer, connect as netConnect, type Server, type Socket } from 'node:net';
import { FrameReader } from '../../src/network/frame-reader.js';
import { type Codec, frameWithId } from '../../src/protocol/codec.js';
import type { Frame } from '../../src/protocol/frame.js';
import { eventually } from './peers.js';

/** One end of a connection: keeps every frame that comes. */
export class RpcPeer {
  readonly socket: Socket;
  readonly frames: Frame[] = [];
  readonly codec: Codec;
  closed = false;
  ended = false;
  /** Bytes that came, of whole frames or not. */
  received = 0;
  #seen = 0;

  constructor(codec: Codec, side: 'downstream' | 'upstream', socket: Socket, onFrame: (peer: RpcPeer, frame: Frame) => void = () => {}) {
    this.codec = codec;
    this.socket = socket;
    const reader = new FrameReader(codec, side);
    let input = Buffer.alloc(0);
    socket.setNoDelay(true);
    socket.on('error', () => {});
    socket.on('close', () => {
      this.closed = true;
    });
    socket.on('end', () => {
      this.ended = true;
    });
    socket.on('data', (chunk: Buffer) => {
      this.received += chunk.length;
      input = Buffer.concat([input, chunk]);
      for (let bytes = reader.next(input, 0, input.length); bytes > 0; bytes = reader.next(input, 0, input.length)) {
        const frame = reader.frame.retain();
        input = input.subarray(bytes);
        this.frames.push(frame);
        onFrame(this, frame);
      }
    });
  }
  static async connect(codec: Codec, port: number): Promise<RpcPeer> {
    const socket = netConnect(port, '127.0.0.1');
    await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    return new RpcPeer(codec, 'upstream', socket);
  }
  send(...frames: Uint8Array[]): void {
    this.socket.write(Buffer.concat(frames));
  }
  /** The next frame that was not asked for yet. */
  async receives(): Promise<Frame> {
    await eventually(() => this.frames.length > this.#seen, `no frame after ${this.#seen}`);
    return this.frames[this.#seen++];
  }
  close(): void {
    this.socket.destroy();
  }
}

/** A server whose answers are written by the test, or by `answer`. */
export class RpcServer {
  readonly peers: RpcPeer[] = [];
  readonly #server: Server;
  private constructor(server: Server) {
    this.#server = server;
  }
  static async open(codec: Codec, answer?: (frame: Frame, peer: RpcPeer) => Uint8Array | undefined, port = 0): Promise<RpcServer> {
    const server = createServer();
    const made = new RpcServer(server);
    server.on('connection', (socket) => {
      made.peers.push(
        new RpcPeer(codec, 'downstream', socket, (peer, frame) => {
          const bytes = answer?.(frame, peer);
          if (bytes !== undefined) peer.send(bytes);
        }),
      );
    });
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    return made;
  }
  get port(): number {
    return (this.#server.address() as { port: number }).port;
  }
  /** Frames over all connections. */
  get frames(): Frame[] {
    return this.peers.flatMap(({ frames }) => frames);
  }
  async accepts(index = 0): Promise<RpcPeer> {
    await eventually(() => this.peers.length > index, `no connection ${index}`);
    return this.peers[index];
  }
  /** Takes no further connection. */
  refuse(): void {
    this.#server.close();
  }
  close(): void {
    this.#server.close();
    for (const peer of this.peers) peer.close();
  }
}

/** A frame's bytes with another id. */
export const withId = (codec: Codec, frame: Frame, id: bigint): Uint8Array =>
  frameWithId(codec, frame, Number(id & 0xffff_ffffn) | 0, Number(id >> 32n) | 0);
