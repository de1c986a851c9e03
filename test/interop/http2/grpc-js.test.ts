/** grpc-js clients and servers with the proxy between: every kind of call, metadata, deadlines, cancellation, large streams in both directions. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import test, { type TestContext } from 'node:test';
import {
  type ClientDuplexStream,
  type ClientReadableStream,
  type ClientUnaryCall,
  type ClientWritableStream,
  compressionAlgorithms,
  credentials,
  type handleBidiStreamingCall,
  type handleClientStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  Metadata,
  type MethodDefinition,
  makeGenericClientConstructor,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServiceError,
  type StatusObject,
  status,
} from '@grpc/grpc-js';
import { engines } from '../../support/engines.js';
import { eventually } from '../../support/peers.js';
import { together, within } from '../stock.js';
import { type Proxied, proxied } from './proxied.js';

const MIB = 1_048_576;
/** Longest that a call with small messages may take, and one that moves 100 MB. */
const [CALL_MS, BULK_MS] = [10_000, 30_000];
/** A hundred megabytes, in messages of so many bytes. */
const [BULK_BYTES, BULK_MESSAGE_BYTES] = [100_000_000, 50_000];
/** What the proxy may grow by while 100 MB go through it. */
const MAX_GROWTH_BYTES = 64 * MIB;
const NO_BYTES = Buffer.alloc(0);

/** Messages are bytes: what is in them is not the proxy's. */
const method = (name: string, requestStream: boolean, responseStream: boolean): MethodDefinition<Buffer, Buffer> => ({
  path: `/sluice.interop.Echo/${name}`,
  requestStream,
  responseStream,
  requestSerialize: (message) => message,
  requestDeserialize: (bytes) => bytes,
  responseSerialize: (message) => message,
  responseDeserialize: (bytes) => bytes,
});
const ECHO = {
  unary: method('Unary', false, false),
  collect: method('Collect', true, false),
  repeat: method('Repeat', false, true),
  chat: method('Chat', true, true),
  fail: method('Fail', false, false),
  hang: method('Hang', false, true),
};

type Callback = (error: ServiceError | null, message?: Buffer) => void;
interface Options {
  readonly deadline?: number;
}
/** What makeGenericClientConstructor makes of ECHO. */
interface EchoClient {
  unary(message: Buffer, metadata: Metadata, options: Options, done: Callback): ClientUnaryCall;
  fail(message: Buffer, metadata: Metadata, options: Options, done: Callback): ClientUnaryCall;
  collect(metadata: Metadata, options: Options, done: Callback): ClientWritableStream<Buffer>;
  repeat(message: Buffer, metadata: Metadata, options: Options): ClientReadableStream<Buffer>;
  chat(metadata: Metadata, options: Options): ClientDuplexStream<Buffer, Buffer>;
  hang(message: Buffer, metadata: Metadata, options: Options): ClientReadableStream<Buffer>;
  close(): void;
}
const EchoClient = makeGenericClientConstructor(ECHO, 'Echo');

/** What the server has seen. */
interface Seen {
  /** Calls that were cancelled before they were over, by path. */
  readonly cancelled: string[];
  /** Messages that have come in streams. */
  messages: number;
  /** Milliseconds that calls had left when they came. */
  readonly timeouts: number[];
  readonly metadata: Metadata[];
}
const sizeAndCount = (bytes: number, count: number): Buffer => Buffer.from(`${bytes} ${count}`);
const numbers = (message: Buffer): number[] => message.toString().split(' ').map(Number);

