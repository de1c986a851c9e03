/** dubbo2.js as the client, and a provider that reads every request with hessian.js: what the proxy reads and changes must be what they say. */
import assert from 'node:assert/strict';
import { createServer, type Server, type Socket } from 'node:net';
import test, { type TestContext } from 'node:test';
import { engines } from '../support/engines.js';
import { eventually } from '../support/peers.js';
import { DubboClient } from './dubbo-client.js';
import { Hops } from './hops.js';
import { stock, together } from './stock.js';

interface HessianModule {
  readonly DecoderV2: new (bytes: Buffer) => { read(): unknown };
  readonly EncoderV2: new () => { write(value: unknown): { get(): Buffer }; get(): Buffer };
}
const { DecoderV2, EncoderV2 } = stock<HessianModule>('hessian.js');

const HEADER_BYTES = 16;
const [A, B] = ['com.example.Greeter', 'com.example.Other'];

/** A request as hessian.js reads it. */
interface Invocation {
  readonly path: string;
  readonly version: string;
  readonly method: string;
  readonly types: string;
  readonly args: readonly unknown[];
  readonly attachments: Record<string, unknown>;
}

/** Answers `greet(key, delayMs)` when the delay is over. */
class Provider {
  readonly invocations: Invocation[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #name: string;

  private constructor(name: string) {
    this.#name = name;
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      let input = Buffer.alloc(0);
      socket.on('error', () => {});
      socket.on('data', (chunk: Buffer) => {
        input = Buffer.concat([input, chunk]);
        while (input.length >= HEADER_BYTES) {
          const end = HEADER_BYTES + input.readInt32BE(12);
          if (input.length < end) return;
          this.#take(socket, input.subarray(0, end));
          input = input.subarray(end);
        }
      });
    });
  }
  static async open(name: string): Promise<Provider> {
    const provider = new Provider(name);
    await new Promise<void>((resolve) => provider.#server.listen(0, '127.0.0.1', resolve));
    return provider;
  }
  get port(): number {
    return (this.#server.address() as { port: number }).port;
  }
  get connections(): number {
    return this.#sockets.size;
  }
  /** The read-only event: no further request on the connections that are open. */
  sendReadOnly(): void {
    for (const socket of this.#sockets) socket.write(Buffer.from('dabba200 0000000000000000 00000002 0152'.replaceAll(' ', ''), 'hex'));
  }
  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #take(socket: Socket, frame: Buffer): void {
    const body = new DecoderV2(frame.subarray(HEADER_BYTES));
    const isEvent = (frame[2] & 0x20) !== 0;
    if (isEvent) {
      this.#answer(socket, frame, 0x22, [null]);
      return;
    }
    const [, path, version, method, types] = [body.read(), body.read(), body.read(), body.read(), body.read()].map(String);
    const args = [...types.matchAll(/L[^;]+;|[A-Z]/g)].map(() => body.read());
    const attachments = body.read() as Record<string, unknown>;
    this.invocations.push({ path, version, method, types, args, attachments });
    const answer =
      method === 'greet'
        ? [4, `${this.#name} ${args[0]}`, { from: this.#name }]
        : [3, { $class: 'java.lang.IllegalStateException', $: { detailMessage: `no ${method}` } }, {}];
    setTimeout(() => this.#answer(socket, frame, 0x02, answer), Number(args[1] ?? 0));
  }
  #answer(socket: Socket, request: Buffer, flags: number, values: readonly unknown[]): void {
    const encoder = new EncoderV2();
    for (const value of values) encoder.write(value);
    const body = encoder.get();
    const head = Buffer.from(request.subarray(0, HEADER_BYTES));
    head[2] = flags;
    head[3] = 20;
    head.writeInt32BE(body.length, 12);
    socket.write(Buffer.concat([head, body]));
  }
}

for (const [engine] of engines()) {
  const setup = async (context: TestContext, more: readonly Provider[] = []) => {
    const [one, other] = [await Provider.open('one'), await Provider.open('other')];
    context.after(() => {
      for (const provider of [one, other, ...more]) provider.close();
    });
    const routes = [{ servers: [one.port, ...more.map(({ port }) => port)] }, { service: B.toLowerCase(), servers: [other.port] }];
    return { one, other, hops: await Hops.open(context, { engine, codecs: ['dubbo'], routes }) };
  };
  const connect = (context: TestContext, port: number, count: number) => {
    const clients = Array.from({ length: count }, () => new DubboClient(port));
    context.after(() => {
      for (const client of clients) client.close();
    });
    return clients;
  };

  test(`${engine}: dubbo2.js clients share connections to a provider`, async (context) => {
    const { one, other, hops } = await setup(context);
    for (const [hop, port] of hops.ports) {
      const clients = connect(context, port, 4).map((client) => ({ a: client.service(A), b: client.service(B) }));
      await together(400, async (index) => {
        const isOther = index % 3 === 0;
        const key = `${hop}/${index}/${'ä字🦥'.repeat(index)}`;
        const { a, b } = clients[index % 4];
        assert.deepEqual(await (isOther ? b : a).greet(key, index % 5), { res: `${isOther ? 'other' : 'one'} ${key}`, err: null });
      });
      await together(4, async (index) => {
        const key = `${index}`.repeat(1_000_000);
        assert.equal((await clients[index].a.greet(key, 0)).res, `one ${key}`);
      });
      assert.match(JSON.stringify((await clients[0].a.fail('x', 0)).err ?? ''), /no fail/);
    }
    assert.ok(one.invocations.every(({ path, attachments }) => path === A && attachments.path === A));
    assert.ok(other.invocations.every(({ path, attachments }) => path === B && attachments.interface === B));
    assert.equal(one.connections, 1);
    assert.equal(other.connections, 1);
    assert.equal(hops.total('rpc.in.downstream_rq_active'), 0);
    assert.equal(hops.total('rpc.in.downstream_cx_protocol_error'), 0);
  });

  test(`${engine}: a provider that says read-only gets no further request while there is another`, async (context) => {
    const second = await Provider.open('two');
    const { one, hops } = await setup(context, [second]);
    const [client] = connect(context, hops.oneHop, 1).map((client) => client.service(A));
    await together(20, (index) => client.greet(`before/${index}`, 0));
    assert.ok(second.invocations.length > 0 && one.invocations.length > 0);
    const slow = together(4, (index) => client.greet(`slow/${index}`, 200));
    await eventually(() => one.invocations.length + second.invocations.length === 24, 'the slow requests');
    second.sendReadOnly();
    await eventually(() => hops.near.stat('cluster.up-0.upstream_cx_close_notify') === 1, 'the event');
    const seen = second.invocations.length;
    await together(50, async (index) => assert.equal((await client.greet(`after/${index}`, 0)).res, `one after/${index}`));
    for (const { res } of await slow) assert.match(String(res), /^(one|two) slow\/\d$/);
    assert.equal(second.invocations.length, seen);
    assert.equal(second.connections, 1);
  });
}
