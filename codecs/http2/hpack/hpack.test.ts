import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Edits } from '../../../src/protocol/edits.js';
import { HEAD_FLAG } from '../../../src/protocol/head-layout.js';
import { BLOCK } from '../spec.js';
import type { ListLimits } from './decoder.js';
import { AS_IS, bytesOf, decoders, encoders, fallback, hex, LIMITS, type Seen, toHex } from './test-support.js';

/** Literals without indexing, as plain as can be. */
const plain = (fields: readonly (readonly [string, string])[], first = 0x00): Uint8Array =>
  Uint8Array.from(fields.flatMap(([name, value]) => [first, ...string(name), ...string(value)]));
const string = (text: string): number[] => (text.length < 127 ? [text.length, ...bytesOf(text)] : [...integer(0x7f, text.length), ...bytesOf(text)]);
function integer(prefix: number, value: number): number[] {
  const octets = [prefix];
  let rest = value - prefix;
  for (; rest >= 128; rest >>>= 7) octets.push((rest & 0x7f) | 0x80);
  return [...octets, rest];
}
const GET: [string, string][] = [
  [':method', 'GET'],
  [':scheme', 'http'],
  [':path', '/'],
  [':authority', 'a.example'],
];
const OK: [string, string][] = [[':status', '200']];
const request = (...fields: [string, string][]): Uint8Array => plain([...GET, ...fields]);