async function openServer(context: TestContext): Promise<{ readonly port: number; readonly seen: Seen }> {
  const seen: Seen = { cancelled: [], messages: 0, timeouts: [], metadata: [] };
  const note = (call: { metadata: Metadata; getDeadline(): Date | number; getPath(): string; on(event: 'cancelled', then: () => void): unknown }) => {
    seen.metadata.push(call.metadata);
    seen.timeouts.push(Number(call.getDeadline()) - Date.now());
    call.on('cancelled', () => seen.cancelled.push(call.getPath()));
  };
  const unary: handleUnaryCall<Buffer, Buffer> = (call, done) => {
    note(call);
    const initial = new Metadata();
    for (const name of ['x-text', 'x-bytes-bin']) for (const value of call.metadata.get(name)) initial.add(name, value);
    call.sendMetadata(initial);
    const trailing = new Metadata();
    trailing.set('x-trailing', 'at the end');
    trailing.set('x-trailing-bin', Buffer.from([0, 255, 1]));
    done(null, call.request, trailing);
  };
  const collect: handleClientStreamingCall<Buffer, Buffer> = (call, done) => {
    note(call);
    let [bytes, count] = [0, 0];
    call.on('data', (message: Buffer) => {
      bytes += message.length;
      count++;
      seen.messages++;
    });
    call.on('end', () => done(null, sizeAndCount(bytes, count)));
  };
  const repeat: handleServerStreamingCall<Buffer, Buffer> = async (call) => {
    note(call);
    const [bytes, count] = numbers(call.request);
    const message = Buffer.alloc(bytes, 'm');
    let go = () => {};
    call.on('drain', () => go()).on('cancelled', () => go());
    for (let sent = 0; sent < count && !call.cancelled; sent++)
      if (!call.write(message))
        await new Promise<void>((resolve) => {
          go = resolve;
        });
    call.end();
  };
  const chat: handleBidiStreamingCall<Buffer, Buffer> = (call) => {
    note(call);
    call.on('data', (message: Buffer) => {
      seen.messages++;
      call.write(message);
    });
    call.on('end', () => call.end());
  };
  const fail = (call: ServerUnaryCall<Buffer, Buffer>, done: (error: Partial<StatusObject>) => void) => {
    note(call);
    const metadata = new Metadata();
    metadata.set('x-why', 'because');
    done({ code: status.FAILED_PRECONDITION, details: 'nicht möglich: 100% 字', metadata });
  };
  const hang: handleServerStreamingCall<Buffer, Buffer> = (call) => {
    note(call);
    if (call.request.length > 0) call.write(call.request);
  };
  const server = new Server({ 'grpc.default_compression_algorithm': compressionAlgorithms.gzip });
  server.addService(ECHO, { unary, collect, repeat, chat, fail, hang });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => (error === null ? resolve(bound) : reject(error))),
  );
  context.after(() => server.forceShutdown());
  return { port, seen };
}

/** The answer of a unary or client-streaming call. */
const answer = (begin: (done: Callback) => unknown, ms = CALL_MS): Promise<Buffer> =>
  within(ms, 'a call', new Promise((resolve, reject) => begin((error, message) => (error === null ? resolve(message ?? NO_BYTES) : reject(error)))));
/** The status that a stream ends with, and how many bytes and messages came before. */
const outcome = (call: ClientReadableStream<Buffer> | ClientDuplexStream<Buffer, Buffer>, ms = CALL_MS) => {
  let [bytes, count] = [0, 0];
  call.on('data', (message: Buffer) => {
    bytes += message.length;
    count++;
  });
  call.on('error', () => {});
  const ended = new Promise<StatusObject>((resolve) => call.on('status', resolve));
  return within(
    ms,
    'a stream',
    ended.then(({ code, details }) => ({ code, details, bytes, count })),
  );
};
/** Writes messages as fast as they are taken. */
async function writeAll(call: ClientWritableStream<Buffer> | ClientDuplexStream<Buffer, Buffer>, bytes: number, messageBytes: number) {
  const message = Buffer.alloc(messageBytes, 'm');
  for (let sent = 0; sent < bytes; sent += messageBytes)
    if (!call.write(message)) await new Promise<void>((resolve) => call.once('drain', () => resolve()));
  call.end();
}
const failureOf = (call: Promise<Buffer>): Promise<ServiceError> =>
  call.then(
    () => assert.fail('it did not fail'),
    (error) => error,
  );

