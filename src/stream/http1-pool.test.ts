import assert from 'node:assert/strict';
import test from 'node:test';
import type { CloseReason, ConnectionHandler, Engine } from '../network/engine.js';
import { Http1Pool, type PooledConnection, type PoolOptions, type PoolOwner } from './http1-pool.js';
import type { Upstream, UpstreamUser } from './upstream.js';

/** An engine that only connects and closes, when the test says so. */
class FakeEngine {
  now = 1000;
  readonly handlers = new Map<number, ConnectionHandler>();
  readonly closed: [handle: number, how: string][] = [];
  #next = 1;
  connect(_options: unknown, handler: ConnectionHandler): number {
    this.handlers.set(this.#next, handler);
    return this.#next++;
  }
  close(handle: number, how: string): void {
    this.closed.push([handle, how]);
  }
  traffic(): undefined {
    return undefined;
  }
  info(): undefined {
    return undefined;
  }
  connected(handle: number): void {
    this.handlers.get(handle)?.onConnected?.(handle);
  }
  gone(handle: number, reason: CloseReason, errno = ''): void {
    this.handlers.get(handle)?.onClosed(handle, reason, errno);
  }
}

class Accounts implements PoolOwner {
  maxConnections = 10;
  maxWaiting = 10;
  open = 0;
  waitingNow = 0;
  readonly notes: string[] = [];
  mayConnect(): boolean {
    return this.open < this.maxConnections;
  }
  connectionRefused(): void {
    this.notes.push('refused');
  }
  mayWait(): boolean {
    return this.waitingNow < this.maxWaiting;
  }
  waiting(delta: 1 | -1): void {
    this.waitingNow += delta;
  }
  opened(): void {
    this.open++;
  }
  connected(): void {
    this.notes.push('connected');
  }
  connectFailed(reason: CloseReason): void {
    this.notes.push(reason);
  }
  closed(_lengthMs: number, local: boolean, inUse: boolean): void {
    this.open--;
    this.notes.push(`closed ${local ? 'local' : 'remote'}${inUse ? ' in use' : ''}`);
  }
  idleTimeout(): void {
    this.notes.push('idle');
  }
  maxRequests(): void {
    this.notes.push('max requests');
  }
  maxDuration(): void {
    this.notes.push('max duration');
  }
  protocolError(): void {
    this.notes.push('protocol error');
  }
  traffic(): void {}
}

class User implements UpstreamUser {
  connection: PooledConnection | undefined;
  readonly notes: string[] = [];
  onPoolReady(connection: PooledConnection): void {
    this.connection = connection;
    this.notes.push('ready');
  }
  onPoolFailure(reason: CloseReason, errno: string): void {
    this.notes.push(`failed ${reason} ${errno}`.trim());
  }
  onUpstreamHead(): void {}
  onUpstreamBody(): void {}
  onUpstreamTrailers(): void {}
  onUpstreamEnd(): void {}
  onUpstreamFault(): void {}
  onUpstreamClosed(_connection: Upstream, reason: CloseReason): void {
    this.notes.push(`closed ${reason}`);
  }
}

function pool(options: Partial<PoolOptions> = {}) {
  const engine = new FakeEngine();
  const owner = new Accounts();
  const made = new Http1Pool(engine as unknown as Engine, owner, {
    connect: { address: { ip: '127.0.0.1', port: 1 }, profile: 0 },
    maxRequestsPerConnection: 0,
    maxConnectionDurationMs: 0,
    ...options,
  });
  /** A user with a connection of its own. */
  const busy = (): User & { connection: PooledConnection } => {
    const user = new User();
    const idle = made.take(user);
    if (idle !== undefined) user.connection = idle;
    else {
      made.enqueue(user);
      engine.connected(engine.handlers.size);
    }
    return user as User & { connection: PooledConnection };
  };
  return { engine, owner, pool: made, busy };
}

test('the connection used last is used next', () => {
  const { pool: p, busy } = pool();
  const [a, b] = [busy(), busy()];
  p.release(a.connection);
  p.release(b.connection);
  assert.equal(p.idleCount, 2);
  assert.equal(p.take(new User()), b.connection);
  assert.equal(p.take(new User()), a.connection);
  assert.equal(p.take(new User()), undefined);
});

test('a connection that is given back goes to the first who waits', () => {
  const { engine, owner, pool: p, busy } = pool();
  const a = busy();
  owner.maxConnections = 1;
  const [first, second] = [new User(), new User()];
  assert.equal(p.enqueue(first), true);
  assert.equal(p.enqueue(second), true);
  assert.deepEqual(owner.notes.slice(-2), ['refused', 'refused']);
  assert.equal(engine.handlers.size, 1);
  p.release(a.connection);
  assert.deepEqual([first.notes, second.notes], [['ready'], []]);
  assert.equal(owner.waitingNow, 1);
});

test('more than may wait are refused', () => {
  const { owner, pool: p } = pool();
  owner.maxWaiting = 1;
  assert.equal(p.enqueue(new User()), true);
  assert.equal(p.enqueue(new User()), false);
  assert.equal(p.waitingCount, 1);
});

test('a pool without any connection opens one even where the circuit breaker is open', () => {
  const { engine, owner, pool: p } = pool();
  owner.maxConnections = 0;
  p.enqueue(new User());
  assert.equal(engine.handlers.size, 1);
});

test('a connect failure is told to all who wait', () => {
  const { engine, owner, pool: p } = pool();
  const users = [new User(), new User()];
  for (const user of users) p.enqueue(user);
  engine.gone(1, 'connect-failed', 'ECONNREFUSED');
  for (const user of users) assert.deepEqual(user.notes, ['failed connect-failed ECONNREFUSED']);
  assert.equal(owner.waitingNow, 0);
  assert.ok(owner.notes.includes('connect-failed'));
});

test('who no longer waits gets nothing, and the connection made for it is kept', () => {
  const { engine, pool: p } = pool();
  const user = new User();
  p.enqueue(user);
  assert.equal(p.cancel(user), true);
  assert.equal(p.cancel(user), false);
  engine.connected(1);
  assert.deepEqual(user.notes, []);
  assert.equal(p.idleCount, 1);
});

test('a discarded connection is never used again, and its own end is not told twice', () => {
  const { engine, owner, pool: p, busy } = pool();
  const a = busy();
  p.discard(a.connection);
  p.release(a.connection);
  engine.gone(1, 'local');
  assert.deepEqual(engine.closed, [[1, 'now']]);
  assert.deepEqual([p.idleCount, p.openCount, owner.open], [0, 0, 0]);
  assert.deepEqual(a.notes, ['ready']);
  assert.equal(owner.notes.filter((note) => note.startsWith('closed')).length, 1);
});

test('an idle connection that the peer closes leaves the pool', () => {
  const { engine, pool: p, busy } = pool();
  const a = busy();
  p.release(a.connection);
  engine.gone(1, 'remote');
  assert.deepEqual([p.idleCount, p.openCount], [0, 0]);
  assert.equal(p.take(new User()), undefined);
});

test('a connection serves at most as many requests as are allowed', () => {
  const { engine, owner, pool: p, busy } = pool({ maxRequestsPerConnection: 2 });
  const a = busy();
  p.release(a.connection);
  const again = p.take(new User());
  assert.equal(again, a.connection);
  p.release(a.connection);
  assert.deepEqual(engine.closed, [[1, 'flush']]);
  assert.ok(owner.notes.includes('max requests'));
});

test('a connection that is too old is closed instead of used', () => {
  const { engine, owner, pool: p, busy } = pool({ maxConnectionDurationMs: 100 });
  const a = busy();
  p.release(a.connection);
  engine.now += 200;
  assert.equal(p.take(new User()), undefined);
  assert.deepEqual(engine.closed, [[1, 'flush']]);
  assert.ok(owner.notes.includes('max duration'));
});

test('the idle time closes an idle connection, not a busy one', () => {
  const { engine, owner, pool: p, busy } = pool();
  const a = busy();
  a.connection.onTimeout(1, 'idle');
  assert.deepEqual(engine.closed, []);
  p.release(a.connection);
  a.connection.onTimeout(1, 'idle');
  assert.deepEqual(engine.closed, [[1, 'now']]);
  assert.ok(owner.notes.includes('idle'));
});

test('draining closes idle connections at once and busy ones after their request; who waits is still served', () => {
  const { engine, pool: p, busy } = pool();
  const [a, b] = [busy(), busy()];
  p.release(a.connection);
  p.drain();
  assert.deepEqual(engine.closed, [[1, 'flush']]);
  p.release(b.connection);
  assert.deepEqual(engine.closed.at(-1), [2, 'flush']);
  const late = new User();
  p.enqueue(late);
  engine.connected(3);
  assert.deepEqual(late.notes, ['ready']);
});

test('when a busy connection breaks its user is told, and those who wait get a new one', () => {
  const { engine, owner, pool: p, busy } = pool();
  owner.maxConnections = 1;
  const a = busy();
  const waiting = new User();
  p.enqueue(waiting);
  engine.gone(1, 'reset', 'ECONNRESET');
  assert.deepEqual(a.notes, ['ready', 'closed reset']);
  assert.equal(engine.handlers.size, 2);
  engine.connected(2);
  assert.deepEqual(waiting.notes, ['ready']);
});
test('a drained pool whose connection comes too late for anybody opens no other', () => {
  const { engine, owner, pool: p } = pool();
  const user = new User();
  assert.equal(p.enqueue(user), true);
  assert.equal(p.cancel(user), true);
  p.drain();
  engine.connected(1);
  assert.deepEqual([engine.closed, engine.handlers.size, owner.open], [[[1, 'flush']], 1, 0]);
});
