/** The smallest proxy that joins HTTP/1 and HTTP/2 in all four combinations: a request takes a stream of the one upstream connection, or an HTTP/1 connection of its own. */
import { http1 } from '../../codecs/http1/index.js';
import { http2 } from '../../codecs/http2/index.js';
import { type ConnectionHandler, type Engine, FORWARD, type FramingFault, type ProfileOptions } from '../../src/network/engine.js';
import { Edits } from '../../src/protocol/edits.js';
import type { Head } from '../../src/protocol/head.js';
import { EDIT_FLAG, HEAD_FLAG } from '../../src/protocol/head-layout.js';
import type { StreamLimits } from '../../src/protocol/stream-framing.js';

export interface StreamProxyOptions {
  readonly port: number;
  /** `auto`: told apart by the preface. */
  readonly down: 'http1' | 'http2' | 'auto';
  readonly up: 'http1' | 'http2';
  readonly downLimits?: Partial<StreamLimits>;
  readonly upLimits?: Partial<StreamLimits>;
  readonly downProfile?: Partial<ProfileOptions>;
  readonly upProfile?: Partial<ProfileOptions>;
  /** Changes of a head before it goes on. */
  readonly change?: (head: Head, edits: Edits) => void;
  /** Takes a request instead of the proxy; true: it has dealt with it. */
  readonly onRequest?: (proxy: StreamProxy, down: number, head: Head) => boolean;
  /** Upstream streams that the peer has refused are tried again. */
  readonly retries?: boolean;
  /** Events of shown bodies. */
  readonly shown?: Pick<ConnectionHandler, 'onBody' | 'onTrailers'>;
}

interface Exchange {
  readonly down: number;
  up: number;
  answered: boolean;
  asksTunnel: boolean;
  protocol: string;
  isTunnel: boolean;
  responseDone: boolean;
}

/** Opens one on a free port of loopback. */
export async function openStreamProxy(engine: Engine, options: StreamProxyOptions): Promise<StreamProxy> {
  const proxy = new StreamProxy(engine, options);
  await proxy.open();
  return proxy;
}

export class StreamProxy {
  readonly engine: Engine;
  /** What the engine told, in order, without handles. */
  readonly events: string[] = [];
  readonly edits = new Edits();
  readonly downstreams = new Set<number>();
  /** Streams and requests that are open downstream, and upstream. */
  readonly byDown = new Map<number, Exchange>();
  readonly byUp = new Map<number, Exchange>();
  /** The upstream connection of HTTP/2. */
  upstream = 0;
  port = 0;
  readonly #options: StreamProxyOptions;
  readonly #down: number;
  readonly #up: number;
  /** Requests for which no stream was free. */
  #waiting: Exchange[] = [];

