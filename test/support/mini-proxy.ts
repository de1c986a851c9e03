/** The smallest proxy that uses all of the Engine port: each downstream connection has one upstream connection, kept while it may be used again. */
import { http1 } from '../../codecs/http1/index.js';
import {
  type Address,
  type ConnectionHandler,
  type Engine,
  FORWARD,
  type FramingFault,
  type ListenOptions,
  type ProfileOptions,
} from '../../src/network/engine.js';
import { Edits } from '../../src/protocol/edits.js';
import type { Head } from '../../src/protocol/head.js';
import { EDIT_FLAG, HEAD_FLAG } from '../../src/protocol/head-layout.js';

export interface MiniProxyOptions {
  readonly upstream?: Address;
  readonly downstreamProfile?: Partial<ProfileOptions>;
  readonly upstreamProfile?: Partial<ProfileOptions>;
  readonly listen?: Partial<ListenOptions>;
  readonly connectTimeoutMs?: number;
  readonly source?: { readonly ip: string };
  /** Changes of a head before it goes on. */
  readonly change?: (head: Head, edits: Edits) => void;
  /** Takes a request's head instead of the proxy; true: it has dealt with it. */
  readonly onRequest?: (proxy: MiniProxy, connection: number, head: Head) => boolean;
  /** The first upstream connection that breaks before a response is tried again so often. */
  readonly retries?: number;
  /** The body waits for the upstream's 100. */
  readonly holdBody?: boolean;
  /** How a downstream connection ends whose upstream was cut off in a body. */
  readonly cutOff?: 'now' | 'reset';
}

interface Exchange {
  readonly down: number;
  up: number;
  isConnect: boolean;
  /** The response's final head has been forwarded. */
  answered: boolean;
  isTunnel: boolean;
  /** Between two requests. */
  isIdle: boolean;
  triesLeft: number;
}

/** Opens one on a free port of loopback. `events` records what the engine told, in order, without handles. */
export async function openMiniProxy(engine: Engine, options: MiniProxyOptions): Promise<MiniProxy> {
  const proxy = new MiniProxy(engine, options);
  await proxy.open();
  return proxy;
}

export class MiniProxy {
  readonly engine: Engine;
  readonly events: string[] = [];
  readonly edits = new Edits();
  readonly downstreams = new Set<number>();
  readonly upstreams = new Set<number>();
  readonly #options: MiniProxyOptions;
  readonly #byDown = new Map<number, Exchange>();
  readonly #byUp = new Map<number, Exchange>();
  readonly #downProfile: number;
  readonly #upProfile: number;
  port = 0;
  listener = 0;

  constructor(engine: Engine, options: MiniProxyOptions) {
    this.engine = engine;
    this.#options = options;
    this.#downProfile = engine.profile({ framing: http1, side: 'downstream', ...options.downstreamProfile });
    this.#upProfile = engine.profile({ framing: http1, side: 'upstream', ...options.upstreamProfile });
  }

  async open(): Promise<void> {
    const { engine } = this;
    const { handle, address } = await engine.listen(
      { address: { ip: '127.0.0.1', port: 0 }, profile: this.#downProfile, ...this.#options.listen },
      (connection) => {
        this.events.push('accept');
        this.downstreams.add(connection);
        return this.#downHandler;
      },
    );
    this.listener = handle;
    this.port = 'port' in address ? address.port : 0;
  }

  readonly #downHandler: ConnectionHandler = {
    onHead: (down, head) => {
      this.events.push(`request ${head.method} ${head.target}`);
      if (this.#options.onRequest?.(this, down, head) === true) return;
      this.#send(down, head);
    },
    onEnd: (_down, bytes) => void this.events.push(`request-end ${bytes}`),
    onFault: (down, fault) => this.#onFault(down, fault),
    onTimeout: (down, which) => {
      this.events.push(`timeout ${which}`);
      if (which === 'head') this.engine.reply(down, this.edits.reset().status(408));
      else this.engine.close(down, 'flush');
    },
    onClosed: (down, reason, errno) => {
      this.events.push(`down-closed ${reason}${errno === '' ? '' : ` ${errno}`}`);
      this.downstreams.delete(down);
      const exchange = this.#byDown.get(down);
      this.#byDown.delete(down);
      // A tunnel that ended well has ended on both sides; each is told by itself.
      if (exchange !== undefined && !(exchange.isTunnel && reason === 'remote')) this.engine.close(exchange.up, 'reset');
    },
  };

  #onFault(down: number, fault: FramingFault): void {
    this.events.push(`down-fault ${fault.code} ${fault.offset} ${fault.status} ${fault.where}`);
    const exchange = this.#byDown.get(down);
    if (exchange !== undefined) this.#forget(exchange, 'reset');
    if (!this.engine.reply(down, this.edits.reset().status(fault.status))) this.engine.close(down, 'reset');
  }

