/** sofa-bolt-node on both sides of the proxy, in version 1, in version 2, and with checksums. */
import assert from 'node:assert/strict';
import { createServer, connect as netConnect, type Server, type Socket } from 'node:net';
import type { Duplex, Readable, Writable } from 'node:stream';
import test, { type TestContext } from 'node:test';
import { engines } from '../support/engines.js';
import { eventually } from '../support/peers.js';
import { Hops } from './hops.js';
import { stock, together, within } from './stock.js';

interface BoltRequest {
  readonly serverSignature: string;
  readonly methodName: string;
  readonly args: readonly unknown[];
  readonly timeout: number;
  readonly oneway?: boolean;
}
/** What a server gives the encoder. */
interface BoltAnswer {
  readonly isError: boolean;
  readonly errorMsg?: string;
  readonly appResponse?: unknown;
}
/** What a client gets of it. */
interface BoltResult {
  readonly error?: Error;
  readonly appResponse?: unknown;
}
interface BoltPacket<Data> {
  readonly packetId: number;
  readonly data: Data;
}
interface BoltEncoder extends Duplex {
  protocolType: string;
  boltVersion: number;
  crcEnable: boolean;
  writeRequest(id: number, request: BoltRequest): void;
  writeResponse(request: BoltPacket<BoltRequest>, answer: BoltAnswer): void;
  writeHeartbeat(id: number, heartbeat: { readonly clientUrl: string }): void;
  writeHeartbeatAck(heartbeat: BoltPacket<unknown>): void;
}
interface BoltModule {
  encoder(options: { readonly sentReqs: Map<number, unknown> }): BoltEncoder;
  decoder(options: { readonly sentReqs: Map<number, unknown> }): Writable;
}
const bolt = stock<BoltModule>('sofa-bolt-node');

const text = (value: string) => ({ $class: 'java.lang.String', $: value });
const VERSIONS = [
  { name: 'v1', protocolType: 'bolt', boltVersion: 1, crcEnable: false },
  { name: 'v2', protocolType: 'bolt2', boltVersion: 1, crcEnable: false },
  { name: 'v2 with CRC', protocolType: 'bolt2', boltVersion: 2, crcEnable: true },
] as const;
type Version = (typeof VERSIONS)[number];
const [A, B] = ['com.example.Greeter:1.0', 'com.example.Other:1.0'];

/** A socket with the stock encoder in front of it and the stock decoder behind it. */
function join(socket: Socket): { readonly encoder: BoltEncoder; readonly decoder: Readable & Writable } {
  const options = { sentReqs: new Map<number, unknown>() };
  const [encoder, decoder] = [bolt.encoder(options), bolt.decoder(options)];
  socket.on('error', () => {});
  encoder.pipe(socket);
  socket.pipe(decoder);
  return { encoder, decoder: decoder as Readable & Writable };
}

