/** What a scenario with streams gets: an engine, peers of both protocols, and the end of all of them. */
import { test } from 'node:test';
import type { Engine } from '../../src/network/engine.js';
import { engines } from './engines.js';
import { type FramePeer, FrameServer, frameClient } from './frame-peer.js';
import { connect, type Peer, Upstream } from './peers.js';
import { openStreamProxy, type StreamProxy, type StreamProxyOptions } from './stream-proxy.js';

export class StreamStage {
  readonly engine: Engine;
  readonly #closing: (() => void)[] = [];

  constructor(engine: Engine) {
    this.engine = engine;
  }
  /** Ends something with the scenario. */
  later(close: () => void): void {
    this.#closing.push(close);
  }
  proxy(options: StreamProxyOptions): Promise<StreamProxy> {
    return openStreamProxy(this.engine, options);
  }
  async http1Server(): Promise<Upstream> {
    const server = await Upstream.open();
    this.later(() => server.close());
    return server;
  }
  async frameServer(...entries: [number, number][]): Promise<FrameServer> {
    const server = await FrameServer.open(...entries);
    this.later(() => server.close());
    return server;
  }
  async client(proxy: StreamProxy): Promise<Peer> {
    const peer = await connect(proxy.port);
    this.later(() => peer.close());
    return peer;
  }
  async frameClient(proxy: StreamProxy, ...entries: [number, number][]): Promise<FramePeer> {
    const peer = await frameClient(proxy.port, ...entries);
    this.later(() => peer.close());
    return peer;
  }
  async close(): Promise<void> {
    for (const close of this.#closing) close();
    await this.engine.shutdown();
  }
}

/** A scenario on every engine that SLUICE_BACKEND names. */
export function scenario(title: string, run: (stage: StreamStage) => Promise<void>): void {
  for (const [name, create] of engines()) {
    test(`${name}: ${title}`, { timeout: 20_000 }, async () => {
      const stage = new StreamStage(create());
      try {
        await run(stage);
      } finally {
        await stage.close();
      }
    });
  }
}
