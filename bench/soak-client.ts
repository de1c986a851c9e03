/** A plain HTTP/1.1 client over a socket, for misfortunes that node:http does not let one cause. */
import { connect, type Socket } from 'node:net';

/** A response that was read whole. */
export interface Answer {
  readonly status: number;
  /** Header lines by lower-case name. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
}

/** The connection ended, or nothing came for too long, before the answer was whole. */
export class Broken extends Error {}

const EMPTY = Buffer.alloc(0);

/** One connection. Every wait ends after `timeoutMs` with Broken. */
export class Client {
  readonly socket: Socket;
  readonly #timeoutMs: number;
  #input: Buffer = EMPTY;
  #ended = false;
  #error: Error | undefined;
  #wake: (() => void) | undefined;

  constructor(port: number, timeoutMs = 20_000) {
    this.#timeoutMs = timeoutMs;
    this.socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    this.socket.on('data', (chunk: Buffer) => {
      this.#input = this.#input.length === 0 ? chunk : Buffer.concat([this.#input, chunk]);
      this.#notify();
    });
    this.socket.on('end', () => {
      this.#ended = true;
      this.#notify();
    });
    this.socket.on('error', (error) => {
      this.#error = error;
      this.#notify();
    });
    this.socket.on('close', () => {
      this.#ended = true;
      this.#notify();
    });
  }

  send(bytes: string | Uint8Array): void {
    if (!this.socket.destroyed) this.socket.write(bytes);
  }
  /** Sends FIN; the answer can still be read. */
  finish(): void {
    this.socket.end();
  }
  /** FIN, and nothing is read any more. */
  close(): void {
    this.socket.destroy();
  }
  /** RST. */
  reset(): void {
    this.socket.resetAndDestroy();
  }
  /** Bytes that have come and were not read. */
  get waiting(): number {
    return this.#input.length;
  }

  /** Reads one final response; 1xx ones are passed over. `isHead`: no body follows. */
  async answer(isHead = false): Promise<Answer> {
    for (;;) {
      const head = (await this.#until('\r\n\r\n')).toString('latin1');
      const [line, ...lines] = head.split('\r\n');
      const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(line)?.[1] ?? Number.NaN);
      if (Number.isNaN(status)) throw new Error(`not a status line: ${line.slice(0, 80)}`);
      if (status < 200) continue;
      const headers = new Map(
        lines.filter(Boolean).map((text) => [text.slice(0, text.indexOf(':')).toLowerCase(), text.slice(text.indexOf(':') + 1).trim()]),
      );
      const hasNone = isHead || status === 204 || status === 304;
      return { status, headers, body: hasNone ? EMPTY : await this.#body(headers) };
    }
  }
  async #body(headers: ReadonlyMap<string, string>): Promise<Buffer> {
    if (headers.get('transfer-encoding') === 'chunked') {
      const chunks: Buffer[] = [];
      for (;;) {
        const size = Number.parseInt((await this.#until('\r\n')).toString('latin1'), 16);
        if (Number.isNaN(size)) throw new Error('not a chunk size');
        if (size === 0) break;
        chunks.push(await this.take(size));
        await this.take(2);
      }
      while ((await this.#until('\r\n')).length > 2);
      return Buffer.concat(chunks);
    }
    const length = headers.get('content-length');
    if (length !== undefined) return this.take(Number(length));
    while (!this.#ended) await this.#more();
    if (this.#error !== undefined) throw new Broken(this.#error.message);
    return this.take(this.#input.length);
  }

  /** Exactly `count` bytes. */
  async take(count: number): Promise<Buffer> {
    while (this.#input.length < count) await this.#more();
    const taken = this.#input.subarray(0, count);
    this.#input = this.#input.subarray(count);
    return taken;
  }
  /** Everything up to the end of the connection. */
  async rest(): Promise<Buffer> {
    while (!this.#ended) await this.#more();
    return this.take(this.#input.length);
  }
  async #until(mark: string): Promise<Buffer> {
    for (;;) {
      const at = this.#input.indexOf(mark);
      if (at >= 0) return this.take(at + mark.length);
      await this.#more();
    }
  }
  async #more(): Promise<void> {
    if (this.#error !== undefined) throw new Broken(this.#error.message);
    if (this.#ended) throw new Broken('the connection ended');
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#wake = undefined;
        reject(new Broken(`nothing came for ${this.#timeoutMs} ms`));
      }, this.#timeoutMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
  #notify(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}
