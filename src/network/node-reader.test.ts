import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { type OnChunk, ReadBuffers, readInto, SocketReader } from './node-reader.js';

/** Both ends of a connection, the accepted one not read yet. */
async function pair(): Promise<{ accepted: Socket; client: Socket; close: () => void }> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect((server.address() as { port: number }).port, '127.0.0.1');
  const [accepted] = (await once(server, 'connection')) as [Socket];
  return {
    accepted,
    client,
    close: () => {
      client.destroy();
      server.close();
    },
  };
}

/** Reads an accepted socket. */
function read(accepted: Socket, onChunk: OnChunk, buffers = new ReadBuffers()): Socket {
  return readInto(accepted, new SocketReader(buffers, onChunk), onChunk);
}

/** Reads what `client` sends until its FIN, and answers it. */
async function converse(accepted: Socket, client: Socket): Promise<{ seen: string; shared: boolean; answer: string; socket: Socket }> {
  let seen = '';
  let shared = true;
  const buffers = new ReadBuffers();
  const onChunk: OnChunk = (chunk, isLent) => {
    seen += chunk.toString('latin1');
    shared &&= isLent;
    assert.equal(chunk.buffer === buffers.shared.buffer, isLent);
  };
  const socket = read(accepted, onChunk, buffers);
  client.end('hello');
  await once(socket, 'end');
  let answer = '';
  client.on('data', (chunk: Buffer) => {
    answer += chunk.toString('latin1');
  });
  socket.end('bye');
  await once(client, 'end');
  return { seen, shared, answer, socket };
}

test('reads an accepted socket into the shared buffer, in a socket that knows its addresses', async () => {
  const { accepted, client, close } = await pair();
  const { remotePort } = accepted;
  const { seen, shared, answer, socket } = await converse(accepted, client);
  assert.deepEqual({ seen, shared, answer }, { seen: 'hello', shared: true, answer: 'bye' });
  assert.equal(socket.remotePort ?? remotePort, remotePort);
  close();
});

test('reads a socket as the stream it is where its handle takes no buffer', async () => {
  const { accepted, client, close } = await pair();
  (accepted as unknown as { _handle: { useUserBuffer: undefined } })._handle.useUserBuffer = undefined;
  const { seen, shared, answer, socket } = await converse(accepted, client);
  assert.deepEqual({ seen, shared, answer }, { seen: 'hello', shared: false, answer: 'bye' });
  assert.equal(socket, accepted);
  close();
});

test('stops and resumes', async () => {
  const { accepted, client, close } = await pair();
  const bytes = 200_000;
  let seen = 0;
  const socket = read(accepted, (chunk) => {
    if (seen === 0) socket.pause();
    seen += chunk.length;
  });
  client.write(Buffer.alloc(bytes));
  while (seen === 0) await new Promise(setImmediate);
  const atPause = seen;
  for (let i = 0; i < 5; i++) await new Promise(setImmediate);
  assert.equal(seen, atPause);
  assert.ok(atPause <= 65_536);
  socket.resume();
  while (seen < bytes) await new Promise(setImmediate);
  socket.destroy();
  close();
});

test('gives a stream of many bytes buffers of its own, which nobody writes to again, and a trickle the shared one', async () => {
  const { accepted, client, close } = await pair();
  const sent = Buffer.from(Array.from({ length: 1_000_000 }, (_, i) => (i * 7 + (i >> 8)) & 0xff));
  const kept: Buffer[] = [];
  let seen = 0;
  let lent = 0;
  let last = false;
  const socket = read(accepted, (chunk, isLent) => {
    kept.push(isLent ? Buffer.from(chunk) : chunk);
    seen += chunk.length;
    lent += isLent ? 1 : 0;
    last = isLent;
  });
  client.write(sent);
  while (seen < sent.length) await new Promise(setImmediate);
  assert.ok(lent < kept.length, `${lent} of ${kept.length} chunks were lent`);
  for (let i = 0; i < 2; i++) {
    client.write('x');
    const before = seen;
    while (seen === before) await new Promise(setImmediate);
  }
  assert.ok(last);
  assert.deepEqual(Buffer.concat(kept).subarray(0, sent.length), sent);
  socket.destroy();
  close();
});

test('lends to everybody once a few have buffers of their own', () => {
  const buffers = new ReadBuffers();
  let taken = 0;
  while (buffers.take()) taken++;
  assert.ok(taken > 0 && taken <= 64);
  buffers.give();
  assert.ok(buffers.take());
});
