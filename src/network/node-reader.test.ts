import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { readInto } from './node-reader.js';

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

/** Reads what `client` sends until its FIN, and answers it. */
async function converse(
  accepted: Socket,
  client: Socket,
  buffer: Buffer,
): Promise<{ seen: string; shared: boolean; answer: string; socket: Socket }> {
  let seen = '';
  let shared = true;
  const socket = readInto(accepted, buffer, (chunk) => {
    seen += chunk.toString('latin1');
    shared &&= chunk.buffer === buffer.buffer;
  });
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

test('reads an accepted socket into the given buffer, in a socket that knows its addresses', async () => {
  const { accepted, client, close } = await pair();
  const { remotePort } = accepted;
  const { seen, shared, answer, socket } = await converse(accepted, client, Buffer.allocUnsafeSlow(1024));
  assert.deepEqual({ seen, shared, answer }, { seen: 'hello', shared: true, answer: 'bye' });
  assert.equal(socket.remotePort ?? remotePort, remotePort);
  close();
});

test('reads a socket as the stream it is where its handle takes no buffer', async () => {
  const { accepted, client, close } = await pair();
  (accepted as unknown as { _handle: { useUserBuffer: undefined } })._handle.useUserBuffer = undefined;
  const { seen, shared, answer, socket } = await converse(accepted, client, Buffer.allocUnsafeSlow(1024));
  assert.deepEqual({ seen, shared, answer }, { seen: 'hello', shared: false, answer: 'bye' });
  assert.equal(socket, accepted);
  close();
});

test('stops and resumes', async () => {
  const { accepted, client, close } = await pair();
  let seen = '';
  const socket = readInto(accepted, Buffer.allocUnsafeSlow(4), (chunk) => {
    seen += chunk.toString('latin1');
    if (seen.length === 4) socket.pause();
  });
  client.write('abcdefgh');
  while (seen.length < 4) await new Promise(setImmediate);
  await new Promise(setImmediate);
  assert.equal(seen, 'abcd');
  socket.resume();
  while (seen.length < 8) await new Promise(setImmediate);
  assert.equal(seen, 'abcdefgh');
  socket.destroy();
  close();
});
