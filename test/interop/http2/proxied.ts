/** A running proxy in front of one server, for stock peers: `const { port } = await proxied(context, engine, { to: server.port })`. */
import { connect, createServer } from 'node:net';
import type { TestContext } from 'node:test';
import { allTo, type HttpVersion, http2Bootstrap, type ListenerOptions } from '../../support/http2-config.js';
import { ProxyProcess } from '../../support/proxy-process.js';

export interface ProxiedOptions {
  /** Port of the server, and what it speaks. Default HTTP2. */
  readonly to: number;
  readonly version?: HttpVersion;
  readonly codec?: ListenerOptions['codec'];
  /** Further fields of the connection manager, and of the cluster. */
  readonly manager?: string;
  readonly cluster?: string;
}
export interface Proxied {
  /** Where clients connect. */
  readonly port: number;
  /** Undefined where there is none between. */
  readonly proxy: ProxyProcess | undefined;
}

/** With SLUICE_PEERS=direct no proxy is between, which shows whether a failure is the peers' own. */
export const IS_DIRECT = process.env.SLUICE_PEERS === 'direct';

/** Starts the proxy; it ends with the test. */
export async function proxied(context: TestContext, engine: string, options: ProxiedOptions): Promise<Proxied> {
  const { to, version = 'HTTP2', codec = 'AUTO', manager, cluster } = options;
  if (IS_DIRECT) return { port: to, proxy: undefined };
  const listener = { name: 'web', codec, routes: allTo('up'), manager };
  const proxy = await ProxyProcess.start(context, http2Bootstrap([listener], [{ name: 'up', port: to, version, more: cluster }]), engine);
  return { port: proxy.port('web'), proxy };
}

/** A port that nobody listens on now, for a program that cannot say which one it has got. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return address !== null && typeof address === 'object' ? address.port : 0;
}
/** Waits until somebody listens. Throws after `patienceMs`. */
export async function listens(port: number, patienceMs = 10_000): Promise<void> {
  const deadline = Date.now() + patienceMs;
  while (Date.now() < deadline) {
    const isThere = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => {
        socket.destroy();
        resolve(true);
      });
      socket.on('error', () => resolve(false));
    });
    if (isThere) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`nobody listens on port ${port}`);
}