for (const { name, open } of decoders) {
  const decode = (block: Uint8Array, kind = BLOCK.REQUEST as (typeof BLOCK)[keyof typeof BLOCK], limits: ListLimits = LIMITS): Seen =>
    open().decode(block, kind, limits);
  const faultOf = (block: Uint8Array, kind: Parameters<typeof decode>[1] = BLOCK.REQUEST, limits: ListLimits = LIMITS) =>
    decode(block, kind, limits).fault;
  const codeOf = (...args: Parameters<typeof decode>): string | undefined => decode(...args).fault?.code;

  describe(`${name} decoder`, () => {
    test('reads the examples of RFC 7541 Appendix C', () => {
      const plainOne = open();
      assert.deepEqual(plainOne.decode(hex('828684410f7777772e6578616d706c652e636f6d'), BLOCK.FIELDS).fields, [
        [':method', 'GET'],
        [':scheme', 'http'],
        [':path', '/'],
        [':authority', 'www.example.com'],
      ]);
      const coded = open();
      assert.deepEqual(coded.decode(hex('828684418cf1e3c2e5f23a6ba0ab90f4ff'), BLOCK.FIELDS).fields[3], [':authority', 'www.example.com']);
      assert.deepEqual(coded.decode(hex('828684be5886a8eb10649cbf'), BLOCK.FIELDS).fields.slice(3), [
        [':authority', 'www.example.com'],
        ['cache-control', 'no-cache'],
      ]);
      assert.deepEqual(coded.table(), { count: 2, size: 110 });
    });

    test('evicts the oldest entries, as in C.5 with a table of 256 bytes', () => {
      const decoder = open();
      decoder.setMaxTableBytes(256);
      // The table begins with 4,096 bytes; the peer says that it follows.
      decoder.decode(hex('3fe101'), BLOCK.FIELDS);
      const first = decoder.decode(
        hex(
          '4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d546e1768747470733a2f2f7777772e6578616d706c652e636f6d',
        ),
        BLOCK.FIELDS,
      );
      assert.equal(first.fields.length, 4);
      assert.deepEqual(decoder.table(), { count: 4, size: 222 });
      assert.deepEqual(decoder.decode(hex('4803333037c1c0bf'), BLOCK.FIELDS).fields[0], [':status', '307']);
      assert.deepEqual(decoder.table(), { count: 4, size: 222 });
    });

    test('takes a name from an entry that the same insertion evicts', () => {
      const decoder = open();
      decoder.setMaxTableBytes(64);
      const value = 'x'.repeat(20);
      // Table of 64: `name: xx..` takes 56, so the second evicts the first.
      decoder.decode(Uint8Array.from([0x3f, 0x21, 0x40, ...string('name'), ...string(value)]), BLOCK.FIELDS);
      const { fields } = decoder.decode(Uint8Array.from([0x7e, ...string(value)]), BLOCK.FIELDS);
      assert.deepEqual(fields, [['name', value]]);
      assert.deepEqual(decoder.table(), { count: 1, size: 56 });
    });

    test('an entry larger than the table empties it and is no error', () => {
      const decoder = open();
      decoder.decode(Uint8Array.from([0x40, ...string('a'), ...string('b')]), BLOCK.FIELDS);
      decoder.decode(Uint8Array.from([0x40, ...string('a'), ...string('b'.repeat(4096))]), BLOCK.FIELDS);
      assert.deepEqual(decoder.table(), { count: 0, size: 0 });
    });

    for (const [title, block, code, offset] of [
      ['index 0', '80', 'BAD_INDEX', 0],
      ['an index beyond the tables', '82be', 'BAD_INDEX', 1],
      ['a name index beyond the tables', '7f00 0161', 'BAD_INDEX', 0],
      ['an integer above 32 bits', 'ff 8080808010', 'BAD_INTEGER', 0],
      ['an integer of more than 6 octets, be they zeros', 'ff 808080808000', 'BAD_INTEGER', 0],
      ['a block that ends in an integer', '82 ff80', 'TRUNCATED_BLOCK', 3],
      ['a block that ends in a name', '00 05 6161', 'TRUNCATED_BLOCK', 4],
      ['a block that ends before a value', '00 01 61', 'TRUNCATED_BLOCK', 3],
      ['a block that ends in a value', '00 01 61 02 62', 'TRUNCATED_BLOCK', 5],
      ['EOS in a Huffman code', '00 01 61 84 ffffffff', 'BAD_HUFFMAN', 3],
      ['padding of 8 bits', '00 01 61 82 1fff', 'BAD_HUFFMAN', 3],
      ['padding with a zero', '00 01 61 81 1e', 'BAD_HUFFMAN', 3],
      ['a table size above ours', '3fe21f', 'BAD_TABLE_SIZE', 0],
      ['a table size after a field', '82 20', 'LATE_TABLE_SIZE', 1],
      ['a third table size', '20 20 20', 'LATE_TABLE_SIZE', 2],
    ] as const)
      test(`breaks the connection at ${title}`, () => assert.deepEqual(faultOf(hex(block), BLOCK.FIELDS), { code, offset, scope: 'connection' }));

    test('needs a table size after ours was lowered, and takes the smallest then the last', () => {
      const decoder = open();
      decoder.setMaxTableBytes(100);
      assert.deepEqual(decoder.decode(hex('82'), BLOCK.FIELDS).fault, { code: 'MISSING_TABLE_SIZE', offset: 0, scope: 'connection' });
      const other = open();
      other.setMaxTableBytes(0);
      other.setMaxTableBytes(4096);
      assert.equal(other.decode(hex('3fe11f 82'), BLOCK.FIELDS).fault?.code, 'MISSING_TABLE_SIZE');
      const third = open();
      third.setMaxTableBytes(0);
      third.setMaxTableBytes(4096);
      assert.equal(third.decode(hex('20 3fe11f 82'), BLOCK.FIELDS).fault, undefined);
    });

    test('a request becomes a head with the views of HTTP/1', () => {
      const { head, fault } = decode(
        plain([...GET.slice(0, 2), [':authority', 'a.example'], [':path', '/x?y=1'], ['te', 'trailers'], ['content-length', '12'], ['x-a', '1']]),
      );
      assert.equal(fault, undefined);
      assert.ok(head !== undefined);
      assert.deepEqual(
        [head.method, head.target, head.path, head.authority, head.scheme, head.version],
        ['GET', '/x?y=1', '/x?y=1', 'a.example', 'http', 'HTTP/2'],
      );
      assert.deepEqual(head.lines(), [
        ['host', 'a.example'],
        ['te', 'trailers'],
        ['content-length', '12'],
        ['x-a', '1'],
      ]);
      assert.equal(head.contentLength, 12);
      assert.ok(head.isHopByHop(1));
      assert.equal(head.known('host'), 'a.example');
      assert.ok((head.flags & HEAD_FLAG.IDEMPOTENT) !== 0);
    });

    test('a response has a status and no reason', () => {
      const { head } = decode(plain([...OK, ['server', 's']]), BLOCK.RESPONSE);
      assert.deepEqual([head?.status, head?.reason, head?.isResponse, head?.known('server')], [200, '', true, 's']);
    });

    test('keeps never-indexed fields so', () =>
      assert.deepEqual(decode(Uint8Array.from([...plain(GET), ...plain([['token', 's3cret']], 0x10)])).secret, ['token']));

    for (const [title, fields, joined] of [
      [
        'that follow each other',
        [
          ['cookie', 'a=1'],
          ['cookie', 'b=2'],
          ['cookie', 'c=3'],
          ['x', 'y'],
        ],
        'a=1; b=2; c=3',
      ],
      [
        'with other fields between them',
        [
          ['cookie', 'a=1'],
          ['x', 'y'],
          ['cookie', 'b=2'],
          ['z', 'w'],
          ['cookie', 'c=3'],
        ],
        'a=1; b=2; c=3',
      ],
      [
        'of which one is empty',
        [
          ['cookie', ''],
          ['cookie', 'b=2'],
        ],
        '; b=2',
      ],
    ] as [string, [string, string][], string][])
      test(`joins the crumbs of a cookie ${title}`, () => {
        const { head } = decode(request(...fields));
        assert.equal(head?.known('cookie'), joined);
        assert.deepEqual(
          head?.lines().filter(([line]) => line !== 'cookie' && line !== 'host'),
          fields.filter(([line]) => line !== 'cookie'),
        );
        assert.equal(head?.lines().filter(([line]) => line === 'cookie').length, 1);
      });

    test('the bytes of a head are lines of HTTP/1', () => {
      const { head } = decode(request(['a', '1'], ['b', '2']));
      assert.ok(
        Buffer.from(head?.bytes ?? [])
          .toString('latin1')
          .endsWith('host: a.example\r\na: 1\r\nb: 2\r\n'),
      );
    });

    test('Host alone is taken; beside an equal :authority it is left out; another one is a fault', () => {
      assert.equal(decode(plain([...GET.slice(0, 3), ['host', 'h.example']])).head?.authority, 'h.example');
      assert.deepEqual(decode(request(['host', 'A.example'])).head?.lines(), [['host', 'a.example']]);
      assert.equal(codeOf(request(['host', 'b.example'])), 'HOST_MISMATCH');
      assert.equal(codeOf(plain([...GET.slice(0, 3), ['host', 'h'], ['host', 'h']])), 'DUPLICATE_HOST');
      assert.equal(codeOf(plain([...GET.slice(0, 3), ['host', 'a@b']])), 'BAD_HOST');
    });

    const malformed: [string, Uint8Array, string][] = [
      ['a capital in a name', request(['X-A', '1']), 'BAD_NAME'],
      ['a space in a name', request(['x a', '1']), 'BAD_NAME'],
      ['a byte above 0x7f in a name', request(['x\xe9', '1']), 'BAD_NAME'],
      ['an empty name', request(['', '1']), 'BAD_NAME'],
      ['a colon inside a name', request(['x:a', '1']), 'BAD_NAME'],
      ['NUL in a value', request(['x', 'a\0b']), 'BAD_VALUE'],
      ['CR in a value', request(['x', 'a\rb']), 'BAD_VALUE'],
      ['LF in a value', request(['x', 'a\nb']), 'BAD_VALUE'],
      ['a space before a value', request(['x', ' a']), 'BAD_VALUE'],
      ['a tab after a value', request(['x', 'a\t']), 'BAD_VALUE'],
      ['LF in a pseudo-header', plain([[':method', 'GET\n'], ...GET.slice(1)]), 'BAD_VALUE'],
      ...['connection', 'proxy-connection', 'keep-alive', 'transfer-encoding', 'upgrade'].map(
        (field) => [field, request([field, 'x']), 'CONNECTION_FIELD'] as [string, Uint8Array, string],
      ),
      ['TE with anything but trailers', request(['te', 'trailers, gzip']), 'BAD_TE'],
      ['a pseudo-header after a field', plain([...GET.slice(0, 3), ['x', '1'], [':authority', 'a']]), 'LATE_PSEUDO'],
      ['a pseudo-header twice', request([':path', '/']), 'DUPLICATE_PSEUDO'],
      ['an unknown pseudo-header', request([':foo', '1']), 'UNKNOWN_PSEUDO'],
      ['a pseudo-header of responses', request([':status', '200']), 'UNKNOWN_PSEUDO'],
      [':protocol where it was not offered', request([':protocol', 'websocket']), 'UNKNOWN_PSEUDO'],
      ['no :method', plain(GET.slice(1)), 'MISSING_PSEUDO'],
      ['no :scheme', plain([GET[0], GET[2]]), 'MISSING_PSEUDO'],
      ['no :path', plain([GET[0], GET[1], GET[3]]), 'MISSING_PSEUDO'],
      ['an empty :path', plain([GET[0], GET[1], [':path', '']]), 'BAD_PATH'],
      ['a :path without a slash', plain([GET[0], GET[1], [':path', 'x']]), 'BAD_PATH'],
      ['`*` for GET', plain([GET[0], GET[1], [':path', '*']]), 'BAD_PATH'],
      ['a space in :path', plain([GET[0], GET[1], [':path', '/a b']]), 'BAD_PATH'],
      ['a fragment in :path', plain([GET[0], GET[1], [':path', '/a#b']]), 'BAD_PATH'],
      ['a :method that is no token', plain([[':method', 'GE T'], ...GET.slice(1)]), 'BAD_METHOD'],
      ['a :method of 65 bytes', plain([[':method', 'M'.repeat(65)], ...GET.slice(1)]), 'METHOD_TOO_LONG'],
      ['an odd :scheme', plain([GET[0], [':scheme', 'http:'], GET[2]]), 'BAD_SCHEME'],
      ['user information in :authority', plain([...GET.slice(0, 3), [':authority', 'u@a']]), 'BAD_AUTHORITY'],
      ['CONNECT with :path', plain([[':method', 'CONNECT'], ...GET.slice(1)]), 'BAD_CONNECT'],
      [
        'CONNECT without a port',
        plain([
          [':method', 'CONNECT'],
          [':authority', 'a'],
        ]),
        'BAD_CONNECT',
      ],
      ['Content-Length that is no number', request(['content-length', '1a']), 'BAD_CONTENT_LENGTH'],
      ['an empty Content-Length', request(['content-length', '']), 'BAD_CONTENT_LENGTH'],
      ['Content-Length above 2^53', request(['content-length', '9007199254740992']), 'BAD_CONTENT_LENGTH'],
      ['Content-Length twice', request(['content-length', '1'], ['content-length', '1']), 'DUPLICATE_CONTENT_LENGTH'],
    ];
    for (const [title, block, code] of malformed)
      test(`a request is malformed with ${title}`, () => {
        const fault = faultOf(block);
        assert.equal(fault?.code, code);
        assert.equal(fault?.scope, 'message');
      });
    for (const status of ['', '20', '2000', '099', '101', '2x0']) {
      test(`a response is malformed with status ${JSON.stringify(status)}`, () =>
        assert.equal(codeOf(plain([[':status', status]]), BLOCK.RESPONSE), 'BAD_STATUS'));
    }
    test('a response needs :status and has nothing of a request', () => {
      assert.equal(codeOf(plain([['x', '1']]), BLOCK.RESPONSE), 'MISSING_PSEUDO');
      assert.equal(codeOf(plain([...OK, [':path', '/']]), BLOCK.RESPONSE), 'UNKNOWN_PSEUDO');
    });

    test('CONNECT, extended CONNECT and OPTIONS *', () => {
      const connect = decode(
        plain([
          [':method', 'CONNECT'],
          [':authority', 'a:443'],
        ]),
      ).head;
      assert.deepEqual([connect?.target, connect?.path, (connect?.flags ?? 0) & HEAD_FLAG.CONNECT], ['a:443', '', HEAD_FLAG.CONNECT]);
      const limits = { ...LIMITS, extendedConnect: true };
      const extended = decode(plain([[':method', 'CONNECT'], ...GET.slice(1), [':protocol', 'websocket']]), BLOCK.REQUEST, limits).head;
      assert.deepEqual(
        [extended?.protocol, extended?.path, (extended?.flags ?? 0) & (HEAD_FLAG.CONNECT | HEAD_FLAG.EXTENDED_CONNECT)],
        ['websocket', '/', HEAD_FLAG.EXTENDED_CONNECT],
      );
      assert.equal(codeOf(request([':protocol', 'websocket']), BLOCK.REQUEST, limits), 'BAD_CONNECT');
      assert.equal(decode(plain([[':method', 'OPTIONS'], GET[1], [':path', '*']])).head?.path, '*');
    });

    test('trailers have no pseudo-headers, and those that would mislead are left out', () => {
      const { head } = decode(
        plain([
          ['grpc-status', '0'],
          ['content-length', '5'],
          ['authorization', 'x'],
          ['x-envoy-foo', '1'],
          ['x', 'y'],
        ]),
        BLOCK.TRAILERS,
      );
      assert.deepEqual(head?.lines(), [
        ['grpc-status', '0'],
        ['x', 'y'],
      ]);
      assert.equal(Buffer.from(head?.bytes.subarray(0, head.wireBytes) ?? []).toString('latin1'), 'grpc-status: 0\r\nx: y\r\n');
      assert.equal(codeOf(plain(OK), BLOCK.TRAILERS), 'UNKNOWN_PSEUDO');
      assert.equal(codeOf(plain([['connection', 'x']]), BLOCK.TRAILERS), 'CONNECTION_FIELD');
    });

    test('names with an underscore are taken, refused or left out', () => {
      const block = request(['x_y', '1']);
      assert.equal(codeOf(block), undefined);
      assert.equal(codeOf(block, BLOCK.REQUEST, { ...LIMITS, underscores: 'reject' }), 'UNDERSCORE_IN_NAME');
      assert.equal(decode(block, BLOCK.REQUEST, { ...LIMITS, underscores: 'drop' }).head?.count, 1);
    });

    test('the first fault counts, and where its field begins', () => {
      const good = plain(GET);
      const bad = plain([
        ['X', '1'],
        ['y', ' '],
      ]);
      assert.deepEqual(faultOf(Uint8Array.from([...good, ...bad])), { code: 'BAD_NAME', offset: good.length, scope: 'message' });
    });

    test('a malformed block is read to its end, so that the table follows', () => {
      const decoder = open();
      const fault = decoder.decode(Uint8Array.from([...plain([['X', '1']]), 0x40, ...string('later'), ...string('value')]), BLOCK.REQUEST).fault;
      assert.equal(fault?.code, 'BAD_NAME');
      assert.deepEqual(decoder.decode(hex('be'), BLOCK.FIELDS).fields, [['later', 'value']]);
      const broken = decoder.decode(Uint8Array.from([...plain([['X', '1']]), 0x80]), BLOCK.REQUEST).fault;
      assert.deepEqual(broken, { code: 'BAD_INDEX', offset: 5, scope: 'connection' });
    });

    test('counts the list while it is read: size with 32 bytes a field, fields with every crumb', () => {
      const list = plain([
        ['a', 'b'],
        ['c', 'd'],
      ]);
      assert.equal(codeOf(list, BLOCK.FIELDS, { ...LIMITS, maxHeadBytes: 68 }), undefined);
      assert.deepEqual(faultOf(list, BLOCK.FIELDS, { ...LIMITS, maxHeadBytes: 67 }), { code: 'HEAD_TOO_LARGE', offset: 5, scope: 'message' });
      const crumbs = request(...Array.from({ length: 10 }, (): [string, string] => ['cookie', 'a']));
      assert.equal(codeOf(crumbs, BLOCK.REQUEST, { ...LIMITS, maxHeaders: 10 }), undefined);
      assert.equal(codeOf(crumbs, BLOCK.REQUEST, { ...LIMITS, maxHeaders: 9 }), 'TOO_MANY_HEADERS');
      assert.equal(codeOf(request(), BLOCK.REQUEST, { ...LIMITS, maxTargetBytes: 0 }), 'TARGET_TOO_LARGE');
    });

    test('a bomb of indexed fields lays out no more than the limit', () => {
      const decoder = open();
      decoder.decode(Uint8Array.from([0x40, ...string('x'), ...string('v'.repeat(3900))]), BLOCK.FIELDS);
      const { fault, head } = decoder.decode(new Uint8Array(60000).fill(0xbe), BLOCK.FIELDS);
      assert.equal(fault?.code, 'HEAD_TOO_LARGE');
      assert.ok((head?.wireBytes ?? 0) <= LIMITS.maxHeadBytes);
    });
  });
}

