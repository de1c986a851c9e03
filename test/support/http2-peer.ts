/** Raw HTTP/2 peers that behave well by themselves, unless told not to, and count what comes: for what takes many streams, or is to be broken on purpose. */
import assert from 'node:assert/strict';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { block, headers, PREFACE, raw, settings, windowUpdate } from '../../codecs/http2/framing/test-support.js';
import { FRAME_FLAG, FRAME_TYPE, SETTING } from '../../codecs/http2/spec.js';
import { STREAM_ERROR } from '../../src/protocol/stream-table.js';
import { type FrameName, FramePeer, type SeenFrame } from './frame-peer.js';

export type Fields = readonly (readonly [name: string, value: string])[];

/** How long a peer waits for what must come; emulated machines get more (test/platforms.mjs). */
const PATIENCE_MS = 5000 * Number(process.env.SLUICE_TEST_SLOWNESS ?? 1);
/** Frames that nobody has asked for yet are kept up to this many; a flood from the other side must not fill the test's memory. */
const MAX_KEPT_FRAMES = 10_000;
/** What a flood sends before it looks whether there is an answer: less than a connection takes that lingers after its GOAWAY. */
const MAX_UNREAD_BYTES = 131_072;

/** Name of an error code in RFC 9113 §7. */
const errorName = (code = 0): string => Object.entries(STREAM_ERROR).find(([, number]) => number === code)?.[0] ?? `0x${code.toString(16)}`;

export interface PeerOptions {
  /** Entries of the first SETTINGS. */
  readonly settings?: readonly [id: number, value: number][];
  /** False: SETTINGS of the other side are not acknowledged. Default true. */
  readonly acknowledges?: boolean;
  /** False: PING is not answered. Default true. */
  readonly answersPing?: boolean;
  /** False: neither preface nor SETTINGS is sent. Default true. */
  readonly greets?: boolean;
  /** False: no window is opened again for DATA that came. Default true. */
  readonly opensWindows?: boolean;
}

/** What came on a stream so far. */
export interface StreamSeen {
  readonly heads: readonly Fields[];
  readonly trailers: Fields | undefined;
  readonly body: Buffer;
  readonly ended: boolean;
  /** Name of the error in a RST_STREAM that came. */
  readonly reset: string | undefined;
}
interface Seen {
  readonly heads: Fields[];
  trailers: Fields | undefined;
  readonly pieces: Uint8Array[];
  ended: boolean;
  reset: string | undefined;
}

/** One end of a connection that a test holds. */
export class Http2Peer extends FramePeer {
  readonly role: 'client' | 'server';
  /** Server: called when a request's head has come. */
  onRequest: ((stream: number, fields: Fields, ends: boolean) => void) | undefined;
  /** The error of a GOAWAY that came, and its last stream. */
  goAway: { readonly error: string; readonly lastStream: number } | undefined;
  /** Frames that came, by name. */
  readonly counts = new Map<string, number>();
  readonly #options: PeerOptions;
  readonly #streams = new Map<number, Seen>();
  #nextStream = 1;

  constructor(socket: Socket, role: 'client' | 'server', options: PeerOptions = {}) {
    super(socket, role === 'server');
    this.role = role;
    this.#options = options;
    this.acknowledges = options.acknowledges !== false;
    socket.setNoDelay(true);
    if (options.greets === false) return;
    if (role === 'client') this.send(PREFACE);
    this.send(settings(...(options.settings ?? [])));
  }
  /** A client on a connection of its own. */
  static async connect(port: number, options: PeerOptions = {}): Promise<Http2Peer> {
    const socket = connect(port, '127.0.0.1');
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    return new Http2Peer(socket, 'client', options);
  }