/** The most that the proxy grew by while something was done. */
async function growthWhile({ proxy }: Proxied, work: () => Promise<void>): Promise<number> {
  if (proxy === undefined) {
    await work();
    return 0;
  }
  const before = proxy.rssBytes();
  let most = before;
  const timer = setInterval(() => {
    most = Math.max(most, proxy.rssBytes());
  }, 20);
  await work().finally(() => clearInterval(timer));
  return most - before;
}

for (const [engine] of engines())
  test(`${engine}: grpc-js`, async (context) => {
    const { port: to, seen } = await openServer(context);
    const between = await proxied(context, engine, { to });
    const { proxy } = between;
    const open = (options: object = {}): EchoClient => {
      const client = new EchoClient(`127.0.0.1:${between.port}`, credentials.createInsecure(), options) as unknown as EchoClient;
      context.after(() => client.close());
      return client;
    };
    const client = open();
    const none = new Metadata();

    await context.test('unary calls, empty and of 1 MiB, one after the other and at once', async () => {
      for (const bytes of [0, 1, 100_000, MIB]) {
        const message = randomBytes(bytes);
        assert.ok((await answer((done) => client.unary(message, none, {}, done))).equals(message), `${bytes} bytes`);
      }
      await together(200, async (index) => {
        const message = Buffer.from(`call ${index}`);
        assert.deepEqual(await answer((done) => client.unary(message, none, {}, done)), message);
      });
    });

    await context.test('metadata both ways, of text and of bytes', async () => {
      const metadata = new Metadata();
      metadata.add('x-text', 'one');
      metadata.add('x-text', 'two');
      metadata.add('x-bytes-bin', Buffer.from([0, 1, 254, 255]));
      metadata.add('x-bytes-bin', Buffer.from('second'));
      const got = await within(
        CALL_MS,
        'metadata',
        new Promise<{ initial: Metadata; trailing: Metadata }>((resolve, reject) => {
          let initial = new Metadata();
          const call = client.unary(NO_BYTES, metadata, {}, (error) => error !== null && reject(error));
          call.on('metadata', (came) => {
            initial = came;
          });
          call.on('status', ({ metadata: trailing }) => resolve({ initial, trailing }));
        }),
      );
      assert.deepEqual(got.initial.get('x-text').join(', '), 'one, two');
      assert.deepEqual(got.initial.get('x-bytes-bin'), [Buffer.from([0, 1, 254, 255]), Buffer.from('second')]);
      assert.deepEqual(got.trailing.get('x-trailing'), ['at the end']);
      assert.deepEqual(got.trailing.get('x-trailing-bin'), [Buffer.from([0, 255, 1])]);
    });

    await context.test('a client stream, a server stream, and both at once', async () => {
      const collected = await answer((done) => void writeAll(client.collect(none, {}, done), 100_000, 1000));
      assert.deepEqual(numbers(collected), [100_000, 100]);
      assert.deepEqual(await outcome(client.repeat(sizeAndCount(1000, 100), none, {})), { code: 0, details: 'OK', bytes: 100_000, count: 100 });
      const call = client.chat(none, {});
      for (let round = 0; round < 20; round++) {
        const echoed = new Promise<Buffer>((resolve) => call.once('data', resolve));
        call.write(Buffer.from(`round ${round}`));
        assert.equal((await within(CALL_MS, 'an echo', echoed)).toString(), `round ${round}`);
      }
      call.end();
      assert.equal((await outcome(call)).code, status.OK);
    });

    await context.test('an error without a message: status, text and metadata', async () => {
      const error = await failureOf(answer((done) => client.fail(NO_BYTES, none, {}, done)));
      assert.deepEqual([error.code, error.details, error.metadata.get('x-why')], [status.FAILED_PRECONDITION, 'nicht möglich: 100% 字', ['because']]);
    });
    await context.test('a method that the server does not have', async () => {
      const Other = makeGenericClientConstructor({ unary: method('Missing', false, false) }, 'Other');
      const other = new Other(`127.0.0.1:${between.port}`, credentials.createInsecure()) as unknown as EchoClient;
      context.after(() => other.close());
      assert.equal((await failureOf(answer((done) => other.unary(NO_BYTES, none, {}, done)))).code, status.UNIMPLEMENTED);
    });

    await context.test('a deadline is told to the server, and ends the call on both sides', async () => {
      seen.timeouts.length = 0;
      seen.cancelled.length = 0;
      const { code } = await outcome(client.hang(NO_BYTES, none, { deadline: Date.now() + 300 }));
      assert.equal(code, status.DEADLINE_EXCEEDED);
      assert.ok(seen.timeouts[0] > 0 && seen.timeouts[0] <= 300, `${seen.timeouts[0]} ms were left`);
      await eventually(() => seen.cancelled.length > 0, 'the server works on');
    });
    await context.test('a cancelled call ends at the server at once', async () => {
      seen.cancelled.length = 0;
      const call = client.hang(Buffer.from('first'), none, {});
      await within(CALL_MS, 'a first message', new Promise((resolve) => call.once('data', resolve)));
      const at = performance.now();
      const ended = outcome(call);
      call.cancel();
      assert.equal((await ended).code, status.CANCELLED);
      await eventually(() => seen.cancelled.length > 0, 'the server works on');
      const tookMs = performance.now() - at;
      assert.ok(tookMs < 1000, `${tookMs} ms`);
    });
    await context.test('a cancelled upload ends at the server at once', async () => {
      seen.cancelled.length = 0;
      seen.messages = 0;
      const failed = failureOf(
        answer((done) => {
          const call = client.collect(none, {}, done);
          call.write(Buffer.from('first'));
          void eventually(() => seen.messages > 0, 'nothing came').then(() => call.cancel());
        }),
      );
      assert.equal((await failed).code, status.CANCELLED);
      await eventually(() => seen.cancelled.length > 0, 'the server works on');
    });

    await context.test('compressed messages', async () => {
      const packing = open({ 'grpc.default_compression_algorithm': compressionAlgorithms.gzip });
      const message = Buffer.alloc(200_000, 'repeated ');
      assert.ok((await answer((done) => packing.unary(message, none, {}, done))).equals(message));
    });

    await context.test('100 MB to the server, in bounded memory', async (context) => {
      const growth = await growthWhile(between, async () => {
        const collected = await answer((done) => void writeAll(client.collect(none, {}, done), BULK_BYTES, BULK_MESSAGE_BYTES), BULK_MS);
        assert.deepEqual(numbers(collected), [BULK_BYTES, BULK_BYTES / BULK_MESSAGE_BYTES]);
      });
      context.diagnostic(`the proxy grew by ${Math.round(growth / MIB)} MiB`);
      assert.ok(growth < MAX_GROWTH_BYTES, `${growth}`);
    });
    await context.test('100 MB from the server, in bounded memory', async (context) => {
      const growth = await growthWhile(between, async () => {
        const { code, bytes } = await outcome(client.repeat(sizeAndCount(BULK_MESSAGE_BYTES, BULK_BYTES / BULK_MESSAGE_BYTES), none, {}), BULK_MS);
        assert.deepEqual([code, bytes], [status.OK, BULK_BYTES]);
      });
      context.diagnostic(`the proxy grew by ${Math.round(growth / MIB)} MiB`);
      assert.ok(growth < MAX_GROWTH_BYTES, `${growth}`);
    });
    await context.test('a reader that stops holds its server back, and nobody else', async (context) => {
      const growth = await growthWhile(between, async () => {
        const call = client.repeat(sizeAndCount(BULK_MESSAGE_BYTES, BULK_BYTES / BULK_MESSAGE_BYTES), none, {});
        call.on('error', () => {});
        await within(CALL_MS, 'a first message', new Promise((resolve) => call.once('data', resolve)));
        call.pause();
        for (let round = 0; round < 20; round++) await answer((done) => client.unary(Buffer.from('meanwhile'), none, {}, done));
        call.cancel();
      });
      context.diagnostic(`the proxy grew by ${Math.round(growth / MIB)} MiB`);
      assert.ok(growth < MAX_GROWTH_BYTES, `${growth}`);
    });

    if (proxy === undefined) return;
    assert.equal(await proxy.stat('cluster.up.upstream_cx_protocol_error'), 0);
  });
