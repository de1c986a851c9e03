import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BodyFraming, RequestContext } from '../../src/protocol/framing.js';
import { FAULTS, type FaultCode } from './faults.js';
import { BOUNDS } from './rules.js';
import { type BodySeen, bytesOf, comparable, everyByte, type Implementation, implementations, textOf } from './test-support.js';

const HEAD = 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n';
const GET: RequestContext = { isHead: false, isConnect: false, isUpgrade: false, isHttp11: true };

/** Reads the body of a head, whole and byte by byte, which must come to the same. */
function read(implementation: Implementation, head: string, body: string, request?: RequestContext): BodySeen {
  const isResponse = head.startsWith('HTTP/');
  const table = implementation.parseHead(bytesOf(head), isResponse)?.table;
  assert.ok(table !== undefined, head);
  const bytes = bytesOf(body);
  const whole = implementation.body(bytes, table, request);
  assert.deepEqual(comparable(implementation.body(bytes, table, request, everyByte(bytes))), comparable(whole));
  return whole;
}

/** Title, body after HEAD, fault, and its offset in the body. */
const FAULTY: readonly (readonly [title: string, body: string, code: FaultCode, offset: number])[] = [
  ['an empty chunk size', '\r\n', 'BAD_CHUNK_SIZE', 0],
  ['a chunk size with 0x', '0x5\r\n', 'BAD_CHUNK_SIZE', 1],
  ['a chunk size with a sign', '+5\r\n', 'BAD_CHUNK_SIZE', 0],
  ['a negative chunk size', '-5\r\n', 'BAD_CHUNK_SIZE', 0],
  ['a chunk size with an underscore', '5_0\r\n', 'BAD_CHUNK_SIZE', 1],
  ['a space before a chunk size', ' 5\r\n', 'BAD_CHUNK_SIZE', 0],
  ['a space after a chunk size', '5 \r\n', 'BAD_CHUNK_SIZE', 1],
  ['a chunk size that is no number', 'x\r\n', 'BAD_CHUNK_SIZE', 0],
  ['a chunk size of 17 digits', '00000000000000005\r\n', 'BAD_CHUNK_SIZE', 16],
  ['a chunk size of 2^53', '20000000000000\r\n', 'BAD_CHUNK_SIZE', 13],
  ['a chunk size of 2^64 - 1', 'ffffffffffffffff\r\n', 'BAD_CHUNK_SIZE', 13],
  ['a bare LF after a chunk size', '5\nhello\r\n', 'BARE_LF', 1],
  ['a bare CR after a chunk size', '5\rhello\r\n', 'BARE_CR', 1],
  ['chunk data that is too long', '5\r\nhello!\r\n', 'BAD_CHUNK_END', 8],
  ['chunk data that ends with LF', '5\r\nhello\n', 'BAD_CHUNK_END', 8],
  ['chunk data that ends with a bare CR', '5\r\nhello\r0', 'BAD_CHUNK_END', 9],
  ['an empty line before a chunk', '5\r\nhello\r\n\r\n', 'BAD_CHUNK_SIZE', 10],
  ['an extension without a name', '5;\r\n', 'BAD_CHUNK_EXTENSION', 2],
  ['an extension without a value', '5;a=\r\n', 'BAD_CHUNK_EXTENSION', 4],
  ['an extension with a space', '5;a b\r\n', 'BAD_CHUNK_EXTENSION', 3],
  ['a bare LF in an extension', '5;a\nhello', 'BARE_LF', 3],
  ['a bare CR in an extension', '5;a\rx', 'BARE_CR', 3],
  ['CR in a quoted extension', '5;a="\r\n"\r\n', 'BAD_CHUNK_EXTENSION', 5],
  ['LF in a quoted extension', '5;a="\n"\r\n', 'BAD_CHUNK_EXTENSION', 5],
  ['an escaped control byte', '5;a="\\\x01"\r\n', 'BAD_CHUNK_EXTENSION', 6],
  ['text after a quoted extension', '5;a="b"c\r\n', 'BAD_CHUNK_EXTENSION', 7],
  ['a second value in an extension', '5;a=b=c\r\n', 'BAD_CHUNK_EXTENSION', 5],
  ['a trailer without a colon', '0\r\nabc\r\n\r\n', 'MISSING_COLON', 6],
  ['a trailer without a name', '0\r\n: abc\r\n\r\n', 'BAD_NAME', 3],
  ['a space before a trailer', '0\r\n a: b\r\n\r\n', 'BAD_NAME', 3],
  ['a folded trailer', '0\r\na: b\r\n c\r\n\r\n', 'OBS_FOLD', 9],
  ['a space before a trailer colon', '0\r\na : b\r\n\r\n', 'SPACE_BEFORE_COLON', 4],
  ['NUL in a trailer', '0\r\na: \0\r\n\r\n', 'BAD_VALUE', 6],
  ['a bare LF after a trailer', '0\r\na: b\n\r\n', 'BARE_LF', 7],
  ['a bare CR in a trailer', '0\r\na: b\rc\r\n', 'BARE_CR', 7],
  ['a bare LF at the end', '0\r\n\n', 'BARE_LF', 3],
  ['a bare CR at the end', '0\r\n\rX', 'BARE_CR', 3],
  ['101 trailers', `0\r\n${'a: b\r\n'.repeat(101)}\r\n`, 'TOO_MANY_TRAILERS', 3 + 600],
  ['trailers of 16 KiB', `0\r\na: ${'b'.repeat(BOUNDS.maxTrailerBytes)}\r\n\r\n`, 'TRAILERS_TOO_LARGE', 3 + BOUNDS.maxTrailerBytes],
  ['extensions of 16 KiB', `5;${'a'.repeat(BOUNDS.maxExtensionBytes)}\r\n`, 'CHUNK_EXTENSIONS_TOO_LARGE', 2 + BOUNDS.maxExtensionBytes],
  ['extensions of 16 KiB in many chunks', `1;${'a'.repeat(1022)}\r\nx\r\n`.repeat(17), 'CHUNK_EXTENSIONS_TOO_LARGE', 1029 * 16 + 2 + 16],
];

