/** `@tars/rpc` on both sides of the proxy. */
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import test from 'node:test';
import { engines } from '../support/engines.js';
import { Hops } from './hops.js';
import { stock, together } from './stock.js';

interface TarsCurrent {
  getContext(): Record<string, string>;
  setResponseContext(context: Record<string, string>): void;
  doResponse(bytes: unknown): void;
}
interface TarsAnswer {
  readonly response: { readonly sBuffer: unknown };
}
interface TarsFailure {
  readonly error: { readonly code: number };
}
interface TarsProxy {
  _worker: { tars_invoke(name: string, bytes: unknown, property?: object): PromiseLike<TarsAnswer>; timeout: number };
}
interface TarsModule {
  readonly error: { readonly SUCCESS: number; readonly SERVER: { readonly FUNC_NOT_FOUND: number } };
  readonly server: { createServer(handler: unknown): { start(options: object): PromiseLike<unknown>; stop(): void } };
  readonly client: { stringToProxy(proxy: unknown, name: string): TarsProxy };
  readonly Communicator: { New(): { stringToProxy(proxy: unknown, name: string): TarsProxy; destroy?(): void } };
}
interface TarsStreamModule {
  readonly TarsOutputStream: new () => {
    writeString(tag: number, text: string): void;
    writeInt32(tag: number, value: number): void;
    getBinBuffer(): unknown;
  };
  readonly TarsInputStream: new (
    bytes: unknown,
  ) => { readString(tag: number, required: boolean): string; readInt32(tag: number, required: boolean): number };
}
const tars = stock<TarsModule>('@tars/rpc');
const { TarsInputStream, TarsOutputStream } = stock<TarsStreamModule>('@tars/stream');
const OBJECT = 'Sluice.Greeter.GreeterObj';

// What tars2node makes of:  interface Greeter { string greet(string key, int delayMs); }

/** The servant: answers with the key, when the delay is over; the context goes back with it. */
class Greeter {
  initialize(): void {}
  onDispatch(current: TarsCurrent, name: string, bytes: unknown): number {
    if (name !== 'greet') return tars.error.SERVER.FUNC_NOT_FOUND;
    const input = new TarsInputStream(bytes);
    const [key, delayMs] = [input.readString(1, true), input.readInt32(2, true)];
    setTimeout(() => {
      const output = new TarsOutputStream();
      output.writeString(0, `greeted ${key}`);
      current.doResponse(output.getBinBuffer());
    }, delayMs);
    return tars.error.SUCCESS;
  }
}
class GreeterProxy {
  _name: unknown;
  _worker: unknown;
}
async function greet(client: TarsProxy, name: string, key: string, delayMs: number): Promise<string> {
  const output = new TarsOutputStream();
  output.writeString(1, key);
  output.writeInt32(2, delayMs);
  const { response } = await client._worker.tars_invoke(name, output.getBinBuffer(), { context: { key: key.slice(0, 20) } });
  return new TarsInputStream(response.sBuffer).readString(0, true);
}
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

for (const [engine] of engines())
  test(`${engine}: Tars clients share connections to a Tars server`, async (context) => {
    const port = await freePort();
    const server = tars.server.createServer(Greeter);
    server.start({ servant: OBJECT, endpoint: `tcp -h 127.0.0.1 -p ${port} -t 60000`, maxconns: 100, protocol: 'tars' });
    context.after(() => server.stop());
    const hops = await Hops.open(context, { engine, codecs: ['tars'], routes: [{ service: OBJECT.toLowerCase(), servers: [port] }] });
    for (const [hop, to] of hops.ports) {
      const communicators = Array.from({ length: 3 }, () => tars.Communicator.New());
      context.after(() => {
        for (const communicator of communicators) communicator.destroy?.();
      });
      const clients = communicators.map((communicator) => communicator.stringToProxy(GreeterProxy, `${OBJECT}@tcp -h 127.0.0.1 -p ${to} -t 60000`));
      // Its timers outlive the answers.
      for (const client of clients) client._worker.timeout = 4000;
      await together(300, async (index) => {
        const key = `${hop}/${index}/${'字'.repeat(index)}`;
        assert.equal(await greet(clients[index % 3], 'greet', key, index % 5), `greeted ${key}`);
      });
      await together(3, async (index) => {
        const key = `${index}`.repeat(1_500_000);
        assert.equal(await greet(clients[index], 'greet', key, 0), `greeted ${key}`);
      });
      await assert.rejects(greet(clients[0], 'missing', 'x', 0), ({ error }: TarsFailure) => error.code === tars.error.SERVER.FUNC_NOT_FOUND);
    }
    assert.equal(hops.shared(hops.near, 'up-0'), 1);
    assert.equal(hops.total('rpc.in.downstream_rq_active'), 0);
    assert.equal(hops.total('rpc.in.downstream_cx_protocol_error'), 0);
  });
