/** Peers that speak HTTP/2 frame by frame, for tests that say what is on the wire: `await peer.next('HEADERS', 1)`. */
import assert from 'node:assert/strict';
import { createServer, connect as netConnect, type Server, type Socket } from 'node:net';
import { type Http2Frame, parseFrame } from '../../codecs/http2/framing/frame.js';
import { bytes, headers, PREFACE, settings, settingsAck } from '../../codecs/http2/framing/test-support.js';
import { HpackDecoder } from '../../codecs/http2/hpack/decoder.js';
import { LIMITS } from '../../codecs/http2/hpack/test-support.js';
import { BLOCK, FRAME_FLAG, FRAME_TYPE, LIMIT } from '../../codecs/http2/spec.js';

const PATIENCE_MS = 4000 * Number(process.env.SLUICE_TEST_SLOWNESS ?? 1);
const TYPE_NAMES = Object.keys(FRAME_TYPE) as (keyof typeof FRAME_TYPE)[];
export type FrameName = keyof typeof FRAME_TYPE;
type Fields = readonly (readonly [name: string, value: string])[];

/** One frame that came. Of HEADERS the fields, of a block that is whole. */
export interface SeenFrame extends Http2Frame {
  readonly name: FrameName;
  readonly fields: Fields;
  readonly ends: boolean;
}

/** One end of an HTTP/2 connection. It acknowledges SETTINGS, and nothing else, by itself. */
export class FramePeer {
  readonly socket: Socket;
  /** Frames that came and were not taken, in order. */
  readonly frames: SeenFrame[] = [];
  isOver = false;
  /** Acknowledges SETTINGS. */
  acknowledges = true;
  readonly #decoder = new HpackDecoder();
  #left: Buffer = Buffer.alloc(0);
  #prefaceLeft: number;
  #block: Buffer | undefined;
  #wake: (() => void)[] = [];