  /** Sends a request on: on the connection's own upstream where that is free, else on a new one. */
  #send(down: number, head: Head): void {
    let exchange = this.#byDown.get(down);
    if (exchange === undefined) {
      exchange = {
        down,
        up: this.#connect(),
        isConnect: false,
        answered: false,
        isTunnel: false,
        isIdle: false,
        triesLeft: this.#options.retries ?? 0,
      };
      this.#byDown.set(down, exchange);
      this.#byUp.set(exchange.up, exchange);
    }
    exchange.answered = false;
    exchange.isIdle = false;
    exchange.isConnect = (head.flags & HEAD_FLAG.CONNECT) !== 0;
    this.#forwardRequest(exchange, head);
  }

  #connect(): number {
    const { upstream, connectTimeoutMs, source } = this.#options;
    if (upstream === undefined) throw new Error('the proxy has no upstream');
    const up = this.engine.connect({ address: upstream, profile: this.#upProfile, connectTimeoutMs, source }, this.#upHandler);
    this.upstreams.add(up);
    return up;
  }

  #forwardRequest(exchange: Exchange, head: Head): void {
    const edits = this.edits.reset();
    if (this.#options.retries !== undefined) edits.flag(EDIT_FLAG.RETAIN);
    if ((head.flags & HEAD_FLAG.UPGRADE) !== 0) edits.flag(EDIT_FLAG.UPGRADE);
    if (this.#options.holdBody === true && (head.flags & HEAD_FLAG.EXPECT_CONTINUE) !== 0) edits.flag(EDIT_FLAG.HOLD_BODY);
    this.#options.change?.(head, edits);
    this.events.push(`forward-request ${forwardText(this.engine.forward(exchange.down, exchange.up, edits))}`);
  }

  readonly #upHandler: ConnectionHandler = {
    onConnected: () => void this.events.push('connected'),
    onHead: (up, head) => {
      this.events.push(`response ${head.status}`);
      const exchange = this.#byUp.get(up);
      if (exchange === undefined) return;
      const edits = this.edits.reset();
      const isTunnel = head.status === 101 || (exchange.isConnect && head.status >= 200 && head.status < 300);
      if (isTunnel) {
        exchange.isTunnel = true;
        edits.flag(EDIT_FLAG.TUNNEL);
      }
      this.#options.change?.(head, edits);
      if (head.status >= 200) exchange.answered = true;
      const result = this.engine.forward(up, exchange.down, edits);
      this.events.push(`forward-response ${forwardText(result)}`);
      if (!isTunnel && head.status >= 200 && (result & FORWARD.DONE) !== 0) this.#responseDone(exchange, result);
    },
    onEnd: (up, bytes, flags) => {
      this.events.push(`response-end ${bytes} ${forwardText(flags)}`);
      const exchange = this.#byUp.get(up);
      if (exchange !== undefined) this.#responseDone(exchange, flags);
    },
    onFault: (up, fault) => {
      this.events.push(`up-fault ${fault.code} ${fault.offset} ${fault.status} ${fault.where}`);
      const exchange = this.#byUp.get(up);
      if (exchange === undefined) return;
      this.#forget(exchange, 'reset');
      if (!this.engine.reply(exchange.down, this.edits.reset().status(502))) this.engine.close(exchange.down, this.#options.cutOff ?? 'now');
    },
    onClosed: (up, reason, errno) => {
      this.events.push(`up-closed ${reason}${errno === '' ? '' : ` ${errno}`}`);
      this.upstreams.delete(up);
      const exchange = this.#byUp.get(up);
      if (exchange === undefined) return;
      this.#byUp.delete(up);
      if (exchange.isTunnel && reason === 'remote') return;
      if (exchange.isIdle) {
        this.#byDown.delete(exchange.down);
        return;
      }
      if (exchange.triesLeft > 0 && this.engine.canReplay(exchange.down)) {
        exchange.triesLeft--;
        exchange.up = this.#connect();
        this.#byUp.set(exchange.up, exchange);
        const head = this.engine.head(exchange.down);
        if (head !== undefined) this.#forwardRequest(exchange, head);
        return;
      }
      this.#byDown.delete(exchange.down);
      if (exchange.answered || exchange.isTunnel) this.engine.close(exchange.down, this.#options.cutOff ?? 'now');
      else this.engine.reply(exchange.down, this.edits.reset().status(reason === 'connect-timeout' ? 504 : 502));
    },
  };

  #responseDone(exchange: Exchange, flags: number): void {
    exchange.isIdle = true;
    if ((flags & FORWARD.REUSABLE) === 0) this.#forget(exchange, 'now');
  }
  #forget(exchange: Exchange, how: 'now' | 'reset'): void {
    this.#byDown.delete(exchange.down);
    this.#byUp.delete(exchange.up);
    this.engine.close(exchange.up, how);
  }
}

/** `STALE`, `OPEN`, `DONE` or `DONE+REUSABLE`. */
export const forwardText = (flags: number): string =>
  flags === FORWARD.STALE ? 'STALE' : `${(flags & FORWARD.DONE) !== 0 ? 'DONE' : 'OPEN'}${(flags & FORWARD.REUSABLE) !== 0 ? '+REUSABLE' : ''}`;
