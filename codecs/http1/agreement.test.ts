import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Edits } from '../../src/protocol/edits.js';
import type { BodyFraming, FramingLimits, OutHead, RequestContext } from '../../src/protocol/framing.js';
import { EDIT_FLAG, HEAD, KNOWN_NAMES } from '../../src/protocol/head-layout.js';
import { bytesOf, comparable, fallback, LIMITS, native, textOf } from './test-support.js';

const skip = native === undefined ? 'the addon is not built' : false;
const RUNS = 1500;

const text = fc.oneof(
  fc.constantFrom(
    '',
    'a',
    'b c',
    'chunked',
    'close',
    'keep-alive, X-Odd',
    'Upgrade',
    '100-continue',
    '5',
    '0',
    '007',
    'a.test:80',
    'Host, X-Forwarded-For',
    '\t x \t',
    'gzip',
    '\xe9',
  ),
  fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)), maxLength: 12 }),
);
const name = fc.oneof(
  fc.constantFrom(...KNOWN_NAMES.slice(0, 12), 'Host', 'Content-Length', 'Transfer-Encoding', 'X-Odd', 'x_under', 'CONNECTION'),
  fc.constantFrom(...KNOWN_NAMES),
  fc.stringMatching(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,12}$/),
);
const eol = fc.oneof({ weight: 40, arbitrary: fc.constant('\r\n') }, { weight: 1, arbitrary: fc.constantFrom('\n', '\r', '\r\r\n', '\r\n ') });
const line = fc.tuple(name, fc.constantFrom(': ', ': ', ': ', ':', ':\t ', ' :', ''), text, eol).map((parts) => parts.join(''));
const target = fc.constantFrom(
  '/',
  '/a?b=c',
  '*',
  'a.test:443',
  'http://a.test:80/x',
  'http://a.test?y',
  'https://[::1]',
  'ftp://u@a/',
  '/#',
  '',
  'a b',
  '[::1]:1',
  'http://%41/',
);
const requestLine = fc
  .tuple(
    fc.constantFrom('GET', 'POST', 'HEAD', 'OPTIONS', 'CONNECT', 'FOO', 'G(T', ''),
    target,
    fc.constantFrom('HTTP/1.1', 'HTTP/1.1', 'HTTP/1.0', 'HTTP/2.0', 'http/1.1', 'HTTP/1.1 '),
    eol,
  )
  .map(([method, to, version, end]) => `${method} ${to} ${version}${end}`);
const statusLine = fc
  .tuple(
    fc.constantFrom('HTTP/1.1', 'HTTP/1.1', 'HTTP/1.0', 'HTTP/3.0'),
    fc.constantFrom('200', '204', '304', '100', '101', '99', '1000', '404'),
    fc.constantFrom(' OK', ' ', '', ' a\tb', ' \x01'),
    eol,
  )
  .map(([version, status, reason, end]) => `${version} ${status}${reason}${end}`);
const lines = fc.array(line, { maxLength: 6 }).map((all) => all.join(''));
const hostLine = fc.constantFrom('Host: a\r\n', 'Host: a\r\n', 'Host: a\r\n', '');
const request = fc
  .tuple(fc.constantFrom('', '', '\r\n', '\r\n\r\n', '\r\n\r\n\r\n', '\n'), requestLine, hostLine, lines, eol)
  .map((parts) => parts.join(''));
const response = fc.tuple(statusLine, lines, eol).map((parts) => parts.join(''));
const goodRequest = fc
  .tuple(
    fc.constantFrom('GET /a', 'POST http://b.test:81/c?d', 'CONNECT e:1', 'OPTIONS http://f'),
    fc.array(
      fc.tuple(
        name.filter((one) => !/^(host|content-length|transfer-encoding)$/i.test(one)),
        fc.constantFrom('x', ' y ', '', 'close'),
      ),
      { maxLength: 6 },
    ),
  )
  .map(([start, fields]) => `${start} HTTP/1.1\r\nHost: a\r\n${fields.map(([one, value]) => `${one}: ${value}\r\n`).join('')}\r\n`);
const extension = fc.constantFrom('', ';a', ';a=b', ';a="b\\"c"', '; a', ';', ';a="\n"', ';a=b;c');
const chunk = fc
  .tuple(fc.constantFrom('', '0', '0x'), fc.string({ unit: fc.constantFrom('a', '\r', '\n', '0'), maxLength: 20 }), extension, eol, eol)
  .map(([zero, data, extra, end1, end2]) => `${zero}${data.length.toString(16)}${extra}${end1}${data.length === 0 ? '' : `${data}${end2}`}`);
const chunked = fc
  .tuple(fc.array(chunk, { maxLength: 5 }), fc.constantFrom('0\r\n', '000;x\r\n', '', 'g'), lines, eol)
  .map(([all, last, trailers, end]) => all.join('') + last + trailers + end);
const limits: fc.Arbitrary<FramingLimits> = fc.record({
  maxHeadBytes: fc.constantFrom(61440, 61440, 64, 30),
  maxHeaders: fc.constantFrom(100, 100, 3),
  maxTargetBytes: fc.constantFrom(61440, 8),
  acceptHttp10: fc.boolean(),
  underscores: fc.constantFrom('allow', 'reject', 'drop'),
});
const how: fc.Arbitrary<OutHead> = fc.record({
  framing: fc.constantFrom<BodyFraming>('none', 'length', 'chunked', 'until-close'),
  contentLength: fc.constantFrom(-1, 0, 5, 7, 2 ** 32, Number.MAX_SAFE_INTEGER),
  close: fc.boolean(),
  keepAlive: fc.boolean(),
  upgrade: fc.boolean(),
});
const asked: fc.Arbitrary<RequestContext> = fc.record({
  isHead: fc.boolean(),
  isConnect: fc.boolean(),
  isUpgrade: fc.boolean(),
  isHttp11: fc.boolean(),
});
const cutsOf = (bytes: Uint8Array, at: readonly number[]): number[] => at.map((part) => Math.floor(part * bytes.length)).sort((a, b) => a - b);
const parts = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 6 });

