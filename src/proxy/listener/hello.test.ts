import assert from 'node:assert/strict';
import net from 'node:net';
import test from 'node:test';
import tls from 'node:tls';
import { readHttpHello } from './http-hello.js';
import { readClientHello } from './tls-hello.js';

/** What a real TLS client sends first. */
async function captureHello(options: tls.ConnectionOptions): Promise<Buffer> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as net.AddressInfo;
  const received = new Promise<Buffer>((resolve) => server.once('connection', (socket) => socket.once('data', (bytes) => resolve(bytes))));
  const client = tls.connect({ port, host: '127.0.0.1', ...options });
  client.on('error', () => {
    // The server never answers: the handshake is meant to fail.
  });
  const hello = await received;
  client.destroy();
  server.close();
  return hello;
}

test('reads server name and ALPN of a real ClientHello, also byte by byte', async () => {
  const hello = await captureHello({ servername: 'Shop.Example', ALPNProtocols: ['h2', 'http/1.1'] });
  const wanted = { serverName: 'shop.example', applicationProtocols: ['h2', 'http/1.1'] };
  assert.deepEqual(readClientHello(hello), wanted);
  for (let length = 0; length < hello.length; length++) assert.equal(readClientHello(hello.subarray(0, length)), 'more', `${length} bytes`);
});

test('a ClientHello without extensions for us has no name', async () => {
  assert.deepEqual(readClientHello(await captureHello({ servername: '' })), { serverName: '', applicationProtocols: [] });
});

test('what is no TLS is told so at the first byte', () => {
  assert.equal(readClientHello(Buffer.from('G')), undefined);
  assert.equal(readClientHello(Buffer.from([22, 9])), undefined);
});

test('broken lengths in a ClientHello are no ClientHello', async () => {
  const hello = await captureHello({ servername: 'a.example' });
  for (let at = 5; at < hello.length; at++) {
    const broken = Buffer.from(hello);
    broken[at] = 0xff;
    assert.doesNotThrow(() => readClientHello(broken), `byte ${at}`);
  }
});

for (const [text, wanted] of [
  ['GET / HTTP/1.1\r\n', 'http/1.1'],
  ['POST /x HTTP/1.0\r\nhost: a', 'http/1.0'],
  ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'h2c'],
  ['PRI * HTT', 'more'],
  ['G', 'more'],
  ['GET /abc', 'more'],
  ['', 'more'],
  ['get / HTTP/1.1\r\n', undefined],
  ['GET / HTTP/3.1\r\n', undefined],
  ['\x01\x02', undefined],
  ['SSH-2.0-OpenSSH_9\r\n', undefined],
] as const) {
  test(`HTTP inspection of ${JSON.stringify(text)}: ${wanted}`, () => assert.equal(readHttpHello(Buffer.from(text)), wanted));
}
