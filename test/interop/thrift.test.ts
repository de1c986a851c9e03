/** Apache Thrift's clients and servers on both sides of the proxy, framed: binary and compact, multiplexed names, one-way calls. */
import assert from 'node:assert/strict';
import type { EventEmitter } from 'node:events';
import type { Server } from 'node:net';
import test from 'node:test';
import { engines } from '../support/engines.js';
import { eventually } from '../support/peers.js';
import { Hops } from './hops.js';
import { stock, together } from './stock.js';

interface Protocol {
  writeMessageBegin(name: string, type: number, seqid: number): void;
  writeMessageEnd(): void;
  writeStructBegin(name: string): void;
  writeStructEnd(): void;
  writeFieldBegin(name: string, type: number, id: number): void;
  writeFieldEnd(): void;
  writeFieldStop(): void;
  writeString(text: string): void;
  writeI32(value: number): void;
  readMessageBegin(): { readonly fname: string; readonly mtype: number; readonly rseqid: number };
  readMessageEnd(): void;
  readStructBegin(): void;
  readStructEnd(): void;
  readFieldBegin(): { readonly ftype: number; readonly fid: number };
  readFieldEnd(): void;
  readString(): string;
  readI32(): number;
  flush(): void;
}
interface Connection extends EventEmitter {
  end(): void;
  readonly seqId2Service: Record<number, string>;
}
type Kind = abstract new (...options: never[]) => unknown;
interface ThriftModule {
  readonly Thrift: {
    readonly Type: { readonly STOP: number; readonly STRING: number; readonly I32: number };
    readonly MessageType: { readonly CALL: number; readonly REPLY: number; readonly EXCEPTION: number; readonly ONEWAY: number };
    readonly TApplicationException: new (type: number, message: string) => Error & { read(input: Protocol): void; write(output: Protocol): void };
    readonly TApplicationExceptionType: { readonly UNKNOWN: number; readonly UNKNOWN_METHOD: number };
  };
  readonly TFramedTransport: Kind;
  readonly TBinaryProtocol: Kind;
  readonly TCompactProtocol: Kind;
  readonly Multiplexer: new () => { createClient(name: string, client: typeof GreeterClient, connection: Connection): GreeterClient };
  readonly MultiplexedProcessor: new () => { registerProcessor(name: string, processor: GreeterProcessor): void };
  createConnection(host: string, port: number, options: object): Connection;
  createClient(client: typeof GreeterClient, connection: Connection): GreeterClient;
  createMultiplexServer(processor: object, options: object): Server;
}
const thrift = stock<ThriftModule>('thrift');
const { Type, MessageType, TApplicationException, TApplicationExceptionType } = thrift.Thrift;

// What Thrift's compiler makes of:  service Greeter { string greet(1: string key, 2: i32 delayMs), oneway void note(1: string key) }

function writeArguments(output: Protocol, key: string, delayMs: number): void {
  output.writeStructBegin('args');
  output.writeFieldBegin('key', Type.STRING, 1);
  output.writeString(key);
  output.writeFieldEnd();
  output.writeFieldBegin('delayMs', Type.I32, 2);
  output.writeI32(delayMs);
  output.writeFieldEnd();
  output.writeFieldStop();
  output.writeStructEnd();
}
/** Fields of a struct: texts and numbers by their ids. */
function readStruct(input: Protocol): Map<number, string | number> {
  const fields = new Map<number, string | number>();
  input.readStructBegin();
  for (;;) {
    const { ftype, fid } = input.readFieldBegin();
    if (ftype === Type.STOP) break;
    if (ftype === Type.STRING) fields.set(fid, input.readString());
    else if (ftype === Type.I32) fields.set(fid, input.readI32());
    else assert.fail(`field ${fid} is of type ${ftype}, which the service does not have`);
    input.readFieldEnd();
  }
  input.readStructEnd();
  return fields;
}

class GreeterClient {
  readonly output: unknown;
  readonly pClass: new (
    output: unknown,
  ) => Protocol;
  readonly _reqs: Record<number, (failure: Error | null, value?: string) => void> = {};
  #seqid = 0;
  #last = 0;