/** Answers `greet(key, delayMs)` with its name and the key, when the delay is over. */
class BoltServer {
  readonly oneways: string[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  private constructor(name: string) {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      const { encoder, decoder } = join(socket);
      decoder.on('heartbeat', (heartbeat: BoltPacket<unknown>) => encoder.writeHeartbeatAck(heartbeat));
      decoder.on('request', (request: BoltPacket<BoltRequest>) => {
        const { args, methodName } = request.data;
        const [key, delayMs] = [String(args[0]), Number(args[1])];
        if (methodName === 'note') {
          this.oneways.push(key);
          return;
        }
        const answer = methodName === 'fail' ? { isError: true, errorMsg: `failed ${key}` } : { isError: false, appResponse: text(`${name} ${key}`) };
        setTimeout(() => encoder.writeResponse(request, answer), delayMs);
      });
    });
  }
  static async open(name: string): Promise<BoltServer> {
    const server = new BoltServer(name);
    await new Promise<void>((resolve) => server.#server.listen(0, '127.0.0.1', resolve));
    return server;
  }
  get port(): number {
    return (this.#server.address() as { port: number }).port;
  }
  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

class BoltClient {
  readonly #socket: Socket;
  readonly #encoder: BoltEncoder;
  readonly #waiting = new Map<number, (answer: BoltResult | undefined) => void>();
  /** Every client counts from 1: the proxy keeps them apart. */
  #next = 1;

  constructor(port: number, { protocolType, boltVersion, crcEnable }: Version) {
    this.#socket = netConnect(port, '127.0.0.1');
    const { encoder, decoder } = join(this.#socket);
    this.#encoder = Object.assign(encoder, { protocolType, boltVersion, crcEnable });
    decoder.on('response', ({ packetId, data }: BoltPacket<BoltResult>) => this.#answered(packetId, data));
    decoder.on('heartbeat_ack', ({ packetId }: BoltPacket<unknown>) => this.#answered(packetId, undefined));
    decoder.on('heartbeatAck', ({ packetId }: BoltPacket<unknown>) => this.#answered(packetId, undefined));
  }
  call(serverSignature: string, methodName: string, key: string, delayMs = 0): Promise<BoltResult | undefined> {
    const args = [text(key), { $class: 'int', $: delayMs }];
    return this.#sends(`${methodName} ${key.slice(0, 40)}`, (id) =>
      this.#encoder.writeRequest(id, { serverSignature, methodName, args, timeout: 10_000 }),
    );
  }
  oneway(serverSignature: string, key: string): void {
    const args = [text(key), { $class: 'int', $: 0 }];
    this.#encoder.writeRequest(this.#next++, { serverSignature, methodName: 'note', args, timeout: 10_000, oneway: true });
  }
  heartbeat(): Promise<BoltResult | undefined> {
    return this.#sends('heartbeat', (id) => this.#encoder.writeHeartbeat(id, { clientUrl: 'x' }));
  }
  close(): void {
    this.#socket.destroy();
  }
  #sends(what: string, send: (id: number) => void): Promise<BoltResult | undefined> {
    const id = this.#next++;
    const answer = new Promise<BoltResult | undefined>((resolve) => this.#waiting.set(id, resolve));
    send(id);
    return within(10_000, what, answer);
  }
  #answered(id: number, answer: BoltResult | undefined): void {
    this.#waiting.get(id)?.(answer);
    this.#waiting.delete(id);
  }
}

const greeting = (answer: BoltResult | undefined) => String((answer?.appResponse as { $?: unknown } | undefined)?.$ ?? answer?.appResponse);

for (const [engine] of engines()) {
  const setup = async (context: TestContext) => {
    const [one, other] = [await BoltServer.open('one'), await BoltServer.open('other')];
    context.after(() => {
      one.close();
      other.close();
    });
    const routes = [{ servers: [one.port] }, { service: B, servers: [other.port] }];
    return { one, other, hops: await Hops.open(context, { engine, codecs: ['bolt'], routes }) };
  };

  test(`${engine}: sofa-bolt-node clients share connections to sofa-bolt-node servers`, async (context) => {
    const { one, hops } = await setup(context);
    for (const [hop, port] of hops.ports)
      for (const version of VERSIONS)
        await context.test(`${version.name} through ${hop}`, async (context) => {
          const clients = Array.from({ length: 4 }, () => new BoltClient(port, version));
          context.after(() => {
            for (const client of clients) client.close();
          });
          await together(400, async (index) => {
            const key = `${version.name}/${hop}/${index}/${'ä字'.repeat(index)}`;
            const service = index % 3 === 0 ? B : A;
            const answer = await clients[index % 4].call(service, 'greet', key, index % 5);
            assert.equal(greeting(answer), `${service === B ? 'other' : 'one'} ${key}`);
          });
          await together(4, async (index) => {
            const key = `${index}`.repeat(1_500_000);
            assert.equal(greeting(await clients[index].call(A, 'greet', key)), `one ${key}`);
          });
          const failed = await clients[0].call(A, 'fail', 'x');
          assert.match(failed?.error?.message ?? '', /failed x/);
          const seen = one.oneways.length;
          for (const client of clients) client.oneway(A, version.name);
          await eventually(() => one.oneways.length === seen + 4, 'the one-way requests');
          await clients[1].heartbeat();
        });
    assert.equal(hops.shared(hops.near, 'up-0'), 1);
    assert.equal(hops.shared(hops.near, 'up-1'), 1);
    assert.equal(hops.total('rpc.in.downstream_rq_heartbeat'), 2 * VERSIONS.length);
    assert.equal(hops.total('rpc.in.downstream_rq_active'), 0);
    assert.equal(hops.total('rpc.in.downstream_cx_protocol_error'), 0);
  });
}
