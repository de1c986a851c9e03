import type { Socket } from 'node:net';
import { stock } from './stock.js';

/** What a call gives: one of both is null. */
export interface DubboAnswer {
  readonly res: unknown;
  readonly err: Error | null;
}
type Service = Record<'greet' | 'fail' | 'who' | 'later', (key: string, delayMs: number) => Promise<DubboAnswer>>;
interface DirectlyDubbo {
  proxyService(options: object): Service;
  readonly _socketWorker: { _retry: number; readonly _socket: Socket };
}
interface Dubbo2Module {
  readonly DirectlyDubbo: { from(options: object): DirectlyDubbo };
  readonly java: { String(text: string): unknown; int(value: number): unknown };
}
const { DirectlyDubbo, java } = stock<Dubbo2Module>('dubbo2.js');

/** A dubbo2.js client with one connection. */
export class DubboClient {
  readonly #dubbo: DirectlyDubbo;

  constructor(port: number) {
    this.#dubbo = DirectlyDubbo.from({ dubboAddress: `127.0.0.1:${port}`, dubboVersion: '2.0.2', dubboInvokeTimeout: 10 });
  }
  service(name: string): Service {
    const both = (key: string, delayMs: number) => [java.String(key), java.int(delayMs)];
    return this.#dubbo.proxyService({
      dubboInterface: name,
      version: '0.0.0',
      timeout: 10_000,
      methods: { greet: both, fail: both, later: both, who: () => [] },
    });
  }
  /** It has no way to close, and connects again for a minute. */
  close(): void {
    this.#dubbo._socketWorker._retry = 0;
    this.#dubbo._socketWorker._socket.destroy();
  }
}
