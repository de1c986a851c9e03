/**
 * Raw HTTP/2 peers, which can send any frame: `const peer = await Http2Peer.connect(port); peer.send(ping(1, 2)); await peer.receives('PING')`.
 * Frames are made with codecs/http2/framing/test-support.ts. What a good peer must do by itself (acknowledge SETTINGS and PING, open windows) it does, unless told not to.
 */
import assert from 'node:assert/strict';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { type Http2Frame, parseFrame } from '../../codecs/http2/framing/frame.js';
import { PREFACE, raw, settings, settingsAck, windowUpdate } from '../../codecs/http2/framing/test-support.js';
import { type Decoder, type Encoder, fallback as hpack } from '../../codecs/http2/hpack/test-support.js';
import { BLOCK, FRAME_FLAG, FRAME_TYPE, LIMIT, SETTING } from '../../codecs/http2/spec.js';

export type FrameName = keyof typeof FRAME_TYPE;
export type Fields = readonly (readonly [name: string, value: string])[];

/** How long a peer waits for what must come; emulated machines get more (test/platforms.mjs). */
const PATIENCE_MS = 5000 * Number(process.env.SLUICE_TEST_SLOWNESS ?? 1);
/** Frames that nobody has asked for yet are kept up to this many; a flood from the other side must not fill the test's memory. */
const MAX_KEPT_FRAMES = 100_000;

/** What a flood sends before it looks whether there is an answer: less than a connection takes that lingers after its GOAWAY. */
const MAX_UNREAD_BYTES = 131_072;

const ERROR_NAMES = [
  ...['NO_ERROR', 'PROTOCOL_ERROR', 'INTERNAL_ERROR', 'FLOW_CONTROL_ERROR', 'SETTINGS_TIMEOUT', 'STREAM_CLOSED', 'FRAME_SIZE_ERROR'],
  ...['REFUSED_STREAM', 'CANCEL', 'COMPRESSION_ERROR', 'CONNECT_ERROR', 'ENHANCE_YOUR_CALM', 'INADEQUATE_SECURITY', 'HTTP_1_1_REQUIRED'],
];
/** Name of an error code in RFC 9113 §7. */
export const errorName = (code: number): string => ERROR_NAMES[code] ?? `0x${code.toString(16)}`;
const nameOf = (type: number): string => Object.entries(FRAME_TYPE).find(([, number]) => number === type)?.[0] ?? `0x${type.toString(16)}`;

export interface PeerOptions {
  /** Entries of the first SETTINGS. */
  readonly settings?: readonly [id: number, value: number][];
  /** False: SETTINGS of the other side are not acknowledged. Default true. */
  readonly acknowledges?: boolean;
  /** False: PING is not answered. Default true. */
  readonly answersPing?: boolean;
  /** False: no window is opened again for DATA that came. Default true. */
  readonly opensWindows?: boolean;
  /** False: the preface is not sent. Default true. */
  readonly greets?: boolean;
}

/** What came on a stream so far. */
export interface StreamSeen {
  readonly heads: Fields[];
  readonly trailers: Fields | undefined;
  readonly body: Buffer;
  readonly ended: boolean;
  /** Name of the error in a RST_STREAM that came. */
  readonly reset: string | undefined;
}
interface Seen {
  heads: Fields[];
  trailers: Fields | undefined;
  pieces: Uint8Array[];
  bodyBytes: number;
  ended: boolean;
  reset: string | undefined;
}

/** One end of a connection that a test holds. */
export class Http2Peer {
  readonly socket: Socket;
  readonly role: 'client' | 'server';
  /** Called for every frame, before anything else is done about it. */
  onFrame: ((frame: Http2Frame) => void) | undefined;
  /** Server: called when a request's head has come. */
  onRequest: ((stream: number, fields: Fields, ends: boolean) => void) | undefined;
  /** The error of a GOAWAY that came, and its last stream. */
  goAway: { readonly error: string; readonly lastStream: number } | undefined;
  /** FIN, a reset or an error has come. */
  isOver = false;
  /** Frames that came, by name. */
  readonly counts = new Map<string, number>();
  readonly #options: PeerOptions;
  readonly #decoder: Decoder = hpack.decoder.open();
  readonly #encoder: Encoder = hpack.encoder.open(0);
  readonly #streams = new Map<number, Seen>();
  #kept: Http2Frame[] = [];
  #input: Buffer = Buffer.alloc(0);
  #prefaceLeft: number;
  #nextStream: number;
  #block: { stream: number; ends: boolean; pieces: Uint8Array[] } | undefined;
  #wakes: (() => void)[] = [];