for (const { name, open } of encoders) {
  const decode = (block: Uint8Array, kind: Parameters<ReturnType<typeof fallback.decoder.open>['decode']>[1] = BLOCK.FIELDS) =>
    fallback.decoder.open().decode(block, kind);
  const headOf = (block: Uint8Array, kind: 1 | 2 = BLOCK.REQUEST) =>
    fallback.decoder.open().decode(block, kind, { ...LIMITS, extendedConnect: true }).head;

  describe(`${name} encoder`, () => {
    test('writes the first request of C.4', () => {
      const encoder = open();
      assert.equal(
        toHex(
          encoder.fields([
            [':method', 'GET'],
            [':scheme', 'http'],
            [':path', '/'],
            [':authority', 'www.example.com'],
          ]),
        ),
        '828684418cf1e3c2e5f23a6ba0ab90f4ff',
      );
      assert.equal(
        toHex(
          encoder.fields([
            [':authority', 'www.example.com'],
            ['cache-control', 'no-cache'],
          ]),
        ),
        'be5886a8eb10649cbf',
      );
    });

    test('secret fields are literals that are never indexed', () => {
      const encoder = open();
      const fields: [string, string][] = [
        ['authorization', 'Basic Zm9vOmJhcg=='],
        ['proxy-authorization', 'Basic Zm9vOmJhcg=='],
        ['cookie', 'short=1'],
      ];
      const { secret } = decode(encoder.fields(fields));
      assert.deepEqual(secret, ['authorization', 'proxy-authorization', 'cookie']);
      assert.equal(encoder.table().count, 0);
      encoder.fields([
        ['cookie', 'long-enough-to-keep=1'],
        ['set-cookie', 'id=long-enough-to-keep'],
      ]);
      assert.equal(encoder.table().count, 1);
    });

    test('says at the start of the next block what became of the table size: the smallest, then the last', () => {
      const encoder = open();
      encoder.fields([['x', 'y']]);
      encoder.setPeerTableBytes(0);
      encoder.setPeerTableBytes(100);
      assert.equal(toHex(encoder.fields([[':method', 'GET']])), '203f4582');
      encoder.setPeerTableBytes(100);
      encoder.setPeerTableBytes(1_000_000);
      assert.equal(toHex(encoder.fields([[':method', 'GET']])), '3fe11f82');
      assert.equal(toHex(encoder.fields([[':method', 'GET']])), '82');
    });

    test('takes no larger table than its own', () => assert.equal(toHex(open(0).fields([['x', 'y']])), '20000178' + '0179'));

    test('an HTTP/2 head goes on, cookie split, secrets kept, TE left out', () => {
      const block = Uint8Array.from([
        ...request(['te', 'trailers'], ['cookie', 'a=1'], ['cookie', 'b=2'], ['x', 'y']),
        ...plain([['token', 's']], 0x10),
      ]);
      const { fields, secret } = decode(open().head(headOf(block)));
      assert.deepEqual(fields, [
        [':method', 'GET'],
        [':scheme', 'http'],
        [':authority', 'a.example'],
        [':path', '/'],
        ['cookie', 'a=1'],
        ['cookie', 'b=2'],
        ['x', 'y'],
        ['token', 's'],
      ]);
      assert.deepEqual(secret, ['cookie', 'cookie', 'token']);
    });

    test('applies edits: method, target, lines changed, dropped and added', () => {
      const head = headOf(request(['a', '1'], ['b', '2'], ['c', '3']));
      const edits = new Edits().method('POST').target('/new').replace(0, 'other.example').drop(2).replace(3, '4');
      edits.append('X-Added', 'v').append('Connection', 'close').append('te', 'trailers').append('te', 'gzip');
      assert.deepEqual(decode(open().head(head, edits, { ...AS_IS, contentLength: 7, scheme: 'https' })).fields, [
        [':method', 'POST'],
        [':scheme', 'https'],
        [':authority', 'other.example'],
        [':path', '/new'],
        ['a', '1'],
        ['c', '4'],
        ['x-added', 'v'],
        ['te', 'trailers'],
        ['content-length', '7'],
      ]);
    });

    test('content-length is what is asked for, in its place', () => {
      const head = headOf(request(['content-length', '05'], ['a', '1']));
      assert.deepEqual(decode(open().head(head, new Edits(), { ...AS_IS, contentLength: 5 })).fields.slice(4), [
        ['content-length', '5'],
        ['a', '1'],
      ]);
      assert.deepEqual(decode(open().head(head)).fields.slice(4), [['a', '1']]);
    });

    test('a response made here', () => {
      const edits = new Edits().status(503).append('Content-Type', 'text/plain');
      assert.deepEqual(decode(open().head(undefined, edits, { ...AS_IS, contentLength: 3 })).fields, [
        [':status', '503'],
        ['content-type', 'text/plain'],
        ['content-length', '3'],
      ]);
      assert.deepEqual(decode(open().head(undefined, new Edits().status(204), { ...AS_IS, contentLength: 0 })).fields, [[':status', '204']]);
    });

    test('CONNECT has method and authority only; extended CONNECT keeps its protocol', () => {
      const connect = headOf(
        plain([
          [':method', 'CONNECT'],
          [':authority', 'a:443'],
          ['x', 'y'],
        ]),
      );
      assert.deepEqual(decode(open().head(connect)).fields, [
        [':method', 'CONNECT'],
        [':authority', 'a:443'],
        ['x', 'y'],
      ]);
      const extended = headOf(plain([[':method', 'CONNECT'], ...GET.slice(1), [':protocol', 'websocket']]));
      assert.deepEqual(decode(open().head(extended)).fields, [
        [':method', 'CONNECT'],
        [':scheme', 'http'],
        [':authority', 'a.example'],
        [':path', '/'],
        [':protocol', 'websocket'],
      ]);
    });

    test('a request made here takes its authority from an added Host', () => {
      const edits = new Edits().method('GET').target('/').append('Host', 'h.example').append('a', '1');
      assert.deepEqual(decode(open().head(undefined, edits)).fields, [
        [':method', 'GET'],
        [':scheme', 'http'],
        [':authority', 'h.example'],
        [':path', '/'],
        ['a', '1'],
      ]);
    });

    test('trailers, as lines and as a table', () => {
      const lines = 'grpc-status: 0\r\nGrpc-Message: fine\r\n';
      assert.deepEqual(decode(open().lines(lines)).fields, [
        ['grpc-status', '0'],
        ['grpc-message', 'fine'],
      ]);
      const head = decode(
        plain(
          [
            ['grpc-status', '0'],
            ['x', 'y'],
          ],
          0x10,
        ),
        BLOCK.TRAILERS,
      ).head;
      assert.ok(head !== undefined);
      assert.deepEqual(decode(open().trailers(head)).secret, ['grpc-status', 'x']);
    });

    test('the path of gRPC is indexed, another is not', () => {
      const encoder = open();
      encoder.head(headOf(plain([...GET.slice(0, 2), [':path', '/items/7']])));
      assert.equal(encoder.table().count, 0);
      encoder.head(headOf(plain([...GET.slice(0, 2), [':path', '/pkg.Service/Method'], ['content-type', 'application/grpc']])));
      assert.equal(encoder.table().count, 2);
    });
  });
}