/** Both implementations, whole and in pieces, must see the same. */
function agreeOnHead(message: string, isResponse: boolean, limit: FramingLimits, at: readonly number[]): void {
  assert.ok(native !== undefined);
  const bytes = bytesOf(message);
  const expected = fallback.parseHead(bytes, isResponse, limit);
  const cuts = cutsOf(bytes, at);
  assert.deepEqual(native.parseHead(bytes, isResponse, limit), expected);
  assert.deepEqual(native.parseHead(bytes, isResponse, limit, cuts), expected);
  assert.deepEqual(fallback.parseHead(bytes, isResponse, limit, cuts), expected);
}

test('both read the same requests, or find the same fault at the same byte', { skip }, () => {
  fc.assert(
    fc.property(request, limits, parts, (message, limit, at) => agreeOnHead(message, false, limit, at)),
    { numRuns: RUNS },
  );
});

test('both read the same responses, or find the same fault at the same byte', { skip }, () => {
  fc.assert(
    fc.property(response, limits, parts, (message, limit, at) => agreeOnHead(message, true, limit, at)),
    { numRuns: RUNS },
  );
});

test('both agree on a good request with one byte changed', { skip }, () => {
  fc.assert(
    fc.property(goodRequest, fc.nat(), fc.integer({ min: 0, max: 255 }), parts, (message, place, byte, at) => {
      const index = place % message.length;
      agreeOnHead(message.slice(0, index) + String.fromCharCode(byte) + message.slice(index + 1), false, LIMITS, at);
    }),
    { numRuns: RUNS },
  );
});

test('both take the same chunked bodies apart, or find the same fault at the same byte', { skip }, () => {
  const table = fallback.parseHead(bytesOf('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n'), false)?.table;
  assert.ok(table !== undefined);
  fc.assert(
    fc.property(chunked, parts, (body, at) => {
      assert.ok(native !== undefined);
      const bytes = bytesOf(body);
      const expected = comparable(fallback.body(bytes, table));
      const cuts = cutsOf(bytes, at);
      assert.deepEqual(comparable(native.body(bytes, table)), expected);
      assert.deepEqual(comparable(native.body(bytes, table, undefined, cuts)), expected);
      assert.deepEqual(comparable(fallback.body(bytes, table, undefined, cuts)), expected);
    }),
    { numRuns: RUNS },
  );
});

test('both decide the same framing for a response', { skip }, () => {
  fc.assert(
    fc.property(response, asked, (message, context) => {
      const table = fallback.parseHead(bytesOf(message), true)?.table;
      if (table === undefined) return;
      const body = bytesOf('5\r\nhello');
      assert.deepEqual(comparable(native?.body(body, table, context) as never), comparable(fallback.body(body, table, context)));
    }),
    { numRuns: RUNS },
  );
});

test('both write the same heads', { skip }, () => {
  const changes = fc.array(fc.tuple(fc.nat({ max: 8 }), fc.option(fc.constantFrom('', 'new', 'x, y'))), { maxLength: 5 });
  fc.assert(
    fc.property(
      fc.oneof(goodRequest, request, response),
      changes,
      how,
      fc.constantFrom(0, EDIT_FLAG.PROPER_CASE),
      fc.constantFrom(0, 200, 204, 404, 599),
      fc.boolean(),
      (message, all, out, flags, status, appends) => {
        const bytes = bytesOf(message);
        const isResponse = message.startsWith('HTTP/');
        const table = fallback.parseHead(bytes, isResponse)?.table;
        const edits = new Edits().flag(flags);
        if (isResponse || table === undefined) edits.status(status);
        if (appends) edits.target('/edited').method('Edited');
        for (const [index, value] of all) {
          if (table === undefined || index >= table[HEAD.COUNT]) continue;
          if (value === null) edits.drop(index);
          else edits.replace(index, value);
        }
        if (appends) edits.append('x-added', 'v:W').append('Second', '');
        assert.equal(textOf(native?.writeHead(bytes, table, edits, out) as never), textOf(fallback.writeHead(bytes, table, edits, out)));
      },
    ),
    { numRuns: RUNS },
  );
});

test('what is written is read back: no message changes its meaning on the way', () => {
  fc.assert(
    fc.property(goodRequest, (message) => {
      const bytes = bytesOf(message);
      const table = fallback.parseHead(bytes, false)?.table;
      if (table === undefined) return;
      const sent = fallback.writeHead(bytes, table, new Edits(), {
        framing: 'none',
        contentLength: -1,
        close: false,
        keepAlive: false,
        upgrade: false,
      });
      const again = fallback.parseHead(sent, false)?.table;
      assert.ok(again !== undefined, textOf(sent));
      const once = fallback.writeHead(sent, again, new Edits(), {
        framing: 'none',
        contentLength: -1,
        close: false,
        keepAlive: false,
        upgrade: false,
      });
      assert.equal(textOf(once), textOf(sent));
    }),
    { numRuns: RUNS },
  );
});