  constructor(socket: Socket, role: 'client' | 'server', options: PeerOptions = {}) {
    this.socket = socket;
    this.role = role;
    this.#options = options;
    this.#prefaceLeft = role === 'server' ? PREFACE.length : 0;
    this.#nextStream = role === 'client' ? 1 : 2;
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    for (const event of ['end', 'error', 'close'])
      socket.on(event, () => {
        this.isOver = true;
        this.#wake();
      });
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

  /** Sends bytes, as they are. */
  send(...parts: readonly Uint8Array[]): this {
    if (this.socket.writable) for (const part of parts) this.socket.write(part);
    return this;
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
    const stream = this.#nextStream;
    this.#nextStream += 2;
    this.send(this.headers(stream, fields, ends));
    return stream;
  }
  /** A HEADERS frame. */
  headers(stream: number, fields: Fields, ends: boolean): Uint8Array {
    return raw(FRAME_TYPE.HEADERS, FRAME_FLAG.END_HEADERS | (ends ? FRAME_FLAG.END_STREAM : 0), stream, this.block(fields));
  }
  /** A field block that leaves the tables alone. */
  block(fields: Fields): Uint8Array {
    return this.#encoder.fields(fields).slice();
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
  async receives(name: FrameName, isWanted: (frame: Http2Frame) => boolean = () => true): Promise<Http2Frame> {
    let at = -1;
    const found = () => {
      at = this.#kept.findIndex((frame) => frame.type === FRAME_TYPE[name] && isWanted(frame));
      return at >= 0;
    };
    const came = this.#kept.map((frame) => nameOf(frame.type));
    assert.ok(await this.until(() => found() || this.isOver, PATIENCE_MS), `no ${name}, but ${came.join(' ')}`);
    assert.ok(found(), `the connection ended without ${name}`);
    const frame = this.#kept[at];
    this.#kept = this.#kept.slice(at + 1);
    return frame;
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
  /** Waits until `holds`, looked at after every frame. False: it did not in time. */
  async until(holds: () => boolean, patienceMs = PATIENCE_MS): Promise<boolean> {
    const deadline = performance.now() + patienceMs;
    while (!holds()) {
      const left = deadline - performance.now();
      if (left <= 0) return false;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wakes.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
    return true;
  }
  /** Reads nothing more, until `resume`. */
  pause(): void {
    this.socket.pause();
  }
  resume(): void {
    this.socket.resume();
  }
  close(): void {
    this.socket.destroy();
  }

  #drained(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, PATIENCE_MS);
      const done = () => {
        clearTimeout(timer);
        resolve();
      };
      this.socket.once('drain', done);
      this.#wakes.push(done);
    });
  }
  #wake(): void {
    const wakes = this.#wakes;
    this.#wakes = [];
    for (const wake of wakes) wake();
  }
  #seen(id: number): Seen {
    let seen = this.#streams.get(id);
    if (seen === undefined) {
      seen = { heads: [], trailers: undefined, pieces: [], bodyBytes: 0, ended: false, reset: undefined };
      this.#streams.set(id, seen);
    }
    return seen;
  }
  #receive(chunk: Buffer): void {
    this.#input = this.#input.length === 0 ? chunk : Buffer.concat([this.#input, chunk]);
    if (this.#prefaceLeft > 0) {
      const skipped = Math.min(this.#prefaceLeft, this.#input.length);
      this.#prefaceLeft -= skipped;
      this.#input = this.#input.subarray(skipped);
    }
    while (true) {
      const frame = parseFrame(this.#input, LIMIT.MAX_FRAME_SIZE);
      if (frame === undefined) break;
      this.#input = this.#input.subarray(LIMIT.FRAME_HEADER_BYTES + frame.length);
      this.#take(frame);
    }
    this.#wake();
  }
  #take(frame: Http2Frame): void {
    const { type, flags, stream, content = new Uint8Array(0) } = frame;
    const name = nameOf(type);
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
    if (type !== FRAME_TYPE.DATA && this.#kept.length < MAX_KEPT_FRAMES) this.#kept.push(frame);
    this.onFrame?.(frame);
    const { acknowledges = true, answersPing = true, opensWindows = true } = this.#options;
    const isAck = (flags & FRAME_FLAG.ACK) !== 0;
    switch (type) {
      case FRAME_TYPE.SETTINGS:
        if (!isAck && acknowledges) this.send(settingsAck());
        break;
      case FRAME_TYPE.PING:
        if (!isAck && answersPing) this.send(raw(FRAME_TYPE.PING, FRAME_FLAG.ACK, 0, content));
        break;
      case FRAME_TYPE.GOAWAY:
        this.goAway = { error: errorName(frame.error ?? 0), lastStream: frame.lastStream ?? 0 };
        break;
      case FRAME_TYPE.RST_STREAM:
        this.#seen(stream).reset = errorName(frame.error ?? 0);
        break;
      case FRAME_TYPE.DATA: {
        const seen = this.#seen(stream);
        // A copy: a piece of the input would keep all of it.
        seen.pieces.push(content.slice());
        seen.bodyBytes += content.length;
        if ((flags & FRAME_FLAG.END_STREAM) !== 0) seen.ended = true;
        else if (opensWindows && frame.length > 0) this.send(windowUpdate(stream, frame.length));
        if (opensWindows && frame.length > 0) this.send(windowUpdate(0, frame.length));
        break;
      }
      case FRAME_TYPE.HEADERS:
        this.#block = { stream, ends: (flags & FRAME_FLAG.END_STREAM) !== 0, pieces: [content] };
        break;
      case FRAME_TYPE.CONTINUATION:
        this.#block?.pieces.push(content);
        break;
    }
    if ((type === FRAME_TYPE.HEADERS || type === FRAME_TYPE.CONTINUATION) && (flags & FRAME_FLAG.END_HEADERS) !== 0) this.#fields();
  }
  #fields(): void {
    if (this.#block === undefined) return;
    const { stream, ends, pieces } = this.#block;
    this.#block = undefined;
    const { fields, fault } = this.#decoder.decode(Buffer.concat(pieces), BLOCK.FIELDS);
    assert.equal(fault, undefined, 'a field block that cannot be read');
    const seen = this.#seen(stream);
    if (fields[0]?.[0].startsWith(':')) seen.heads.push(fields);
    else seen.trailers = fields;
    if (ends) seen.ended = true;
    if (this.role === 'server' && seen.trailers === undefined) this.onRequest?.(stream, fields, ends);
  }
}

/** A raw server; `greet` sees each new connection. */
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
/** A SETTINGS entry: no stream may send anything until its window is opened. */
export const NO_WINDOW: [number, number] = [SETTING.INITIAL_WINDOW_SIZE, 0];