  constructor(engine: Engine, options: StreamProxyOptions) {
    this.engine = engine;
    this.#options = options;
    const { down, up, downLimits = {}, upLimits = {}, downProfile, upProfile } = options;
    const streams = () => engine.profile({ framing: http2, side: 'downstream', streamOptions: http2.options(downLimits), ...downProfile });
    this.#down =
      down === 'http2'
        ? streams()
        : engine.profile({ framing: http1, side: 'downstream', ...(down === 'auto' ? { prefaceProfile: streams() } : {}), ...downProfile });
    this.#up = engine.profile(
      up === 'http2'
        ? { framing: http2, side: 'upstream', streamOptions: http2.options(upLimits), ...upProfile }
        : { framing: http1, side: 'upstream', ...upProfile },
    );
  }
  async open(): Promise<void> {
    const { address } = await this.engine.listen({ address: { ip: '127.0.0.1', port: 0 }, profile: this.#down }, (connection) => {
      this.downstreams.add(connection);
      return this.#downHandler;
    });
    this.port = 'port' in address ? address.port : 0;
  }
  #tell(event: string): void {
    this.events.push(event);
  }

  // ---- downstream -------------------------------------------------------------------------------------------------------------------------

  readonly #downHandler: ConnectionHandler = {
    onProtocol: () => this.#tell('protocol'),
    onStream: () => this.#requestHandler,
    onHead: (down, head) => this.#onRequest(down, head),
    onEnd: (_down, bytes) => this.#tell(`request-end ${bytes}`),
    onFault: (down, fault) => this.#onDownFault(down, fault),
    onTimeout: (down, which) => {
      this.#tell(`timeout ${which}`);
      this.engine.close(down, 'flush');
    },
    onBody: (from, piece) => this.#options.shown?.onBody?.(from, piece),
    onTrailers: (from, trailers) => this.#options.shown?.onTrailers?.(from, trailers),
    onClosed: (down, reason, errno) => {
      this.#tell(`down-closed ${reason}${errno === '' ? '' : ` ${errno}`}`);
      this.downstreams.delete(down);
      this.#downGone(down);
    },
  };
  readonly #requestHandler: ConnectionHandler = {
    ...this.#downHandler,
    onClosed: (down, reason, errno) => {
      this.#tell(`request-closed ${reason}${errno === '' ? '' : ` ${errno}`}`);
      this.#downGone(down);
    },
  };
  #downGone(down: number): void {
    const exchange = this.byDown.get(down);
    if (exchange === undefined) return;
    this.byDown.delete(down);
    if (exchange.isTunnel) return;
    this.byUp.delete(exchange.up);
    this.engine.close(exchange.up, 'reset');
  }
  #onDownFault(down: number, fault: FramingFault): void {
    this.#tell(`down-fault ${fault.code} ${fault.status} ${fault.where}`);
    if (fault.where === 'stream' || fault.where === 'connection') return;
    if (!this.engine.reply(down, this.edits.reset().status(fault.status))) this.engine.close(down, 'reset');
  }
  #onRequest(down: number, head: Head): void {
    this.#tell(`request ${head.method} ${head.target}`);
    if (this.#options.onRequest?.(this, down, head) === true) return;
    this.send(down, head);
  }
  /** Sends a request on. */
  send(down: number, head: Head): void {
    const exchange: Exchange = {
      down,
      up: 0,
      answered: false,
      asksTunnel: (head.flags & (HEAD_FLAG.CONNECT | HEAD_FLAG.UPGRADE | HEAD_FLAG.EXTENDED_CONNECT)) !== 0,
      protocol: head.protocol,
      isTunnel: false,
      responseDone: false,
    };
    this.byDown.set(down, exchange);
    this.#start(exchange);
  }

  // ---- upstream ---------------------------------------------------------------------------------------------------------------------------

  #start(exchange: Exchange): void {
    const head = this.engine.head(exchange.down);
    if (head === undefined) return;
    exchange.up = this.#options.up === 'http1' ? this.#connect(this.#upHandler) : this.#openStream();
    if (exchange.up === 0) {
      this.#waiting.push(exchange);
      return;
    }
    this.byUp.set(exchange.up, exchange);
    const edits = this.edits.reset();
    if (this.#options.retries === true) edits.flag(EDIT_FLAG.RETAIN);
    if ((head.flags & HEAD_FLAG.UPGRADE) !== 0) edits.flag(EDIT_FLAG.UPGRADE);
    if ((head.flags & HEAD_FLAG.EXTENDED_CONNECT) !== 0) {
      edits.flag(EDIT_FLAG.UPGRADE);
      if (this.#options.up === 'http1') edits.method('GET').append('upgrade', head.protocol);
    }
    this.#options.change?.(head, edits);
    this.#tell(`forward-request ${forwardText(this.engine.forward(exchange.down, exchange.up, edits))}`);
  }
  #connect(handler: ConnectionHandler): number {
    return this.engine.connect({ address: { ip: '127.0.0.1', port: this.#options.port }, profile: this.#up }, handler);
  }
  #openStream(): number {
    if (this.upstream === 0) this.upstream = this.#connect(this.#poolHandler);
    return this.engine.openStream(this.upstream, this.#upHandler);
  }
  readonly #poolHandler: ConnectionHandler = {
    onStreamLimit: (_up, limit) => {
      this.#tell(`limit ${limit}`);
      this.#next();
    },
    onGoAway: (up, error) => {
      this.#tell(`goaway ${error}`);
      if (this.upstream === up) this.upstream = 0;
      this.#next();
    },
    onPong: () => this.#tell('pong'),
    onFault: (_up, fault) => this.#tell(`up-fault ${fault.code} ${fault.status} ${fault.where}`),
    onTimeout: (_up, which) => this.#tell(`up-timeout ${which}`),
    onClosed: (up, reason, errno) => {
      this.#tell(`pool-closed ${reason}${errno === '' ? '' : ` ${errno}`}`);
      if (this.upstream === up) this.upstream = 0;
    },
  };
  #next(): void {
    for (const exchange of this.#waiting.splice(0)) if (this.byDown.has(exchange.down)) this.#start(exchange);
  }
  readonly #upHandler: ConnectionHandler = {
    onHead: (up, head) => this.#onResponse(up, head),
    onBody: (from, piece) => this.#options.shown?.onBody?.(from, piece),
    onTrailers: (from, trailers) => this.#options.shown?.onTrailers?.(from, trailers),
    onEnd: (up, bytes, flags) => {
      this.#tell(`response-end ${bytes} ${forwardText(flags)}`);
      this.#responseDone(up, flags);
    },
    onFault: (up, fault) => {
      this.#tell(`up-fault ${fault.code} ${fault.status} ${fault.where}`);
      const exchange = this.byUp.get(up);
      this.byUp.delete(up);
      this.engine.close(up, 'reset');
      if (exchange !== undefined && !this.engine.reply(exchange.down, this.edits.reset().status(502))) this.engine.close(exchange.down, 'reset');
    },
    onClosed: (up, reason, errno) => {
      this.#tell(`up-closed ${reason}${errno === '' ? '' : ` ${errno}`}`);
      const exchange = this.byUp.get(up);
      this.byUp.delete(up);
      if (exchange !== undefined) this.#upGone(exchange, reason);
      this.#next();
    },
  };
  #upGone(exchange: Exchange, reason: string): void {
    if (exchange.responseDone || (exchange.isTunnel && (reason === 'remote' || reason === 'done'))) return;
    if (reason === 'refused' && this.engine.canReplay(exchange.down)) {
      this.#start(exchange);
      return;
    }
    if (exchange.answered) this.engine.close(exchange.down, 'reset');
    else if (!this.engine.reply(exchange.down, this.edits.reset().status(502))) this.engine.close(exchange.down, 'reset');
  }
  #onResponse(up: number, head: Head): void {
    this.#tell(`response ${head.status}`);
    const exchange = this.byUp.get(up);
    if (exchange === undefined) return;
    const edits = this.edits.reset();
    const isTunnel = head.status === 101 || (exchange.asksTunnel && head.status >= 200 && head.status < 300);
    if (isTunnel) {
      exchange.isTunnel = true;
      edits.flag(EDIT_FLAG.TUNNEL);
    }
    this.#options.change?.(head, edits);
    if (head.status >= 200) exchange.answered = true;
    const result = this.engine.forward(up, exchange.down, edits);
    this.#tell(`forward-response ${forwardText(result)}`);
    if (!isTunnel && head.status >= 200 && (result & FORWARD.DONE) !== 0) this.#responseDone(up, result);
  }
  #responseDone(up: number, flags: number): void {
    const exchange = this.byUp.get(up);
    if (exchange === undefined) return;
    exchange.responseDone = true;
    // HTTP/1: every request has a connection of its own. A stream whose request is not over is cancelled; one that is ends by itself.
    if (this.#options.up === 'http1' || (flags & FORWARD.REUSABLE) === 0) this.engine.close(up, 'now');
    this.byUp.delete(up);
    this.byDown.delete(exchange.down);
  }
}

/** `STALE`, `OPEN`, `DONE` or `DONE+REUSABLE`. */
export const forwardText = (flags: number): string =>
  flags === FORWARD.STALE ? 'STALE' : `${(flags & FORWARD.DONE) !== 0 ? 'DONE' : 'OPEN'}${(flags & FORWARD.REUSABLE) !== 0 ? '+REUSABLE' : ''}`;
