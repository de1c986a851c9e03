import assert from 'node:assert/strict';
import test from 'node:test';
import type { CloseReason, ConnectionHandler, Engine } from '../network/engine.js';
import { Http2Pool, type Http2PoolOptions, type Http2PoolOwner } from './http2-pool.js';
import { TimerWheel } from './timers.js';
import type { Upstream, UpstreamUser } from './upstream.js';

/** An engine whose connections take as many streams as the test says. */
class FakeEngine {
  now = performance.now();
  readonly handlers = new Map<number, ConnectionHandler>();
  readonly log: string[] = [];
  /** Connections that open no stream although there is room: their ids are used up. */
  readonly spent = new Set<number>();
  #next = 1;
  connect(_options: unknown, handler: ConnectionHandler): number {
    this.handlers.set(this.#next, handler);
    this.log.push(`connect ${this.#next}`);
    return this.#next++;
  }
  openStream(connection: number, handler: ConnectionHandler): number {
    if (this.spent.has(connection)) return 0;
    this.handlers.set(this.#next, handler);
    this.log.push(`stream ${this.#next} on ${connection}`);
    return this.#next++;
  }
  close(handle: number, how: string): void {
    this.log.push(`${how} ${handle}`);
  }
  ping(handle: number): void {
    this.log.push(`ping ${handle}`);
  }
  info(): undefined {
    return undefined;
  }
  /** The peer's SETTINGS have come. */
  allows(handle: number, streams: number): void {
    this.handlers.get(handle)?.onStreamLimit?.(handle, streams, false);
  }
  goesAway(handle: number): void {
    this.handlers.get(handle)?.onGoAway?.(handle, 'NO_ERROR');
  }
  gone(handle: number, reason: CloseReason = 'done', errno = ''): void {
    this.handlers.get(handle)?.onClosed(handle, reason, errno);
  }
  taken(): string[] {
    return this.log.splice(0);
  }
}

class Accounts implements Http2PoolOwner {
  maxConnections = 10;
  maxWaiting = 1000;
  open = 0;
  waitingNow = 0;
  readonly notes: string[] = [];
  mayConnect = () => this.open < this.maxConnections;
  connectionRefused = () => void this.notes.push('refused');
  mayWait = () => this.waitingNow < this.maxWaiting;
  waiting(delta: 1 | -1): void {
    this.waitingNow += delta;
  }
  opened(): void {
    this.open++;
  }
  connected(): void {}
  connectFailed = (reason: CloseReason) => void this.notes.push(`failed ${reason}`);
  closed(_lengthMs: number, local: boolean, inUse: boolean): void {
    this.open--;
    this.notes.push(`closed ${local ? 'local' : 'remote'}${inUse ? ' in use' : ''}`);
  }
  idleTimeout = () => void this.notes.push('idle');
  maxRequests = () => void this.notes.push('max requests');
  maxDuration = () => void this.notes.push('max duration');
  protocolError = () => void this.notes.push('protocol error');
  goAway = () => void this.notes.push('go away');
  keepAliveTimeout = () => void this.notes.push('keep-alive timeout');
  fault = (code: string) => void this.notes.push(code);
  streamClosed(): void {}
}

class User implements UpstreamUser {
  upstream: Upstream | undefined;
  readonly notes: string[] = [];
  onPoolReady(upstream: Upstream): void {
    this.upstream = upstream;
    this.notes.push('ready');
  }
  onPoolFailure(reason: CloseReason): void {
    this.notes.push(`failed ${reason}`);
  }
  onUpstreamHead(): void {}
  onUpstreamBody(): void {}
  onUpstreamTrailers(): void {}
  onUpstreamEnd(): void {}
  onUpstreamFault(): void {}
  onUpstreamClosed(_upstream: Upstream, reason: CloseReason): void {
    this.notes.push(`closed ${reason}`);
  }
}

function setUp(context: { after(done: () => void): void }, options: Partial<Http2PoolOptions> = {}) {
  const engine = new FakeEngine();
  const owner = new Accounts();
  const wheel = new TimerWheel({
    get now() {
      return performance.now();
    },
  });
  context.after(() => wheel.close());
  const pool = new Http2Pool(engine as unknown as Engine, wheel, owner, {
    connect: { address: { ip: '127.0.0.1', port: 1 }, profile: 0 },
    maxStreams: 1024,
    maxRequestsPerConnection: 0,
    maxConnectionDurationMs: 0,
    keepAlive: undefined,
    ...options,
  });
  const wait = (count: number): User[] =>
    Array.from({ length: count }, () => {
      const user = new User();
      assert.ok(pool.enqueue(user));
      return user;
    });
  return { engine, owner, pool, wait };
}

test('requests wait for the SETTINGS of the peer, and then share one connection', (context) => {
  const { engine, pool, wait, owner } = setUp(context);
  const users = wait(3);
  assert.deepEqual(engine.taken(), ['connect 1']);
  engine.allows(1, 100);
  assert.deepEqual(engine.taken(), ['stream 2 on 1', 'stream 3 on 1', 'stream 4 on 1']);
  assert.deepEqual(
    users.map(({ notes }) => notes),
    [['ready'], ['ready'], ['ready']],
  );
  assert.equal(owner.waitingNow, 0);
  assert.ok(pool.take(new User())?.isReused);
});

test('what a peer does not take at once goes on a further connection, or waits where there may be none', (context) => {
  const { engine, pool, wait, owner } = setUp(context);
  owner.maxConnections = 2;
  const users = wait(5);
  engine.allows(1, 2);
  assert.deepEqual(engine.taken(), ['connect 1', 'stream 2 on 1', 'stream 3 on 1', 'connect 4']);
  engine.allows(4, 2);
  assert.deepEqual(engine.taken(), ['stream 5 on 4', 'stream 6 on 4']);
  assert.equal(pool.waitingCount, 1);
  assert.equal(pool.take(new User()), undefined);
  users[0].upstream?.release();
  engine.gone(2);
  assert.deepEqual(engine.taken(), ['stream 7 on 1']);
  assert.deepEqual(users[4].notes, ['ready']);
});

test('our own bound of streams holds where the peer allows more', (context) => {
  const { engine, pool, wait } = setUp(context, { maxStreams: 1 });
  wait(2);
  assert.deepEqual(engine.taken(), ['connect 1', 'connect 2']);
  engine.allows(1, 100);
  assert.equal(pool.take(new User()), undefined);
});

test('a peer that takes nothing for now is not asked on ever more connections', (context) => {
  const { engine, wait } = setUp(context);
  const [user] = wait(1);
  engine.allows(1, 0);
  assert.deepEqual(engine.taken(), ['connect 1']);
  engine.allows(1, 1);
  assert.deepEqual(user.notes, ['ready']);
});

test('a connection that goes away takes nothing more, and is closed after its last stream', (context) => {
  const { engine, pool, wait, owner } = setUp(context);
  const [user] = wait(1);
  engine.allows(1, 100);
  engine.taken();
  engine.goesAway(1);
  assert.equal(pool.take(new User()), undefined);
  wait(1);
  assert.deepEqual(engine.taken(), ['connect 3']);
  user.upstream?.release();
  engine.gone(2);
  assert.deepEqual(engine.taken(), ['flush 1']);
  engine.gone(1, 'local');
  assert.deepEqual(owner.notes, ['go away', 'closed local']);
});

test('a connection whose ids are used up is left for a new one', (context) => {
  const { engine, pool, wait } = setUp(context);
  wait(1);
  engine.allows(1, 100);
  engine.spent.add(1);
  engine.taken();
  assert.equal(pool.take(new User()), undefined);
  wait(1);
  assert.deepEqual(engine.taken(), ['connect 3']);
});

test('a connection serves at most as many requests as are allowed', (context) => {
  const { engine, pool, wait, owner } = setUp(context, { maxRequestsPerConnection: 2 });
  wait(3);
  engine.allows(1, 100);
  assert.deepEqual(engine.taken(), ['connect 1', 'stream 2 on 1', 'stream 3 on 1', 'connect 4']);
  assert.deepEqual(owner.notes, ['max requests']);
  assert.equal(pool.openCount, 2);
});

test('a connection that is too old takes no further request', (context) => {
  const { engine, pool, wait, owner } = setUp(context, { maxConnectionDurationMs: 1000 });
  wait(1);
  engine.allows(1, 100);
  assert.ok(pool.take(new User()) !== undefined);
  engine.now += 1001;
  assert.equal(pool.take(new User()), undefined);
  assert.deepEqual(owner.notes, ['max duration']);
});

test('who waits for a connection that fails is told, also where it fails before its SETTINGS', (context) => {
  const { engine, pool, wait, owner } = setUp(context);
  const users = wait(2);
  engine.gone(1, 'connect-failed', 'ECONNREFUSED');
  assert.deepEqual(
    users.map(({ notes }) => notes),
    [['failed connect-failed'], ['failed connect-failed']],
  );
  assert.deepEqual(owner.notes, ['failed connect-failed', 'closed remote']);
  assert.equal(pool.openCount, 0);
  assert.equal(owner.waitingNow, 0);
});

test('a request that gives up waiting is not served, and one beyond the circuit breaker does not wait', (context) => {
  const { engine, pool, wait, owner } = setUp(context);
  owner.maxWaiting = 2;
  const [first] = wait(2);
  assert.equal(pool.enqueue(new User()), false);
  assert.ok(pool.cancel(first));
  assert.equal(pool.cancel(first), false);
  engine.allows(1, 100);
  assert.deepEqual(first.notes, []);
  assert.equal(owner.waitingNow, 0);
});

test('what is given up is reset, and its user hears no more of it', (context) => {
  const { engine, wait } = setUp(context);
  const [user] = wait(1);
  engine.allows(1, 100);
  engine.taken();
  user.upstream?.discard();
  assert.deepEqual(engine.taken(), ['reset 2']);
  engine.gone(2, 'local');
  assert.deepEqual(user.notes, ['ready']);
});

test('a request that is lost with its connection counts as one in use; one that is reset alone does not', (context) => {
  const { engine, wait, owner } = setUp(context);
  const users = wait(2);
  engine.allows(1, 100);
  engine.gone(2, 'reset', 'INTERNAL_ERROR');
  assert.deepEqual(users[0].notes, ['ready', 'closed reset']);
  engine.gone(3, 'reset', 'ECONNRESET');
  engine.gone(1, 'reset', 'ECONNRESET');
  assert.deepEqual(users[1].notes, ['ready', 'closed reset']);
  assert.deepEqual(owner.notes, ['closed remote in use']);
});

test('draining closes idle connections and lets the others end; who waits is still served', (context) => {
  const { engine, pool, wait } = setUp(context);
  const [user] = wait(1);
  engine.allows(1, 100);
  engine.taken();
  pool.drain();
  assert.deepEqual(engine.taken(), []);
  user.upstream?.release();
  engine.gone(2);
  assert.deepEqual(engine.taken(), ['flush 1']);
  const [late] = wait(1);
  assert.deepEqual(engine.taken(), ['connect 3']);
  engine.allows(3, 100);
  assert.deepEqual(late.notes, ['ready']);
});

test('an idle connection is closed, a busy one is not', (context) => {
  const { engine, wait, owner } = setUp(context);
  const [user] = wait(1);
  engine.allows(1, 100);
  engine.taken();
  engine.handlers.get(1)?.onTimeout?.(1, 'idle');
  assert.deepEqual(engine.taken(), []);
  user.upstream?.release();
  engine.gone(2);
  engine.handlers.get(1)?.onTimeout?.(1, 'idle');
  assert.deepEqual(engine.taken(), ['flush 1']);
  assert.deepEqual(owner.notes, ['idle']);
});

test('a peer that does not answer PING is given up', async (context) => {
  const keepAlive = { intervalMs: 10, jitterPercent: 0, timeoutMs: 30, connectionIdleMs: 0 };
  const { engine, wait, owner } = setUp(context, { keepAlive });
  wait(1);
  engine.allows(1, 100);
  engine.taken();
  const until = async (line: string) => {
    for (let tries = 0; tries < 200 && !engine.log.includes(line); tries++) await new Promise((resolve) => setTimeout(resolve, 5));
    assert.ok(engine.taken().includes(line), `no ${line}`);
  };
  await until('ping 1');
  engine.handlers.get(1)?.onPong?.(1);
  await until('ping 1');
  await until('reset 1');
  assert.deepEqual(owner.notes, ['keep-alive timeout']);
});

test('a connection that was quiet for long is asked together with the next request', (context) => {
  const keepAlive = { intervalMs: 0, jitterPercent: 0, timeoutMs: 1000, connectionIdleMs: 50 };
  const { engine, wait, pool } = setUp(context, { keepAlive });
  const [user] = wait(1);
  engine.allows(1, 100);
  user.upstream?.release();
  engine.gone(2);
  engine.taken();
  assert.ok(pool.take(new User()) !== undefined);
  assert.deepEqual(engine.taken(), ['stream 3 on 1']);
  engine.gone(3);
  engine.now += 51;
  assert.ok(pool.take(new User()) !== undefined);
  assert.deepEqual(engine.taken(), ['stream 4 on 1', 'ping 1']);
});
test('who waits for a connection that takes nothing for now gets another one when it goes away', (context) => {
  const { engine, wait } = setUp(context);
  wait(1);
  engine.allows(1, 1);
  engine.allows(1, 0);
  assert.deepEqual(engine.taken(), ['connect 1', 'stream 2 on 1']);
  wait(1);
  assert.deepEqual(engine.taken(), []);
  engine.goesAway(1);
  assert.deepEqual(engine.taken(), ['connect 3']);
});
