import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FramingLimits } from '../../src/protocol/framing.js';
import { Head } from '../../src/protocol/head.js';
import { FAULTS, type FaultCode } from './faults.js';
import { bytesOf, everyByte, type Implementation, implementations, LIMITS } from './test-support.js';

const REQUEST = 'GET / HTTP/1.1\r\nHost: a\r\n';
const POST = 'POST / HTTP/1.1\r\nHost: a\r\n';
const OK = 'HTTP/1.1 200 OK\r\n';

/** Title, bytes, fault and its offset. Each is fed whole and byte by byte. */
type Case = readonly [title: string, text: string, code: FaultCode, offset: number];

// WIRE-FACTS 4.2, row by row, and what the grammar of the start line asks for.
const REQUESTS: readonly Case[] = [
  ['Content-Length and Transfer-Encoding', `${POST}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n`, 'CONTENT_LENGTH_AND_TRANSFER_ENCODING', 45],
  ['Transfer-Encoding and Content-Length', `${POST}Transfer-Encoding: chunked\r\nContent-Length: 3\r\n`, 'CONTENT_LENGTH_AND_TRANSFER_ENCODING', 54],
  ['different Content-Length lines', `${POST}Content-Length: 3\r\nContent-Length: 4\r\n`, 'DUPLICATE_CONTENT_LENGTH', 45],
  ['equal Content-Length lines', `${POST}Content-Length: 3\r\ncontent-length: 3\r\n`, 'DUPLICATE_CONTENT_LENGTH', 45],
  ...[
    '',
    '+5',
    '-5',
    '0x5',
    '5 5',
    '5_0',
    '1Z',
    ',5',
    '5,5',
    '5, 5',
    '9007199254740992',
    '9223372036854775808',
    '18446744073709551616',
    `1${'0'.repeat(40)}`,
  ].map((value): Case => [`a Content-Length of "${value}"`, `${POST}Content-Length: ${value}\r\n`, 'BAD_CONTENT_LENGTH', 42]),
  ['two Transfer-Encoding lines', `${POST}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n`, 'DUPLICATE_TRANSFER_ENCODING', 54],
  ...[
    'chunked, chunked',
    ',chunked',
    'chunked,',
    'xchunked',
    'chunked, gzip',
    'gzip, chunked',
    'gzip',
    'identity',
    '"chunked"',
    'chunked;x=1',
    '',
    '\x85chunked',
    'chunked\xa0',
  ].map((value): Case => [`a Transfer-Encoding of ${JSON.stringify(value)}`, `${POST}Transfer-Encoding: ${value}\r\n`, 'BAD_TRANSFER_ENCODING', 45]),
  ['a vertical tab before chunked', `${POST}Transfer-Encoding: \x0bchunked\r\n`, 'BAD_VALUE', 45],
  ['a form feed after chunked', `${POST}Transfer-Encoding: chunked\x0c\r\n`, 'BAD_VALUE', 52],
  ['Transfer-Encoding in HTTP/1.0', 'POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n', 'TRANSFER_ENCODING_IN_HTTP10', 17],
  ['a space before the colon', `${REQUEST}Content-Length : 5\r\n`, 'SPACE_BEFORE_COLON', 39],
  ['a tab before the colon', `${REQUEST}X\t: 5\r\n`, 'SPACE_BEFORE_COLON', 26],
  ['a space before the first header line', 'GET / HTTP/1.1\r\n Host: a\r\n', 'BAD_NAME', 16],
  ['line folding', `${REQUEST}X: a\r\n b\r\n`, 'OBS_FOLD', 31],
  ['line folding with a tab', `${REQUEST}X: a\r\n\tb\r\n`, 'OBS_FOLD', 31],
  ['a line without a colon', `${REQUEST}Broken\r\n`, 'MISSING_COLON', 31],
  ['a line without a colon that ends with LF', `${REQUEST}Broken\n`, 'MISSING_COLON', 31],
  ['an empty name', `${REQUEST}: x\r\n`, 'BAD_NAME', 25],
  ['a name with a parenthesis', `${REQUEST}X(: x\r\n`, 'BAD_NAME', 26],
  ['a name with NUL', `${REQUEST}X\0: x\r\n`, 'BAD_NAME', 26],
  ['a name with a byte above 0x7f', `${REQUEST}X\xe9: x\r\n`, 'BAD_NAME', 26],
  ['NUL in a value', `${REQUEST}X: a\0b\r\n`, 'BAD_VALUE', 29],
  ['a control byte in a value', `${REQUEST}X: a\x01b\r\n`, 'BAD_VALUE', 29],
  ['DEL in a value', `${REQUEST}X: a\x7fb\r\n`, 'BAD_VALUE', 29],
  ['DEL late in a long value', `${REQUEST}X: ${'a'.repeat(33)}\x7f\r\n`, 'BAD_VALUE', 61],
  ['a bare CR in a value', `${REQUEST}X: a\rb\r\n`, 'BARE_CR', 29],
  ['a bare LF after a value', `${REQUEST}X: a\n`, 'BARE_LF', 29],
  ['a bare LF at the end of the head', `${REQUEST}\n`, 'BARE_LF', 25],
  ['a CR that ends the head without its LF', `${REQUEST}\rX`, 'BARE_CR', 25],
  ['a bare LF after the request line', 'GET / HTTP/1.1\nHost: a\r\n', 'BARE_LF', 14],
  ['a bare CR after the request line', 'GET / HTTP/1.1\rHost: a\r\n', 'BARE_CR', 14],
  ['HTTP/0.9', 'GET /\r\n', 'BAD_REQUEST_LINE', 5],
  ['HTTP/0.9 with LF', 'GET /\n', 'BAD_REQUEST_LINE', 5],
  ['a lower-case version', 'GET / http/1.1\r\n', 'BAD_VERSION', 6],
  ['HTTP/1.10', 'GET / HTTP/1.10\r\n', 'BAD_REQUEST_LINE', 14],
  ['HTTP/1.32', 'GET / HTTP/1.32\r\n', 'BAD_VERSION', 13],
  ['HTTP/1.2', 'GET / HTTP/1.2\r\n', 'BAD_VERSION', 13],
  ['HTTP/2.0', 'GET / HTTP/2.0\r\n', 'VERSION_NOT_SUPPORTED', 11],
  ['HTTP/11.1', 'GET / HTTP/11.1\r\n', 'BAD_VERSION', 12],
  ['a space after the version', 'GET / HTTP/1.1 \r\n', 'BAD_REQUEST_LINE', 14],
  ['two spaces after the method', 'GET  / HTTP/1.1\r\n', 'BAD_TARGET', 4],
  ['two spaces before the version', 'GET /  HTTP/1.1\r\n', 'BAD_VERSION', 6],
  ['a tab in the request line', 'GET\t/ HTTP/1.1\r\n', 'BAD_METHOD', 3],
  ['a method with a non-token byte', 'GE(T / HTTP/1.1\r\n', 'BAD_METHOD', 2],
  ['an empty method', ' / HTTP/1.1\r\n', 'BAD_METHOD', 0],
  ['a TLS client hello', '\x16\x03\x01\x02\0\x01', 'BAD_METHOD', 0],
  ['a method of 65 bytes', `${'M'.repeat(65)} / HTTP/1.1\r\n`, 'METHOD_TOO_LONG', 64],
  ['a control byte in the target', 'GET /\x01 HTTP/1.1\r\n', 'BAD_TARGET', 5],
  ['a raw byte above 0x7f in the target', 'GET /\xe9 HTTP/1.1\r\n', 'BAD_TARGET', 5],
  ['a fragment', 'GET /a#b HTTP/1.1\r\n', 'BAD_TARGET', 6],
  ['a target without a slash', 'GET a HTTP/1.1\r\n', 'BAD_TARGET', 4],
  ['an asterisk for GET', 'GET * HTTP/1.1\r\n', 'BAD_TARGET', 4],
  ['an authority for GET', 'GET a:80 HTTP/1.1\r\n', 'BAD_TARGET', 4],
  ['a path for CONNECT', 'CONNECT /a HTTP/1.1\r\n', 'BAD_TARGET', 8],
  ['CONNECT without a port', 'CONNECT a HTTP/1.1\r\n', 'BAD_TARGET', 8],
  ['CONNECT to port 65536', 'CONNECT a:65536 HTTP/1.1\r\n', 'BAD_TARGET', 8],
  ['user information in an absolute target', 'GET http://u@a/ HTTP/1.1\r\n', 'BAD_TARGET', 4],
  ['an absolute target without a host', 'GET http:///x HTTP/1.1\r\n', 'BAD_TARGET', 4],
  ['a third empty line', '\r\n\r\n\r\nGET / HTTP/1.1\r\n', 'EMPTY_LINES', 4],
  ['a bare LF before the request line', '\nGET / HTTP/1.1\r\n', 'BARE_LF', 0],
  ['a bare CR before the request line', '\r\n\rGET / HTTP/1.1\r\n', 'BARE_CR', 2],
  ['HTTP/1.1 without Host', 'GET / HTTP/1.1\r\nA: b\r\n\r\n', 'MISSING_HOST', 22],
  ['HTTP/1.1 without Host after empty lines', '\r\nGET / HTTP/1.1\r\nA: b\r\n\r\n', 'MISSING_HOST', 22],
  ['two Host lines', `${REQUEST}Host: a\r\n`, 'DUPLICATE_HOST', 25],
  ...['', 'a, b', 'a,b', 'u@a', 'a/b', 'a b', 'a:b', 'a:99999', '[::1', '[]', 'a%2', 'http://a'].map(
    (value): Case => [`a Host of "${value}"`, `GET / HTTP/1.1\r\nHost: ${value}\r\n`, 'BAD_HOST', 22],
  ),
  ['CONNECT with a body', 'CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nContent-Length: 1\r\n', 'CONNECT_WITH_BODY', 35],
  ['CONNECT with chunks', 'CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nTransfer-Encoding: chunked\r\n', 'CONNECT_WITH_BODY', 35],
  ['33 fields named by Connection', `${REQUEST}Connection: ${'x,'.repeat(33)}\r\n`, 'TOO_MANY_CONNECTION_OPTIONS', 25],
  ['a name of 32,769 bytes', `${REQUEST}${'n'.repeat(32769)}: x\r\n`, 'HEAD_TOO_LARGE', 25 + 32768],
];

