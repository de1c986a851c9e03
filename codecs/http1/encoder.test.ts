import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Edits } from '../../src/protocol/edits.js';
import type { OutHead } from '../../src/protocol/framing.js';
import { Head } from '../../src/protocol/head.js';
import { EDIT_FLAG, HEAD, HEAD_FLAG } from '../../src/protocol/head-layout.js';
import { encodeBody, encodeEnd } from './encoder.js';
import { bytesOf, type Implementation, implementations, PLAIN, textOf } from './test-support.js';

/** Parses `text` and writes it again, changed by `edit`. */
function forwarded(
  implementation: Implementation,
  text: string,
  how: Partial<OutHead> = {},
  edit: (edits: Edits, head: Head) => void = () => {},
): string {
  // What lies before a message in its buffer must not matter.
  const bytes = bytesOf(text);
  const table = implementation.parseHead(bytes, text.startsWith('HTTP/'))?.table;
  assert.ok(table !== undefined, text);
  const edits = new Edits();
  edit(edits, new Head(bytes, table));
  return textOf(implementation.writeHead(bytes, table, edits, { ...PLAIN, ...how }));
}
const lines = (...text: string[]): string => `${text.join('\r\n')}\r\n\r\n`;

for (const implementation of implementations) {
  const { name } = implementation;
  const send = (text: string, how?: Partial<OutHead>, edit?: (edits: Edits, head: Head) => void): string =>
    forwarded(implementation, text, how, edit);

  test(`${name}: forwards lines with their order, case and spelling`, () => {
    const text = lines('GET /a?b HTTP/1.1', 'hOsT: a', 'X-One:1', 'x-two:\t 2', 'X-ONE: \xe9', 'Empty:', 'Expect: 100-continue', 'Trailer: t');
    assert.equal(send(text), text);
    assert.equal(
      send(lines('HTTP/1.1 200 All Fine', 'Set-Cookie: a', 'set-cookie: b')),
      lines('HTTP/1.1 200 All Fine', 'Set-Cookie: a', 'set-cookie: b'),
    );
  });

  test(`${name}: leaves out space at the end of a value`, () => {
    assert.equal(send(lines('GET / HTTP/1.1', 'Host: a \t', 'B: c', 'D: \t ')), lines('GET / HTTP/1.1', 'Host: a', 'B: c', 'D: \t '));
  });

  test(`${name}: leaves out what is hop-by-hop`, () => {
    const text = lines(
      'GET / HTTP/1.1',
      'X-Hop: 1',
      'Host: a',
      'Connection: X-Hop',
      'TE: trailers',
      'Keep-Alive: 1',
      'Upgrade: b',
      'Proxy-Connection: c',
      'D: e',
    );
    assert.equal(send(text), lines('GET / HTTP/1.1', 'Host: a', 'D: e'));
  });

  test(`${name}: keeps Upgrade where an upgrade goes on`, () => {
    const text = lines('GET / HTTP/1.1', 'Host: a', 'Connection: Upgrade, X', 'X: y', 'Upgrade: websocket');
    assert.equal(send(text, { upgrade: true }), lines('GET / HTTP/1.1', 'Host: a', 'Upgrade: websocket', 'connection: upgrade'));
  });

  test(`${name}: writes its own version`, () => {
    assert.equal(send(lines('GET / HTTP/1.0', 'A: b')), lines('GET / HTTP/1.1', 'A: b'));
    assert.equal(send(lines('HTTP/1.0 200 OK', 'A: b')), lines('HTTP/1.1 200 OK', 'A: b'));
    assert.equal(send('HTTP/1.1 200\r\n\r\n'), 'HTTP/1.1 200 \r\n\r\n');
  });

  test(`${name}: turns an absolute target into origin form, its authority into Host`, () => {
    const sent = (line: string): string => send(lines(`${line} HTTP/1.1`, 'A: b', 'Host: other', 'C: d'));
    assert.equal(sent('GET http://h.test:81/x?y'), lines('GET /x?y HTTP/1.1', 'A: b', 'Host: h.test:81', 'C: d'));
    assert.equal(sent('GET http://h.test?y'), lines('GET /?y HTTP/1.1', 'A: b', 'Host: h.test', 'C: d'));
    assert.equal(sent('GET http://h.test'), lines('GET / HTTP/1.1', 'A: b', 'Host: h.test', 'C: d'));
    assert.equal(sent('OPTIONS http://h.test'), lines('OPTIONS * HTTP/1.1', 'A: b', 'Host: h.test', 'C: d'));
    assert.equal(sent('CONNECT h.test:443'), lines('CONNECT h.test:443 HTTP/1.1', 'A: b', 'Host: h.test:443', 'C: d'));
  });

  test(`${name}: applies edits`, () => {
    const text = lines('GET /old HTTP/1.1', 'Host: a', 'B: c', 'D: e', 'F: g');
    const sent = send(text, {}, (edits) =>
      edits.drop(2).replace(0, 'new.test').replace(3, '').target('/new').method('PUT').append('X-New', 'h').append('I', 'j'),
    );
    assert.equal(sent, lines('PUT /new HTTP/1.1', 'Host: new.test', 'B: c', 'F: ', 'X-New: h', 'I: j'));
  });

  test(`${name}: an edited Host stands above that of the target`, () => {
    const text = lines('GET http://a/ HTTP/1.1', 'Host: b');
    assert.equal(
      send(text, {}, (edits) => edits.replace(0, 'c')),
      lines('GET / HTTP/1.1', 'Host: c'),
    );
  });

  test(`${name}: does not bring back a hop-by-hop line through an edit`, () => {
    const text = lines('GET / HTTP/1.1', 'Host: a', 'Connection: close');
    assert.equal(
      send(text, {}, (edits) => edits.replace(1, 'keep-alive')),
      lines('GET / HTTP/1.1', 'Host: a'),
    );
  });

  test(`${name}: keeps Content-Length in its place`, () => {
    const text = lines('POST / HTTP/1.1', 'Host: a', 'CONTENT-length:5', 'B: c');
    assert.equal(send(text, { framing: 'length', contentLength: 5 }), text);
    assert.equal(send(text, { framing: 'length', contentLength: 7 }), lines('POST / HTTP/1.1', 'Host: a', 'CONTENT-length: 7', 'B: c'));
    assert.equal(send(text, { framing: 'chunked', contentLength: 5 }), lines('POST / HTTP/1.1', 'Host: a', 'B: c', 'transfer-encoding: chunked'));
  });

  test(`${name}: writes a Content-Length with zeros in front as a plain number`, () => {
    const text = lines('POST / HTTP/1.1', 'Host: a', 'Content-Length: 010');
    assert.equal(send(text, { framing: 'length', contentLength: 10 }), lines('POST / HTTP/1.1', 'Host: a', 'Content-Length: 10'));
    const zero = lines('POST / HTTP/1.1', 'Host: a', 'Content-Length: 0');
    assert.equal(send(zero, { framing: 'length', contentLength: 0 }), zero);
  });

  test(`${name}: keeps the Content-Length of an answer to HEAD and of a 304, not of a 1xx or a 204`, () => {
    for (const status of ['200 OK', '304 Not Modified']) {
      const text = lines(`HTTP/1.1 ${status}`, 'Content-Length: 9007199254740991');
      assert.equal(send(text, { contentLength: Number.MAX_SAFE_INTEGER }), text);
    }
    for (const status of ['204 No Content', '103 Early Hints']) {
      assert.equal(send(lines(`HTTP/1.1 ${status}`, 'Content-Length: 0', 'A: b'), { contentLength: 0 }), lines(`HTTP/1.1 ${status}`, 'A: b'));
    }
  });

  test(`${name}: re-frames a chunked message`, () => {
    const text = lines('HTTP/1.1 200 OK', 'Transfer-Encoding: chunked', 'A: b');
    assert.equal(send(text, { framing: 'chunked' }), lines('HTTP/1.1 200 OK', 'A: b', 'transfer-encoding: chunked'));
    assert.equal(send(text, { framing: 'until-close', close: true }), lines('HTTP/1.1 200 OK', 'A: b', 'connection: close'));
  });

  test(`${name}: says what becomes of the connection`, () => {
    const text = lines('HTTP/1.1 200 OK', 'Connection: keep-alive');
    assert.equal(send(text, { close: true }), lines('HTTP/1.1 200 OK', 'connection: close'));
    assert.equal(send(text, { keepAlive: true }), lines('HTTP/1.1 200 OK', 'connection: keep-alive'));
  });

  test(`${name}: writes names in Proper-Case`, () => {
    const text = lines('GET / HTTP/1.1', 'host: a', 'x-OLD-2nd: b:C-d', 'ETag: e');
    const sent = send(text, { close: true }, (edits) => edits.flag(EDIT_FLAG.PROPER_CASE).append('x-new', 'f'));
    assert.equal(sent, lines('GET / HTTP/1.1', 'Host: a', 'X-Old-2nd: b:C-d', 'Etag: e', 'X-New: f', 'Connection: close'));
  });

  test(`${name}: makes a response`, () => {
    const made = (edits: Edits, how: Partial<OutHead>): string =>
      textOf(implementation.writeHead(new Uint8Array(0), undefined, edits, { ...PLAIN, ...how }));
    assert.equal(
      made(new Edits().status(503).append('A', 'b'), { framing: 'length', contentLength: 0 }),
      lines('HTTP/1.1 503 Service Unavailable', 'A: b', 'content-length: 0'),
    );
    assert.equal(made(new Edits().status(299).method('Odd'), {}), lines('HTTP/1.1 299 Odd'));
    assert.equal(made(new Edits().status(299), { close: true }), lines('HTTP/1.1 299 ', 'connection: close'));
  });

  test(`${name}: makes a request`, () => {
    const edits = new Edits().method('GET').target('/health').append('Host', 'a');
    assert.equal(textOf(implementation.writeHead(new Uint8Array(0), undefined, edits, PLAIN)), lines('GET /health HTTP/1.1', 'Host: a'));
  });

  test(`${name}: changes a response's status, and the reason with it`, () => {
    const text = lines('HTTP/1.1 200 Fine', 'A: b');
    assert.equal(
      send(text, {}, (edits) => edits.status(404)),
      lines('HTTP/1.1 404 Not Found', 'A: b'),
    );
    assert.equal(
      send(text, {}, (edits) => edits.status(404).method('Gone Fishing')),
      lines('HTTP/1.1 404 Gone Fishing', 'A: b'),
    );
  });

  test(`${name}: gives a response that came as HTTP/2 the reason of its status`, () => {
    const bytes = bytesOf(lines('HTTP/1.1 200 ', 'a: b'));
    const table = implementation.parseHead(bytes, true)?.table;
    assert.ok(table !== undefined);
    table[HEAD.FLAGS] |= HEAD_FLAG.HTTP_2;
    assert.equal(textOf(implementation.writeHead(bytes, table, new Edits(), PLAIN)), lines('HTTP/1.1 200 OK', 'a: b'));
  });
}

test('frames a body as chunks, and never as an empty one', () => {
  assert.equal(textOf(Buffer.concat(encodeBody(bytesOf('x'.repeat(26)), 'chunked'))), `1a\r\n${'x'.repeat(26)}\r\n`);
  assert.deepEqual(encodeBody(new Uint8Array(0), 'chunked'), []);
  assert.deepEqual(encodeBody(bytesOf('x'), 'length'), [bytesOf('x')]);
  assert.throws(() => encodeBody(bytesOf('x'), 'none'));
});

test('ends chunks with the trailers, other framings with nothing', () => {
  assert.equal(textOf(encodeEnd(bytesOf('A: b\r\n'), 'chunked')), '0\r\nA: b\r\n\r\n');
  assert.equal(encodeEnd(bytesOf('A: b\r\n'), 'until-close').length, 0);
});