  /**
   * Sends bytes in pieces for as long as the other side takes them, at most `times`; gives how often that was. Now and then it stops to read: of a connection
   * that was reset while it writes, Node throws away what has come.
   */
  async flood(bytes: Uint8Array, times: number): Promise<number> {
    let unread = 0;
    for (let sent = 0; sent < times; sent++) {
      if (!this.socket.writable || this.isOver || this.goAway !== undefined) return sent;
      if (!this.socket.write(bytes)) await this.#drained();
      unread += bytes.length;
      if (unread < MAX_UNREAD_BYTES) continue;
      unread = 0;
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    return times;
  }
  /** HEADERS of a new request; gives its stream. */
  request(fields: Fields, ends = true): number {
    const stream = this.takeStreams(1);
    this.send(headers(stream, fields, ends));
    return stream;
  }
  /** A HEADERS frame, and a field block, that leave the tables alone. */
  headers(stream: number, fields: Fields, ends: boolean): Uint8Array {
    return headers(stream, fields, ends);
  }
  block(fields: Fields): Uint8Array {
    return block(fields);
  }
  /** Id of the stream that `request` opens next. */
  get nextStream(): number {
    return this.#nextStream;
  }
  /** Takes `count` ids for streams that the caller opens itself; gives the first. */
  takeStreams(count: number): number {
    const first = this.#nextStream;
    this.#nextStream += 2 * count;
    return first;
  }

  /** What has come on a stream. */
  stream(id: number): StreamSeen {
    const { heads, trailers, pieces, ended, reset } = this.#seen(id);
    return { heads, trailers, body: Buffer.concat(pieces), ended, reset };
  }
  /** Waits for the end of a stream, by END_STREAM or RST_STREAM. */
  async response(id: number, patienceMs = PATIENCE_MS): Promise<StreamSeen & { readonly status: string | undefined }> {
    const isDone = () => this.#seen(id).ended || this.#seen(id).reset !== undefined || this.isOver;
    assert.ok(await this.until(isDone, patienceMs), `stream ${id} has not ended`);
    const seen = this.stream(id);
    return { ...seen, status: seen.heads.at(-1)?.find(([name]) => name === ':status')?.[1] };
  }
  /** Waits for the final head of a response, and gives its status. */
  async status(id: number, patienceMs = PATIENCE_MS): Promise<string | undefined> {
    const final = () => this.#seen(id).heads.find(([[, status]]) => !status.startsWith('1'))?.[0][1];
    await this.until(() => final() !== undefined || this.#seen(id).reset !== undefined || this.isOver, patienceMs);
    return final();
  }
  /** Waits for a frame of this type, and takes it and all before it. */
  async receives(name: FrameName, isWanted: (frame: SeenFrame) => boolean = () => true): Promise<SeenFrame> {
    const at = () => this.frames.findIndex((frame) => frame.name === name && isWanted(frame));
    await this.until(() => at() >= 0 || this.isOver, PATIENCE_MS);
    const index = at();
    assert.ok(index >= 0, `no ${name}, but ${this.frames.map((frame) => frame.name).join(' ')}`);
    return this.frames.splice(0, index + 1)[index];
  }
  /** Waits for GOAWAY and gives the name of its error; `closed` where the connection ended without one. */
  async receivesGoAway(patienceMs = PATIENCE_MS): Promise<string> {
    assert.ok(await this.until(() => this.goAway !== undefined || this.isOver, patienceMs), 'neither GOAWAY nor an end');
    return this.goAway?.error ?? 'closed';
  }
  /** Waits for the end of the connection. */
  async ends(patienceMs = PATIENCE_MS): Promise<void> {
    assert.ok(await this.until(() => this.isOver, patienceMs), 'the connection is still open');
  }
  /** Reads nothing more, until `resume`. */
  pause(): void {
    this.socket.pause();
  }
  resume(): void {
    this.socket.resume();
  }

  protected override take(frame: SeenFrame): void {
    const { name, flags, stream, ends, fields, length, content = new Uint8Array(0) } = frame;
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
    if (name !== 'DATA' && this.frames.length < MAX_KEPT_FRAMES) super.take(frame);
    if (name === 'PING' && (flags & FRAME_FLAG.ACK) === 0 && this.#options.answersPing !== false)
      this.send(raw(FRAME_TYPE.PING, FRAME_FLAG.ACK, 0, content));
    else if (name === 'GOAWAY') this.goAway = { error: errorName(frame.error), lastStream: frame.lastStream ?? 0 };
    else if (name === 'RST_STREAM') this.#seen(stream).reset = errorName(frame.error);
    else if (name === 'DATA') {
      // A copy: a piece of the input would keep all of it.
      this.#seen(stream).pieces.push(content.slice());
      if (this.#options.opensWindows !== false && length > 0) {
        this.send(windowUpdate(0, length));
        if (!ends) this.send(windowUpdate(stream, length));
      }
    } else if (fields.length > 0) this.#fields(stream, fields, ends);
    if (ends) this.#seen(stream).ended = true;
  }
  #fields(stream: number, fields: Fields, ends: boolean): void {
    const seen = this.#seen(stream);
    if (!fields[0][0].startsWith(':')) {
      seen.trailers = fields;
      return;
    }
    seen.heads.push(fields);
    if (this.role === 'server') this.onRequest?.(stream, fields, ends);
  }
  #seen(id: number): Seen {
    let seen = this.#streams.get(id);
    if (seen === undefined) {
      seen = { heads: [], trailers: undefined, pieces: [], ended: false, reset: undefined };
      this.#streams.set(id, seen);
    }
    return seen;
  }
  #drained(): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.socket.off('drain', done).off('close', done);
        resolve();
      };
      const timer = setTimeout(done, PATIENCE_MS);
      this.socket.on('drain', done).on('close', done);
    });
  }
}

/** A server whose every connection is such a peer. */
export class Http2Server {
  readonly #server: Server;
  readonly peers: Http2Peer[] = [];
  /** Called for each request that comes. */
  onRequest: (peer: Http2Peer, stream: number, fields: Fields, ends: boolean) => void = () => {};

  private constructor(server: Server) {
    this.#server = server;
  }
  static async open(optionsOf: () => PeerOptions = () => ({})): Promise<Http2Server> {
    const server = createServer();
    const opened = new Http2Server(server);
    server.on('connection', (socket) => {
      const peer = new Http2Peer(socket, 'server', optionsOf());
      opened.peers.push(peer);
      peer.onRequest = (stream, fields, ends) => opened.onRequest(peer, stream, fields, ends);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return opened;
  }
  get port(): number {
    const address = this.#server.address();
    assert.ok(address !== null && typeof address === 'object');
    return address.port;
  }
  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const peer of this.peers) peer.close();
    await closed;
  }
}

/** Fields of a GET. */
export const get = (path: string, ...more: Fields): Fields => [
  [':method', 'GET'],
  [':scheme', 'http'],
  [':path', path],
  [':authority', 'peer.test'],
  ...more,
];
/** Fields of a POST. */
export const post = (path: string, ...more: Fields): Fields => [[':method', 'POST'], ...get(path).slice(1), ...more];
/** A SETTINGS entry: nothing may be sent on a stream until its window is opened. */
export const NO_WINDOW: [number, number] = [SETTING.INITIAL_WINDOW_SIZE, 0];