const RESPONSES: readonly Case[] = [
  ['Content-Length and Transfer-Encoding', `${OK}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n`, 'CONTENT_LENGTH_AND_TRANSFER_ENCODING', 36],
  ['two Content-Length lines', `${OK}Content-Length: 3\r\nContent-Length: 3\r\n`, 'DUPLICATE_CONTENT_LENGTH', 36],
  ['an invalid Content-Length', `${OK}Content-Length: 3x\r\n`, 'BAD_CONTENT_LENGTH', 33],
  ['an unknown transfer coding', `${OK}Transfer-Encoding: gzip\r\n`, 'BAD_TRANSFER_ENCODING', 36],
  ['Transfer-Encoding in a 204', 'HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n', 'TRANSFER_ENCODING_WITHOUT_BODY', 25],
  ['Transfer-Encoding in a 103', 'HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n', 'TRANSFER_ENCODING_WITHOUT_BODY', 26],
  ['Transfer-Encoding in HTTP/1.0', 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n', 'TRANSFER_ENCODING_IN_HTTP10', 17],
  ['a status below 100', 'HTTP/1.1 099 x\r\n', 'BAD_STATUS_LINE', 9],
  ['a status of two digits', 'HTTP/1.1 20 x\r\n', 'BAD_STATUS_LINE', 11],
  ['a status of four digits', 'HTTP/1.1 2000 x\r\n', 'BAD_STATUS_LINE', 12],
  ['two spaces before the status', 'HTTP/1.1  200 x\r\n', 'BAD_STATUS_LINE', 9],
  ['a control byte in the reason', 'HTTP/1.1 200 O\x01K\r\n', 'BAD_STATUS_LINE', 14],
  ['a bare LF after the status line', 'HTTP/1.1 200 OK\n', 'BARE_LF', 15],
  ['a bare LF after the status', 'HTTP/1.1 200\n', 'BARE_LF', 12],
  ['HTTP/2.0', 'HTTP/2.0 200 OK\r\n', 'VERSION_NOT_SUPPORTED', 5],
  ['another protocol', 'SSH-2.0-OpenSSH_9.2\r\n', 'BAD_VERSION', 0],
  ['an empty line before the status line', '\r\nHTTP/1.1 200 OK\r\n', 'BAD_VERSION', 0],
  ['line folding', `${OK}A: b\r\n c\r\n`, 'OBS_FOLD', 23],
  ['a space before the colon', `${OK}A : b\r\n`, 'SPACE_BEFORE_COLON', 18],
];

const limits = (change: Partial<FramingLimits>): FramingLimits => ({ ...LIMITS, ...change });

for (const implementation of implementations) {
  const { name } = implementation;
  for (const [isResponse, cases] of [
    [false, REQUESTS],
    [true, RESPONSES],
  ] as const) {
    for (const [title, text, code, offset] of cases) {
      test(`${name}: rejects ${isResponse ? 'a response with' : 'a request with'} ${title}`, () => {
        const bytes = bytesOf(text);
        const expected = { fault: { code, offset, status: isResponse ? 502 : FAULTS[code].status } };
        assert.deepEqual(implementation.parseHead(bytes, isResponse), expected);
        if (bytes.length < 1000) assert.deepEqual(implementation.parseHead(bytes, isResponse, LIMITS, everyByte(bytes)), expected);
      });
    }
  }

  const headOf = (text: string, isResponse = false, limit = LIMITS): Head => parsed(implementation, text, isResponse, limit);

  test(`${name}: takes a request apart`, () => {
    const head = headOf('GET /a?b HTTP/1.1\r\nHost: example.test\r\nX-Odd:  \tv w \t\r\nEmpty:\r\n\r\n');
    assert.deepEqual(
      [head.method, head.target, head.path, head.version, head.authority, head.keepAlive, head.ends, head.contentLength],
      ['GET', '/a?b', '/a?b', 'HTTP/1.1', 'example.test', true, true, -1],
    );
    assert.deepEqual(head.lines(), [
      ['Host', 'example.test'],
      ['X-Odd', 'v w'],
      ['Empty', ''],
    ]);
    assert.equal(head.get('x-odd'), 'v w');
  });

  test(`${name}: takes a response apart`, () => {
    const head = headOf('HTTP/1.1 404 Not Found\r\nContent-Length: 0012\r\n\r\n', true);
    assert.deepEqual([head.status, head.reason, head.contentLength, head.isResponse, head.ends], [404, 'Not Found', 12, true, false]);
    assert.equal(headOf('HTTP/1.1 200\r\n\r\n', true).reason, '');
    assert.equal(headOf('HTTP/1.1 200 \r\n\r\n', true).retain().status, 200);
  });

  test(`${name}: skips up to two empty lines before a request, and counts offsets from the request`, () => {
    const seen = implementation.parseHead(bytesOf(`\r\n\r\n${REQUEST}\r\n`), false);
    assert.equal(seen?.skipped, 4);
    const head = headOf(`\r\n\r\n${REQUEST}\r\n`);
    assert.deepEqual([head.method, head.wireBytes], ['GET', REQUEST.length + 2]);
  });

  test(`${name}: tells the four forms of a target`, () => {
    const form = (line: string): unknown[] => {
      const head = headOf(`${line} HTTP/1.1\r\nHost: other\r\n\r\n`);
      return [head.authority, head.path];
    };
    assert.deepEqual(form('GET /x'), ['other', '/x']);
    assert.deepEqual(form('OPTIONS *'), ['other', '*']);
    assert.deepEqual(form('CONNECT a.test:443'), ['a.test:443', '']);
    assert.deepEqual(form('GET http://a.test:80/x?y'), ['a.test:80', '/x?y']);
    assert.deepEqual(form('GET HTTPS://[::1]?y'), ['[::1]', '?y']);
    assert.deepEqual(form('GET http://a.test'), ['a.test', '']);
  });

  test(`${name}: marks what is hop-by-hop, and what Connection names`, () => {
    const head = headOf(
      `${REQUEST}X-A: 1\r\nConnection: close, X-A ,\tx-b, host, content-length, X-Forwarded-For\r\nx-b: 2\r\nKeep-Alive: 5\r\nTE: trailers\r\n` +
        'Proxy-Connection: x\r\nUpgrade: x\r\nX-Forwarded-For: 1.2.3.4\r\nTrailer: x\r\nProxy-Authorization: x\r\nContent-Length: 0\r\n\r\n',
    );
    const marked = head.lines().filter((_, index) => head.isHopByHop(index));
    assert.deepEqual(
      marked.map(([line]) => line),
      ['X-A', 'Connection', 'x-b', 'Keep-Alive', 'TE', 'Proxy-Connection', 'Upgrade'],
    );
    assert.equal(head.keepAlive, false);
  });

  test(`${name}: knows when a connection lives on`, () => {
    const alive = (version: string, connection: string): boolean =>
      headOf(`GET / ${version}\r\nHost: a\r\nConnection: ${connection}\r\n\r\n`).keepAlive;
    assert.deepEqual(
      [
        alive('HTTP/1.1', 'x'),
        alive('HTTP/1.1', 'Close'),
        alive('HTTP/1.0', 'x'),
        alive('HTTP/1.0', 'Keep-Alive'),
        alive('HTTP/1.0', 'keep-alive, close'),
      ],
      [true, false, false, true, false],
    );
  });

  test(`${name}: says what a body will be`, () => {
    const flags = (text: string, isResponse: boolean): [ends: boolean, chunked: boolean, untilClose: boolean] => {
      const head = headOf(`${text}\r\n`, isResponse);
      return [head.ends, (head.flags & 16) !== 0, (head.flags & 32) !== 0];
    };
    assert.deepEqual(flags(REQUEST, false), [true, false, false]);
    assert.deepEqual(flags(`${POST}Content-Length: 0\r\n`, false), [true, false, false]);
    assert.deepEqual(flags(`${POST}Content-Length: 1\r\n`, false), [false, false, false]);
    assert.deepEqual(flags(`${POST}Transfer-Encoding: CHUNKED\r\n`, false), [false, true, false]);
    assert.deepEqual(flags(OK, true), [false, false, true]);
    assert.deepEqual(flags('HTTP/1.1 304 x\r\nContent-Length: 5\r\n', true), [true, false, false]);
    assert.deepEqual(flags('HTTP/1.1 100 x\r\n', true), [true, false, false]);
  });

  test(`${name}: reads a Content-Length of 2^53 - 1`, () => {
    assert.equal(headOf(`${POST}Content-Length: 0009007199254740991\r\n\r\n`).contentLength, Number.MAX_SAFE_INTEGER);
  });

  test(`${name}: sees upgrades and expectations of HTTP/1.1 only`, () => {
    const flags = (version: string): number =>
      headOf(`GET / ${version}\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nExpect: 100-Continue\r\n\r\n`).flags & (64 | 128);
    assert.deepEqual([flags('HTTP/1.1'), flags('HTTP/1.0')], [64 | 128, 0]);
    const named = headOf(`${REQUEST}Connection: expect\r\nExpect: 100-continue\r\n\r\n`);
    assert.equal(named.flags & 128, 0);
  });

  test(`${name}: a head of exactly maxHeadBytes passes, one byte more does not`, () => {
    const text = `${REQUEST}X: y\r\n\r\n`;
    assert.equal(headOf(text, false, limits({ maxHeadBytes: text.length })).count, 2);
    const fault = { code: 'HEAD_TOO_LARGE', offset: text.length - 1, status: 431 };
    const short = limits({ maxHeadBytes: text.length - 1 });
    assert.deepEqual(implementation.parseHead(bytesOf(text), false, short), { fault });
    assert.deepEqual(implementation.parseHead(bytesOf(text), false, short, everyByte(bytesOf(text))), { fault });
  });

  test(`${name}: maxHeaders lines pass, one more does not, dropped ones counted`, () => {
    const text = `${REQUEST}A_b: y\r\nC: d\r\n\r\n`;
    assert.equal(headOf(text, false, limits({ maxHeaders: 3 })).count, 3);
    for (const underscores of ['allow', 'drop'] as const) {
      const seen = implementation.parseHead(bytesOf(text), false, limits({ maxHeaders: 2, underscores }));
      assert.deepEqual(seen, { fault: { code: 'TOO_MANY_HEADERS', offset: 33, status: 431 } });
    }
  });

  test(`${name}: a target above maxTargetBytes is 414`, () => {
    const text = 'GET /12345 HTTP/1.1\r\nHost: a\r\n\r\n';
    assert.equal(headOf(text, false, limits({ maxTargetBytes: 6 })).target, '/12345');
    const seen = implementation.parseHead(bytesOf(text), false, limits({ maxTargetBytes: 5 }));
    assert.deepEqual(seen, { fault: { code: 'TARGET_TOO_LARGE', offset: 9, status: 414 } });
  });

  test(`${name}: underscores are allowed, rejected or dropped`, () => {
    const text = `${REQUEST}Content_Length: 5\r\nX: y\r\n\r\n`;
    assert.equal(headOf(text).count, 3);
    assert.deepEqual(
      headOf(text, false, limits({ underscores: 'drop' }))
        .lines()
        .map(([line]) => line),
      ['Host', 'X'],
    );
    const seen = implementation.parseHead(bytesOf(text), false, limits({ underscores: 'reject' }));
    assert.deepEqual(seen, { fault: { code: 'UNDERSCORE_IN_NAME', offset: 32, status: 400 } });
  });

  test(`${name}: HTTP/1.0 is refused where it is not accepted`, () => {
    const text = 'GET / HTTP/1.0\r\n\r\n';
    assert.equal(headOf(text).version, 'HTTP/1.0');
    const seen = implementation.parseHead(bytesOf(text), false, limits({ acceptHttp10: false }));
    assert.deepEqual(seen, { fault: { code: 'VERSION_NOT_SUPPORTED', offset: 11, status: 505 } });
    assert.equal(parsed(implementation, 'HTTP/1.0 200 OK\r\n\r\n', true, limits({ acceptHttp10: false })).version, 'HTTP/1.0');
  });
}

/** A head that must parse, whole and byte by byte. */
function parsed(implementation: Implementation, text: string, isResponse: boolean, limit: FramingLimits): Head {
  const bytes = bytesOf(text);
  const whole = implementation.parseHead(bytes, isResponse, limit);
  assert.ok(whole?.table !== undefined, JSON.stringify(whole));
  assert.deepEqual(implementation.parseHead(bytes, isResponse, limit, everyByte(bytes)), whole);
  return new Head(bytes, whole.table);
}