  constructor(socket: Socket, isServer: boolean) {
    this.socket = socket;
    this.#prefaceLeft = isServer ? PREFACE.length : 0;
    socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    socket.on('error', () => this.#onEnd());
    socket.on('end', () => this.#onEnd());
    socket.on('close', () => this.#onEnd());
  }
  #onEnd(): void {
    this.isOver = true;
    this.#tell();
  }
  #tell(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }
  #onData(chunk: Buffer): void {
    this.#left = Buffer.concat([this.#left, chunk]);
    const skipped = Math.min(this.#prefaceLeft, this.#left.length);
    this.#prefaceLeft -= skipped;
    this.#left = this.#left.subarray(skipped);
    while (this.#prefaceLeft === 0) {
      const frame = parseFrame(this.#left, LIMIT.MAX_FRAME_SIZE);
      if (frame === undefined) break;
      this.#left = this.#left.subarray(9 + frame.length);
      this.#onFrame(frame);
    }
    this.#tell();
  }
  #onFrame(frame: Http2Frame): void {
    const name = TYPE_NAMES[frame.type];
    const ends = (name === 'DATA' || name === 'HEADERS') && (frame.flags & FRAME_FLAG.END_STREAM) !== 0;
    if (name === 'SETTINGS' && (frame.flags & FRAME_FLAG.ACK) === 0 && this.acknowledges) this.send(settingsAck());
    let fields: Fields = [];
    if (name === 'HEADERS' || name === 'CONTINUATION') {
      const block = Buffer.concat([this.#block ?? Buffer.alloc(0), frame.content ?? Buffer.alloc(0)]);
      this.#block = block;
      if ((frame.flags & FRAME_FLAG.END_HEADERS) !== 0) {
        this.#block = undefined;
        fields = this.#decoder.decode(block, 0, block.length, BLOCK.FIELDS, LIMITS).lines();
      }
    }
    this.take({ ...frame, name, fields, ends });
  }
  /** A frame has come; its `content` is good during this call. */
  protected take(frame: SeenFrame): void {
    this.frames.push({ ...frame, content: frame.content === undefined ? undefined : Buffer.from(frame.content) });
  }

  send(...parts: Uint8Array[]): this {
    this.socket.write(bytes(...parts));
    return this;
  }
  /** Sends bytes one by one, or in pieces. */
  async sendPieces(all: Uint8Array, size = 1): Promise<void> {
    for (let at = 0; at < all.length; at += size) {
      this.socket.write(all.subarray(at, at + size));
      await new Promise((resolve) => setImmediate(resolve));
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  /** Waits for the next frame of a type, on a stream where one is named, and takes it. */
  async next(name: FrameName, stream?: number): Promise<SeenFrame> {
    const at = () => this.frames.findIndex((frame) => frame.name === name && (stream === undefined || frame.stream === stream));
    await this.until(() => at() >= 0 || this.isOver);
    assert.ok(at() >= 0, `no ${name} ${stream ?? ''}: ${this.frames.map((frame) => `${frame.name} ${frame.stream}`).join(', ')}`);
    return this.frames.splice(at(), 1)[0];
  }
  /** The next head on a stream as an object, its fields by name. */
  async head(stream?: number): Promise<Record<string, string> & { stream: number; ends: boolean }> {
    const { fields, ends, stream: id } = await this.next('HEADERS', stream);
    return Object.assign(Object.fromEntries(fields), { stream: id, ends }) as Record<string, string> & { stream: number; ends: boolean };
  }
  /** Takes DATA of a stream until it ends, or until so many bytes are there. Gives what came, as text. */
  async body(stream: number, atLeast = Number.POSITIVE_INFINITY): Promise<string> {
    let text = '';
    while (text.length < atLeast) {
      const { content = Buffer.alloc(0), ends } = await this.next('DATA', stream);
      text += Buffer.from(content).toString('latin1');
      if (ends) break;
    }
    return text;
  }
  /** Waits until `holds`, looked at whenever something came. False: it did not in time. */
  async until(holds: () => boolean, patienceMs = PATIENCE_MS): Promise<boolean> {
    const deadline = performance.now() + patienceMs;
    while (!holds()) {
      const left = deadline - performance.now();
      if (left <= 0) return false;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
    return true;
  }
  /** Waits until the other side has closed. */
  async isOverSoon(): Promise<void> {
    await this.until(() => this.isOver);
    assert.ok(this.isOver, 'still open');
  }
  close(): void {
    this.socket.destroy();
  }
}

/** A client of HTTP/2; its preface and SETTINGS are sent. */
export function frameClient(port: number, ...entries: [number, number][]): Promise<FramePeer> {
  return new Promise((resolve, reject) => {
    const socket = netConnect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      resolve(new FramePeer(socket, false).send(PREFACE, settings(...entries)));
    });
  });
}

/** A server of HTTP/2 whose connections a test takes one by one; its SETTINGS are sent. */
export class FrameServer {
  readonly connections: FramePeer[] = [];
  readonly #server: Server;
  #taken = 0;

  private constructor(server: Server, entries: [number, number][]) {
    this.#server = server;
    server.on('connection', (socket) => this.connections.push(new FramePeer(socket, true).send(settings(...entries))));
  }
  static open(...entries: [number, number][]): Promise<FrameServer> {
    const server = createServer({ allowHalfOpen: true, noDelay: true });
    return new Promise((resolve) => server.listen({ port: 0, host: '127.0.0.1' }, () => resolve(new FrameServer(server, entries))));
  }
  get port(): number {
    const address = this.#server.address();
    assert.ok(address !== null && typeof address === 'object');
    return address.port;
  }
  async accepts(): Promise<FramePeer> {
    const deadline = performance.now() + PATIENCE_MS;
    while (this.connections.length <= this.#taken) {
      assert.ok(performance.now() < deadline, 'nobody connected to the server');
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    return this.connections[this.#taken++];
  }
  close(): void {
    this.#server.close();
    for (const peer of this.connections) peer.close();
  }
}

/** HEADERS of a request. */
export const request = (stream: number, method: string, path: string, ends = true, more: Fields = []): Uint8Array =>
  headers(stream, [[':method', method], [':scheme', 'http'], [':path', path], [':authority', 'h'], ...more], ends);
/** HEADERS of a response. */
export const response = (stream: number, status: number, ends = true, more: Fields = []): Uint8Array =>
  headers(stream, [[':status', `${status}`], ...more], ends);