  constructor(output: unknown, pClass: new (output: unknown) => Protocol) {
    this.output = output;
    this.pClass = pClass;
  }
  /** A multiplexer puts its own in this place. */
  new_seqid(): number {
    this.#last++;
    return this.#last;
  }
  greet(key: string, delayMs: number): Promise<string> {
    return this.#call('greet', key, delayMs);
  }
  missing(key: string): Promise<string> {
    return this.#call('missing', key, 0);
  }
  note(key: string): void {
    this.#seqid = this.new_seqid();
    this.#send('note', MessageType.ONEWAY, key, 0);
  }
  recv_greet(input: Protocol, mtype: number, seqid: number): void {
    const done = this._reqs[seqid];
    delete this._reqs[seqid];
    if (mtype === MessageType.EXCEPTION) {
      const failure = new TApplicationException(TApplicationExceptionType.UNKNOWN, '');
      failure.read(input);
      input.readMessageEnd();
      done(failure);
      return;
    }
    const value = String(readStruct(input).get(0));
    input.readMessageEnd();
    done(null, value);
  }
  recv_missing(input: Protocol, mtype: number, seqid: number): void {
    this.recv_greet(input, mtype, seqid);
  }
  #call(name: string, key: string, delayMs: number): Promise<string> {
    const seqid = this.new_seqid();
    this.#seqid = seqid;
    return new Promise((resolve, reject) => {
      this._reqs[seqid] = (failure, value) => (failure === null ? resolve(value ?? '') : reject(failure));
      this.#send(name, MessageType.CALL, key, delayMs);
    });
  }
  #send(name: string, type: number, key: string, delayMs: number): void {
    const output = new this.pClass(this.output);
    output.writeMessageBegin(name, type, this.#seqid);
    writeArguments(output, key, delayMs);
    output.writeMessageEnd();
    output.flush();
  }
}

class GreeterProcessor {
  readonly notes: string[] = [];
  readonly #name: string;
  constructor(name: string) {
    this.#name = name;
  }
  process(input: Protocol, output: Protocol): void {
    const { fname, rseqid } = input.readMessageBegin();
    const fields = readStruct(input);
    input.readMessageEnd();
    const key = String(fields.get(1));
    if (fname === 'note') {
      this.notes.push(key);
      return;
    }
    setTimeout(
      () => {
        if (fname === 'greet') {
          output.writeMessageBegin('greet', MessageType.REPLY, rseqid);
          output.writeStructBegin('result');
          output.writeFieldBegin('success', Type.STRING, 0);
          output.writeString(`${this.#name} ${key}`);
          output.writeFieldEnd();
          output.writeFieldStop();
          output.writeStructEnd();
        } else {
          output.writeMessageBegin(fname, MessageType.EXCEPTION, rseqid);
          new TApplicationException(TApplicationExceptionType.UNKNOWN_METHOD, `no ${fname}`).write(output);
        }
        output.writeMessageEnd();
        output.flush();
      },
      Number(fields.get(2)),
    );
  }
}

const PROTOCOLS = [
  { codec: 'thrift', protocol: thrift.TBinaryProtocol },
  { codec: 'thrift-compact', protocol: thrift.TCompactProtocol },
];

for (const [engine] of engines())
  for (const { codec, protocol } of PROTOCOLS)
    test(`${engine}: Thrift clients share connections to Thrift servers: ${codec}`, async (context) => {
      const options = { transport: thrift.TFramedTransport, protocol };
      const serve = async (name: string) => {
        const greeter = new GreeterProcessor(name);
        const processor = new thrift.MultiplexedProcessor();
        for (const service of ['A', 'B']) processor.registerProcessor(service, greeter);
        const server = thrift.createMultiplexServer(processor, options);
        await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
        context.after(() => server.close());
        return { greeter, port: (server.address() as { port: number }).port };
      };
      const [one, other] = [await serve('one'), await serve('other')];
      // Both codecs on the port: the first bytes say which.
      const routes = [{ servers: [one.port] }, { service: 'b', servers: [other.port] }];
      const hops = await Hops.open(context, { engine, codecs: ['thrift', 'thrift-compact'], routes });
      for (const [hop, port] of hops.ports) {
        const clients = Array.from({ length: 4 }, () => {
          const connection = thrift.createConnection('127.0.0.1', port, options);
          connection.on('error', () => {});
          context.after(() => connection.end());
          const multiplexer = new thrift.Multiplexer();
          return ['A', 'B'].map((name) => multiplexer.createClient(name, GreeterClient, connection));
        });
        await together(400, async (index) => {
          const isOther = index % 3 === 0;
          const key = `${hop}/${index}/${'字'.repeat(index)}`;
          assert.equal(await clients[index % 4][isOther ? 1 : 0].greet(key, index % 5), `${isOther ? 'other' : 'one'} ${key}`);
        });
        await together(4, async (index) => {
          const key = `${index}`.repeat(1_500_000);
          assert.equal(await clients[index][0].greet(key, 0), `one ${key}`);
        });
        await assert.rejects(clients[0][0].missing('x'), /no missing/);
        for (const [a] of clients) a.note(hop);
        await eventually(() => one.greeter.notes.filter((note) => note === hop).length === 4, 'the one-way calls');
      }
      assert.equal(hops.shared(hops.near, 'up-0'), 1);
      assert.equal(hops.total('rpc.in.downstream_rq_active'), 0);
      assert.equal(hops.total('rpc.in.downstream_rq_oneway'), 12);
      assert.equal(hops.total('rpc.in.downstream_cx_protocol_error'), 0);
    });
