/** Raw peers for tests that read as sentences: `client.send('GET / ...'); await client.receives('HTTP/1.1 200 OK\r\n')`. Bytes are latin1 text. */
import assert from 'node:assert/strict';
import { createServer, connect as netConnect, type Server, type Socket } from 'node:net';

/** How long a peer waits for what must come; emulated machines get more (test/platforms.mjs). */
const PATIENCE_MS = 4000 * Number(process.env.SLUICE_TEST_SLOWNESS ?? 1);

/** One end of a connection that a test holds. */
export class Peer {
  readonly socket: Socket;
  #chunks: Buffer[] = [];
  #bytes = 0;
  #ended = false;
  #closed = false;
  #error = '';
  #wake: (() => void) | undefined;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.#bytes += chunk.length;
      this.#wake?.();
    });
    socket.on('end', () => {
      this.#ended = true;
      this.#wake?.();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#error = error.code ?? 'error';
      this.#wake?.();
    });
    socket.on('close', () => {
      this.#closed = true;
      this.#wake?.();
    });
  }

  /** What has come and was not taken by an expectation. */
  get unread(): string {
    return this.#joined().toString('latin1');
  }
  get unreadBytes(): number {
    return this.#bytes;
  }
  /** FIN or an error has come. */
  get isOver(): boolean {
    return this.#ended || this.#closed || this.#error !== '';
  }

  send(bytes: string | Uint8Array): this {
    if (typeof bytes === 'string') this.socket.write(bytes, 'latin1');
    else this.socket.write(bytes);
    return this;
  }
  /** Sends each piece in a packet of its own, as far as the kernel lets us. */
  async sendPieces(pieces: readonly string[]): Promise<void> {
    for (const piece of pieces) {
      this.send(piece);
      await new Promise((resolve) => setImmediate(resolve));
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  /** FIN. */
  end(): this {
    this.socket.end();
    return this;
  }
  reset(): this {
    this.socket.resetAndDestroy();
    return this;
  }
  close(): void {
    this.socket.destroy();
  }

  /** Waits for as many bytes as `expected` has; they must be these. Takes them. */
  async receives(expected: string): Promise<void> {
    const complete = await this.#until(
      () => this.#bytes >= expected.length || this.isOver || !expected.startsWith(this.unread.slice(0, expected.length)),
    );
    const got = this.unread;
    assert.equal(got.slice(0, expected.length), expected, complete ? undefined : 'not all of it came in time');
    this.#drop(expected.length);
  }
  /** Waits for `bytes` bytes and takes them. */
  async receivesBytes(bytes: number): Promise<Buffer> {
    await this.#until(() => this.#bytes >= bytes || this.isOver);
    assert.ok(this.#bytes >= bytes, `${this.#bytes} of ${bytes} bytes came`);
    const taken = this.#joined().subarray(0, bytes);
    this.#drop(bytes);
    return taken;
  }
  /** Waits for a blank line and takes everything up to it. */
  async receivesHead(): Promise<string> {
    return this.receivesUntil('\r\n\r\n');
  }
  /** Waits for `mark` and takes everything up to its end. */
  async receivesUntil(mark: string): Promise<string> {
    let at = -1;
    let searched = 0;
    const found = (): boolean => {
      const bytes = this.#joined();
      at = bytes.indexOf(mark, searched, 'latin1');
      searched = Math.max(0, bytes.length - mark.length);
      return at >= 0;
    };
    await this.#until(() => found() || this.isOver);
    assert.ok(at >= 0, `no ${JSON.stringify(mark)} in ${JSON.stringify(this.unread.slice(0, 400))}`);
    const text = this.#joined().toString('latin1', 0, at + mark.length);
    this.#drop(at + mark.length);
    return text;
  }
  /** Waits for FIN; what came before it and was not taken must be nothing. */
  async receivesFin(): Promise<void> {
    await this.#until(() => this.isOver);
    assert.equal(this.#error, '', 'an error instead of FIN');
    assert.ok(this.#ended, 'no FIN came');
    assert.equal(this.unread, '');
  }
  async receivesReset(): Promise<void> {
    await this.#until(() => this.#error !== '' || this.#ended);
    assert.equal(this.#error, 'ECONNRESET');
  }
  /** Waits for FIN, reset or an error. Answers all that came. */
  async receivesAll(): Promise<string> {
    await this.#until(() => this.isOver);
    assert.ok(this.isOver, `still open after ${JSON.stringify(this.unread.slice(0, 400))}`);
    const text = this.unread;
    this.#drop(this.#bytes);
    return text;
  }
  /** Waits for FIN, reset or an error, whatever came before. */
  async isOverSoon(): Promise<void> {
    await this.#until(() => this.isOver);
    assert.ok(this.isOver, 'still open');
  }
  /** Waits until the socket is gone. */
  async isClosed(): Promise<void> {
    await this.#until(() => this.#closed);
    assert.ok(this.#closed);
  }

  #joined(): Buffer {
    if (this.#chunks.length !== 1) this.#chunks = [Buffer.concat(this.#chunks)];
    return this.#chunks[0];
  }
  #drop(bytes: number): void {
    const rest = this.#joined().subarray(bytes);
    this.#chunks = [rest];
    this.#bytes = rest.length;
  }
  async #until(holds: () => boolean): Promise<boolean> {
    const deadline = performance.now() + PATIENCE_MS;
    while (!holds()) {
      const left = deadline - performance.now();
      if (left <= 0) return false;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.#wake = undefined;
    }
    return true;
  }
}

/** Connects to a port of loopback, or to the path of a Unix socket. The connection half-closes. */
export function connect(target: number | string, host = '127.0.0.1'): Promise<Peer> {
  const where = typeof target === 'number' ? { port: target, host } : { path: target };
  return new Promise((resolve, reject) => {
    const socket = netConnect({ ...where, allowHalfOpen: true, noDelay: true });
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      resolve(new Peer(socket));
    });
  });
}

/** A listener whose connections a test takes one by one: `const up = await upstream.accepts()`. */
export class Upstream {
  readonly #server: Server;
  readonly connections: Peer[] = [];
  #taken = 0;
  #wake: (() => void) | undefined;

  private constructor(server: Server) {
    this.#server = server;
    server.on('connection', (socket) => {
      const peer = new Peer(socket);
      this.connections.push(peer);
      this.onConnection?.(peer);
      this.#wake?.();
    });
  }
  /** Called with each new connection. */
  onConnection: ((peer: Peer) => void) | undefined;

  /** Listens on loopback (port 0 chooses one) or on the path of a Unix socket. */
  static open(path?: string, host = '127.0.0.1'): Promise<Upstream> {
    const server = createServer({ allowHalfOpen: true, noDelay: true });
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(path === undefined ? { port: 0, host } : { path }, () => resolve(new Upstream(server)));
    });
  }
  get port(): number {
    const address = this.#server.address();
    assert.ok(address !== null && typeof address === 'object');
    return address.port;
  }
  /** The next connection that nobody has taken yet. */
  async accepts(): Promise<Peer> {
    const deadline = performance.now() + PATIENCE_MS;
    while (this.connections.length <= this.#taken) {
      const left = deadline - performance.now();
      assert.ok(left > 0, 'nobody connected to the upstream');
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.#wake = undefined;
    }
    return this.connections[this.#taken++];
  }
  close(): void {
    this.#server.close();
    for (const peer of this.connections) peer.close();
  }
}

/** Waits until `holds`, looking every few milliseconds. Fails with `what`. */
export async function eventually(holds: () => boolean, what: string | (() => string), patienceMs = PATIENCE_MS): Promise<void> {
  const deadline = performance.now() + patienceMs;
  while (!holds()) {
    if (performance.now() >= deadline) assert.fail(typeof what === 'string' ? what : what());
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