for (const implementation of implementations) {
  const { name } = implementation;
  for (const [title, body, code, offset] of FAULTY) {
    test(`${name}: rejects ${title}`, () => {
      const { fault, ended } = read(implementation, HEAD, body);
      assert.deepEqual(fault, { code, offset: HEAD.length + offset, status: FAULTS[code].status });
      assert.equal(ended, false);
    });
  }

  test(`${name}: takes chunks apart, without extensions`, () => {
    const body = '5\r\nhello\r\n0006;a;b=c;d="e \\" f"\r\n world\r\nA\r\n0123456789\r\n000\r\n\r\n';
    const seen = read(implementation, HEAD, `${body}next`);
    assert.deepEqual(
      [seen.framing, textOf(seen.data), seen.consumed, seen.ended, seen.midMessage],
      ['chunked', 'hello world0123456789', body.length, true, false],
    );
  });

  test(`${name}: keeps trailers byte for byte, but for forbidden ones`, () => {
    const forbidden =
      'Content-Length: 5\r\ntransfer-encoding: chunked\r\nHost: b\r\nAuthorization: c\r\nContent-Type: d\r\nSet-Cookie: e\r\nX-Forwarded-For: f\r\nConnection: g\r\n';
    const seen = read(implementation, HEAD, `0\r\nX-Sum:  1 \r\n${forbidden}grpc-status:0\r\n\r\n`);
    assert.equal(textOf(seen.trailers), 'X-Sum:  1 \r\ngrpc-status:0\r\n');
    assert.equal(seen.ended, true);
  });

  test(`${name}: 100 trailers and 16 KiB of them pass`, () => {
    assert.equal(read(implementation, HEAD, `0\r\n${'a: b\r\n'.repeat(100)}\r\n`).trailers.length, 600);
    assert.equal(read(implementation, HEAD, `0\r\na: ${'b'.repeat(BOUNDS.maxTrailerBytes - 7)}\r\n\r\n`).ended, true);
  });

  test(`${name}: a chunked body that stops early is in the middle of its message at every byte`, () => {
    const body = bytesOf('5;a="b"\r\nhello\r\n0\r\na: b\r\n\r\n');
    const table = implementation.parseHead(bytesOf(HEAD), false)?.table;
    assert.ok(table !== undefined);
    for (let length = 0; length < body.length; length++) {
      const seen = implementation.body(body.subarray(0, length), table);
      assert.deepEqual([seen.ended, seen.midMessage, seen.fault], [false, true, undefined], `${length} bytes`);
    }
  });

  test(`${name}: takes as many bytes as Content-Length says`, () => {
    const head = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n';
    const seen = read(implementation, head, 'helloGET /');
    assert.deepEqual([seen.framing, textOf(seen.data), seen.consumed, seen.ended], ['length', 'hello', 5, true]);
    const cut = read(implementation, head, 'hell');
    assert.deepEqual([textOf(cut.data), cut.ended, cut.midMessage], ['hell', false, true]);
  });

  test(`${name}: a claim of 2^53 - 1 bytes allocates nothing`, () => {
    const seen = read(implementation, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9007199254740991\r\n\r\n', 'x');
    assert.deepEqual([textOf(seen.data), seen.midMessage], ['x', true]);
    assert.equal(textOf(read(implementation, HEAD, '1fffffffffffff\r\nx').data), 'x');
  });

  // WIRE-FACTS 4.1
  const framings: readonly (readonly [title: string, head: string, request: RequestContext | undefined, framing: BodyFraming])[] = [
    ['a request without length', 'GET / HTTP/1.1\r\nHost: a\r\n', undefined, 'none'],
    ['a GET with a body', 'GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n', undefined, 'length'],
    ['a response without length', 'HTTP/1.1 200 OK\r\n', GET, 'until-close'],
    ['an HTTP/1.0 response without length', 'HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n', GET, 'until-close'],
    ['a response with length', 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n', GET, 'length'],
    ['a chunked response', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n', GET, 'chunked'],
    ['a response to HEAD with length', 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n', { ...GET, isHead: true }, 'none'],
    ['a chunked response to HEAD', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n', { ...GET, isHead: true }, 'none'],
    ['a 100', 'HTTP/1.1 100 Continue\r\n', GET, 'none'],
    ['a 204 with length', 'HTTP/1.1 204 x\r\nContent-Length: 3\r\n', GET, 'none'],
    ['a 304 with length', 'HTTP/1.1 304 x\r\nContent-Length: 3\r\n', GET, 'none'],
    ['a chunked 304', 'HTTP/1.1 304 x\r\nTransfer-Encoding: chunked\r\n', GET, 'none'],
    ['a 200 to CONNECT with length', 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n', { ...GET, isConnect: true }, 'none'],
    ['a 403 to CONNECT', 'HTTP/1.1 403 x\r\nContent-Length: 3\r\n', { ...GET, isConnect: true }, 'length'],
  ];
  for (const [title, head, request, framing] of framings) {
    test(`${name}: ${title} has framing ${framing}`, () => {
      assert.equal(read(implementation, `${head}\r\n`, '', request).framing, framing);
    });
  }

  test(`${name}: a fault in a response's body is a 502`, () => {
    const seen = read(implementation, 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', 'x', GET);
    assert.deepEqual(seen.fault, { code: 'BAD_CHUNK_SIZE', offset: 47, status: 502 });
  });
}
