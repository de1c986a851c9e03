import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Edits } from '../../../src/protocol/edits.js';
import { STREAM_ERROR } from '../../../src/protocol/stream-table.js';
import { FRAME_FLAG, FRAME_TYPE, OPTION_DEFAULTS, SETTING } from '../spec.js';
import { http2Options } from './connection.js';
import type { Http2Frame } from './frame.js';
import {
  AS_IS,
  bytes,
  data,
  framesOf,
  GET,
  goAway,
  headers,
  implementations,
  joined,
  OK,
  POST,
  PREFACE,
  ping,
  raw,
  requestHead,
  rst,
  type Seen,
  settings,
  settingsAck,
  statusEdits,
  type Tested,
  windowUpdate,
} from './test-support.js';

const { DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION } = FRAME_TYPE;
const { END_STREAM, END_HEADERS, ACK, PADDED } = FRAME_FLAG;

for (const { name, open } of implementations) {
  /** A server whose client has said its preface. */
  const server = (changes: Parameters<typeof http2Options>[0] = {}): Tested => {
    const connection = open('downstream', http2Options(changes));
    connection.receive(bytes(PREFACE, settings(), settingsAck()));
    connection.output();
    return connection;
  };
  const client = (changes: Parameters<typeof http2Options>[0] = {}): Tested => {
    const connection = open('upstream', http2Options(changes));
    connection.receive(bytes(settings(), settingsAck()));
    connection.output();
    return connection;
  };
  const kinds = (events: readonly Seen[]): string[] => events.map(({ kind }) => kind);
  const faultOf = (events: readonly Seen[]): unknown => events.at(-1)?.kind === 'FAULT' && events.at(-1)?.fault;
  const resetOf = (events: readonly Seen[]): unknown => events.at(-1)?.kind === 'RESET' && events.at(-1)?.fault;
  const sent = (connection: Tested): Http2Frame[] => framesOf(connection.output());
  const get = (connection: Tested, ends = true): number => connection.request(requestHead(), new Edits(), AS_IS, ends);
  const answer = (connection: Tested, stream: number, ends = true): boolean => connection.respond(stream, undefined, statusEdits(200), AS_IS, ends);

  describe(`${name} connection`, () => {
    test('a client begins with the preface and SETTINGS, a server with SETTINGS', () => {
      const output = open('upstream').output();
      assert.deepEqual([...output.subarray(0, PREFACE.length)], [...PREFACE]);
      const [first, second] = framesOf(output.subarray(PREFACE.length));
      assert.ok(first.settings?.some(([id, value]) => id === SETTING.ENABLE_PUSH && value === 0));
      assert.equal(second.type, WINDOW_UPDATE);
      const [settingsFrame] = sent(open('downstream', http2Options({ EXTENDED_CONNECT: 1 })));
      assert.deepEqual(settingsFrame.settings, [
        [SETTING.HEADER_TABLE_SIZE, 4096],
        [SETTING.INITIAL_WINDOW_SIZE, 262144],
        [SETTING.MAX_FRAME_SIZE, 16384],
        [SETTING.MAX_HEADER_LIST_SIZE, 61440],
        [SETTING.MAX_CONCURRENT_STREAMS, 100],
        [SETTING.ENABLE_CONNECT_PROTOCOL, 1],
      ]);
      assert.equal(OPTION_DEFAULTS.length, http2Options().length);
    });

    for (const [title, input, offset] of [
      ['another method', Buffer.from('GET / HTTP/1.1\r\n'), 0],
      ['a preface with a wrong byte', Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\rX'), 23],
      ['a frame before SETTINGS', bytes(PREFACE, ping(1, 2)), 3],
      ['an acknowledgement before SETTINGS', bytes(PREFACE, settingsAck()), 3],
    ] as const)
      test(`breaks on ${title}`, () => {
        const connection = open('downstream');
        assert.deepEqual(connection.receive(input).at(-1), { kind: 'FAULT', error: STREAM_ERROR.PROTOCOL_ERROR, fault: 'BAD_PREFACE', offset });
        const frame = sent(connection).at(-1);
        assert.deepEqual(
          [frame?.type, frame?.error, Buffer.from(frame?.content ?? []).toString('latin1')],
          [GOAWAY, STREAM_ERROR.PROTOCOL_ERROR, 'BAD_PREFACE'],
        );
        assert.deepEqual(connection.receive(ping(1, 2)), []);
      });

    test('an exchange: request with body and trailers, response with 1xx, body and trailers', () => {
      const connection = server();
      const seen = connection.receive(
        bytes(headers(1, [...POST, ['content-length', '5']], false), data(1, 'hel'), data(1, 'lo'), headers(1, [['x-sum', '7']])),
      );
      assert.deepEqual(kinds(joined(seen)), ['HEAD', 'DATA', 'TRAILERS']);
      assert.deepEqual(seen[0].lines, [
        ['host', 'a.example'],
        ['content-length', '5'],
      ]);
      assert.ok(connection.respond(1, undefined, statusEdits(103), AS_IS, false));
      assert.ok(answer(connection, 1, false));
      assert.equal(connection.data(1, Buffer.from('done'), false), 4);
      assert.ok(connection.trailers(1, Buffer.from('grpc-status: 0\r\n')));
      assert.equal(answer(connection, 1), false, 'the stream has said its end');
      assert.deepEqual(
        sent(connection).map(({ type, flags }) => [type, flags]),
        [
          [HEADERS, END_HEADERS],
          [HEADERS, END_HEADERS],
          [DATA, 0],
          [HEADERS, END_HEADERS | END_STREAM],
        ],
      );
      assert.equal(connection.state().open, 0);
    });

    test('a client sends a request and reads the response', () => {
      const connection = client();
      assert.equal(get(connection, false), 1);
      assert.equal(connection.data(1, Buffer.from('abc'), true), 3);
      const seen = connection.receive(bytes(headers(1, [[':status', '100']], false), headers(1, OK, false), data(1, 'x', true)));
      assert.deepEqual(
        seen.map(({ kind, start, ends }) => [kind, start, ends]),
        [
          ['HEAD', '100', false],
          ['HEAD', '200', false],
          ['DATA', undefined, true],
        ],
      );
      assert.equal(get(connection), 3);
    });

    const good = headers(1, GET);
    const faults: [title: string, input: Uint8Array, fault: string, offset?: number][] = [
      ['a frame larger than announced', raw(DATA, 0, 1, new Uint8Array(16385)), 'FRAME_TOO_LARGE', 0],
      ['DATA on stream 0', raw(DATA, 0, 0), 'BAD_STREAM_ID', 5],
      ['HEADERS on stream 0', raw(HEADERS, END_HEADERS, 0), 'BAD_STREAM_ID', 5],
      ['PRIORITY on stream 0', raw(PRIORITY, 0, 0, [0, 0, 0, 0, 1]), 'BAD_STREAM_ID', 5],
      ['RST_STREAM on stream 0', raw(RST_STREAM, 0, 0, [0, 0, 0, 0]), 'BAD_STREAM_ID', 5],
      ['SETTINGS on a stream', raw(SETTINGS, 0, 1), 'BAD_STREAM_ID', 5],
      ['PING on a stream', raw(PING, 0, 1, new Uint8Array(8)), 'BAD_STREAM_ID', 5],
      ['GOAWAY on a stream', raw(GOAWAY, 0, 1, new Uint8Array(8)), 'BAD_STREAM_ID', 5],
      ['CONTINUATION on stream 0', raw(CONTINUATION, 0, 0), 'BAD_CONTINUATION', 3],
      ['a PING whose length is not 8', raw(PING, 0, 0, new Uint8Array(7)), 'BAD_FRAME_SIZE', 0],
      ['RST_STREAM whose length is not 4', raw(RST_STREAM, 0, 1, new Uint8Array(5)), 'BAD_FRAME_SIZE', 0],
      ['SETTINGS whose length is no multiple of 6', raw(SETTINGS, 0, 0, new Uint8Array(7)), 'BAD_FRAME_SIZE', 0],
      ['an acknowledgement with payload', raw(SETTINGS, ACK, 0, new Uint8Array(6)), 'BAD_FRAME_SIZE', 0],
      ['WINDOW_UPDATE whose length is not 4', raw(WINDOW_UPDATE, 0, 0, new Uint8Array(3)), 'BAD_FRAME_SIZE', 0],
      ['GOAWAY that is too short', raw(GOAWAY, 0, 0, new Uint8Array(7)), 'BAD_FRAME_SIZE', 0],
      ['PRIORITY of a wrong length on an idle stream', raw(PRIORITY, 0, 1, new Uint8Array(4)), 'BAD_FRAME_SIZE', 0],
      ['HEADERS too short for its priority', raw(HEADERS, 0x20 | END_HEADERS, 1, new Uint8Array(4)), 'BAD_FRAME_SIZE', 0],
      ['DATA with more padding than payload', bytes(good, raw(DATA, PADDED, 1, [2, 0])), 'BAD_PADDING', 9],
      ['HEADERS with more padding than payload', raw(HEADERS, PADDED | END_HEADERS, 1, [2, 0]), 'BAD_PADDING', 9],
      ['PUSH_PROMISE', raw(PUSH_PROMISE, END_HEADERS, 1, [0, 0, 0, 2]), 'UNEXPECTED_PUSH', 3],
      ['a frame inside a field block', bytes(raw(HEADERS, 0, 1, [0x82]), ping(1, 1)), 'BAD_CONTINUATION', 3],
      ['an unknown frame inside a field block', bytes(raw(HEADERS, 0, 1, [0x82]), raw(0x16, 0, 0)), 'BAD_CONTINUATION', 3],
      ['CONTINUATION of another stream', bytes(raw(HEADERS, 0, 1, [0x82]), raw(CONTINUATION, END_HEADERS, 3)), 'BAD_CONTINUATION', 5],
      ['CONTINUATION after END_HEADERS', bytes(good, raw(CONTINUATION, END_HEADERS, 1)), 'BAD_CONTINUATION', 3],
      [
        'too many CONTINUATION frames',
        bytes(raw(HEADERS, 0, 1, [0x82]), ...Array.from({ length: 9 }, () => raw(CONTINUATION, 0, 1, [0x82]))),
        'TOO_MANY_CONTINUATIONS',
        3,
      ],
      [
        'a field block that is too large',
        bytes(raw(HEADERS, 0, 1, new Uint8Array(16384)), ...Array.from({ length: 4 }, () => raw(CONTINUATION, 0, 1, new Uint8Array(16384)))),
        'BLOCK_TOO_LARGE',
        0,
      ],
      ['a broken field block', raw(HEADERS, END_HEADERS, 1, [0x82, 0x80]), 'BAD_INDEX', 1],
      ['an even stream', headers(2, GET), 'BAD_STREAM_ID', 5],
      ['a stream below one that was used', bytes(headers(5, GET), headers(3, GET)), 'BAD_STREAM_ID', 5],
      ['DATA on an idle stream', data(1, 'x'), 'IDLE_STREAM', 5],
      ['RST_STREAM on an idle stream', rst(1), 'IDLE_STREAM', 5],
      ['WINDOW_UPDATE on an idle stream', windowUpdate(1, 1), 'IDLE_STREAM', 5],
      ['WINDOW_UPDATE by 0 on the connection', windowUpdate(0, 0), 'ZERO_INCREMENT', 9],
      ['a connection window above 2^31 - 1', windowUpdate(0, 0x7fffffff), 'WINDOW_OVERFLOW', 9],
      ['ENABLE_PUSH of 2', settings([SETTING.ENABLE_PUSH, 2]), 'BAD_SETTING', 9],
      ['INITIAL_WINDOW_SIZE above 2^31 - 1', settings([SETTING.INITIAL_WINDOW_SIZE, 0x80000000]), 'BAD_WINDOW_SETTING', 9],
      [
        'INITIAL_WINDOW_SIZE that takes a window too far',
        bytes(headers(1, GET, false), windowUpdate(1, 0x7fff0000), settings([SETTING.INITIAL_WINDOW_SIZE, 0x7fffffff])),
        'BAD_WINDOW_SETTING',
        9,
      ],
      ['MAX_FRAME_SIZE below 16,384', settings([SETTING.MAX_FRAME_SIZE, 16383]), 'BAD_SETTING', 9],
      ['MAX_FRAME_SIZE above 2^24 - 1', settings([3, 1], [SETTING.MAX_FRAME_SIZE, 16777216]), 'BAD_SETTING', 15],
      ['ENABLE_CONNECT_PROTOCOL back to 0', settings([8, 1], [8, 0]), 'BAD_SETTING', 15],
      ['NO_RFC7540_PRIORITIES of 2', settings([9, 2]), 'BAD_SETTING', 9],
      ['33 settings in a frame', settings(...Array.from({ length: 33 }, (): [number, number] => [0x99, 1])), 'TOO_MANY_SETTINGS', 0],
      ['an acknowledgement of nothing', settingsAck(), 'UNEXPECTED_ACK', 4],
      ['a last stream that rises', bytes(goAway(1), goAway(3)), 'BAD_GOAWAY', 9],
    ];
    for (const [title, input, fault, offset] of faults)
      test(`breaks on ${title}`, () => {
        const event = server().receive(input).at(-1);
        assert.deepEqual([event?.kind, event?.fault, event?.offset], ['FAULT', fault, offset]);
      });

    test('HEADERS after both sides ended breaks the connection', () => {
      const connection = server();
      connection.receive(good);
      answer(connection, 1);
      assert.equal(faultOf(connection.receive(good)), 'STREAM_CLOSED');
    });

    const resets: [title: string, input: Uint8Array, fault: string, error: number][] = [
      ['HEADERS on a half-closed stream', bytes(good, good), 'STREAM_CLOSED', STREAM_ERROR.STREAM_CLOSED],
      ['DATA on a half-closed stream', bytes(good, data(1, 'x')), 'STREAM_CLOSED', STREAM_ERROR.STREAM_CLOSED],
      ['WINDOW_UPDATE by 0', bytes(headers(1, GET, false), windowUpdate(1, 0)), 'ZERO_INCREMENT', STREAM_ERROR.PROTOCOL_ERROR],
      ['a stream window above 2^31 - 1', bytes(good, windowUpdate(1, 0x7fffffff)), 'WINDOW_OVERFLOW', STREAM_ERROR.FLOW_CONTROL_ERROR],
      ['PRIORITY of a wrong length', bytes(good, raw(PRIORITY, 0, 1, new Uint8Array(4))), 'BAD_FRAME_SIZE', STREAM_ERROR.FRAME_SIZE_ERROR],
      [
        'trailers that do not end the stream',
        bytes(headers(1, GET, false), headers(1, [['x', 'y']], false)),
        'BAD_TRAILERS',
        STREAM_ERROR.PROTOCOL_ERROR,
      ],
      ['a pseudo-header in trailers', bytes(headers(1, GET, false), headers(1, OK)), 'UNKNOWN_PSEUDO', STREAM_ERROR.PROTOCOL_ERROR],
      ['a malformed request', headers(1, [...GET, ['Connection', 'x']]), 'CONNECTION_FIELD', STREAM_ERROR.PROTOCOL_ERROR],
      [
        'more DATA than Content-Length',
        bytes(headers(1, [...POST, ['content-length', '1']], false), data(1, 'xx')),
        'CONTENT_LENGTH_MISMATCH',
        STREAM_ERROR.PROTOCOL_ERROR,
      ],
      [
        'less DATA than Content-Length',
        bytes(headers(1, [...POST, ['content-length', '3']], false), data(1, 'xx', true)),
        'CONTENT_LENGTH_MISMATCH',
        STREAM_ERROR.PROTOCOL_ERROR,
      ],
      ['Content-Length without DATA', headers(1, [...POST, ['content-length', '3']]), 'CONTENT_LENGTH_MISMATCH', STREAM_ERROR.PROTOCOL_ERROR],
      [
        'trailers before Content-Length is reached',
        bytes(headers(1, [...POST, ['content-length', '3']], false), headers(1, [['x', 'y']])),
        'CONTENT_LENGTH_MISMATCH',
        STREAM_ERROR.PROTOCOL_ERROR,
      ],
    ];
    for (const [title, input, fault, error] of resets)
      test(`resets the stream on ${title}, and serves the others`, () => {
        const connection = server();
        assert.equal(resetOf(connection.receive(input)), fault);
        const frame = sent(connection).at(-1);
        assert.deepEqual([frame?.type, frame?.stream, frame?.error], [RST_STREAM, 1, error]);
        assert.deepEqual(kinds(connection.receive(headers(3, GET))), ['HEAD']);
      });

    for (const [title, input, fault] of [
      ['a malformed response', headers(1, [['x', 'y']], false), 'MISSING_PSEUDO'],
      ['DATA before the response', data(1, 'x'), 'EARLY_DATA'],
      ['DATA after only 1xx', bytes(headers(1, [[':status', '100']], false), data(1, 'x')), 'EARLY_DATA'],
      ['an informational response that ends the stream', headers(1, [[':status', '103']]), 'BAD_TRAILERS'],
      ['101', headers(1, [[':status', '101']], false), 'BAD_STATUS'],
      ['a second final response', bytes(headers(1, OK, false), headers(1, OK, false)), 'BAD_TRAILERS'],
      ['a body that is too short', bytes(headers(1, [...OK, ['content-length', '2']], false), data(1, 'x', true)), 'CONTENT_LENGTH_MISMATCH'],
      [
        'a body of 304',
        bytes(
          headers(
            1,
            [
              [':status', '304'],
              ['content-length', '9'],
            ],
            false,
          ),
          data(1, 'x', true),
        ),
        'CONTENT_LENGTH_MISMATCH',
      ],
    ] as [string, Uint8Array, string][])
      test(`a client resets on ${title}`, () => {
        const connection = client();
        get(connection);
        assert.equal(resetOf(connection.receive(input)), fault);
        assert.equal(connection.state().open, 0);
      });

    test('a response to HEAD has a Content-Length and no body', () => {
      const connection = client();
      connection.request(requestHead([[':method', 'HEAD'], ...GET.slice(1)]), new Edits(), AS_IS, true);
      assert.deepEqual(kinds(connection.receive(headers(1, [...OK, ['content-length', '9']]))), ['HEAD']);
    });

    test('what was in flight when we reset a stream is tolerated, decoded and given back', () => {
      const connection = server({ CONNECTION_WINDOW: 65535 });
      connection.receive(headers(1, POST, false));
      connection.reset(1, STREAM_ERROR.CANCEL);
      connection.output();
      // The fields of the late block enter the table, or the next block would not be understood.
      const late = raw(HEADERS, END_HEADERS | END_STREAM, 1, [0x40, 1, 0x61, 1, 0x62]);
      assert.deepEqual(connection.receive(bytes(data(1, 'x'.repeat(16384)), data(1, 'x'.repeat(16384)), late)), []);
      assert.deepEqual(
        sent(connection).map(({ type, increment }) => [type, increment]),
        [[WINDOW_UPDATE, 32768]],
      );
      const next = connection.receive(raw(HEADERS, END_HEADERS | END_STREAM, 3, [0x82, 0x86, 0x84, 0xbe]));
      assert.deepEqual(next[0].lines, [['a', 'b']]);
    });

    test('a reset while DATA is on the way: the rest is thrown away', () => {
      const connection = server();
      const frame = data(1, 'hello');
      assert.deepEqual(kinds(connection.receive(bytes(headers(1, POST, false), frame.subarray(0, 11)))), ['HEAD', 'DATA']);
      connection.reset(1, STREAM_ERROR.CANCEL);
      assert.deepEqual(kinds(connection.receive(bytes(frame.subarray(11), headers(3, GET)))), ['HEAD']);
    });

    test('padding is thrown away and counted', () => {
      const connection = server({ STREAM_WINDOW: 16384, CONNECTION_WINDOW: 65535 });
      const padded = raw(DATA, PADDED, 1, [200, ...Buffer.from('hi'), ...new Uint8Array(200)]);
      const seen = connection.receive(bytes(headers(1, POST, false), ...Array.from({ length: 60 }, () => padded)));
      assert.equal(joined(seen)[1].text, 'hi'.repeat(60));
      assert.deepEqual(
        sent(connection).map(({ stream, increment }) => [stream, increment]),
        [[1, 41 * 201]],
      );
    });

    test('windows open with what is consumed, once half is used', () => {
      const connection = server({ STREAM_WINDOW: 65536, CONNECTION_WINDOW: 131072 });
      connection.receive(bytes(headers(1, POST, false), ...Array.from({ length: 4 }, () => data(1, 'x'.repeat(16384)))));
      connection.consume(1, 32767);
      assert.deepEqual(sent(connection), []);
      connection.consume(1, 1);
      connection.consume(1, 32768);
      assert.deepEqual(
        sent(connection).map(({ stream, increment }) => [stream, increment]),
        [
          [1, 32768],
          [0, 65536],
          [1, 32768],
        ],
      );
    });

    test('DATA beyond a window is a fault: of the stream, of the connection', () => {
      const small = server({ STREAM_WINDOW: 10 });
      assert.equal(resetOf(small.receive(bytes(headers(1, POST, false), data(1, 'x'.repeat(11))))), 'WINDOW_EXCEEDED');
      const connection = server({ STREAM_WINDOW: 1 << 20, CONNECTION_WINDOW: 65535 });
      const full = Array.from({ length: 4 }, () => data(1, 'x'.repeat(16384)));
      assert.equal(faultOf(connection.receive(bytes(headers(1, POST, false), ...full))), 'WINDOW_EXCEEDED');
    });

    test('sends within both windows and the frame size, and goes on when they open', () => {
      const connection = server();
      connection.receive(bytes(settings([SETTING.INITIAL_WINDOW_SIZE, 20000]), headers(1, GET)));
      answer(connection, 1, false);
      connection.output();
      const body = Buffer.alloc(30000, 'x');
      assert.equal(connection.data(1, body, true), 20000);
      assert.deepEqual(
        sent(connection).map(({ length, flags }) => [length, flags]),
        [
          [16384, 0],
          [3616, 0],
        ],
      );
      assert.equal(connection.sendable(1), 0);
      assert.equal(connection.data(1, body.subarray(20000), true), 0);
      assert.deepEqual(connection.receive(windowUpdate(1, 5000)), [{ kind: 'WINDOW', stream: 1 }]);
      assert.equal(connection.data(1, body.subarray(20000), true), 5000);
      // A change of the setting may make a window negative.
      connection.receive(settings([SETTING.INITIAL_WINDOW_SIZE, 0]));
      assert.equal(connection.sendable(1), 0);
      assert.deepEqual(connection.receive(windowUpdate(1, 20000)), []);
      assert.deepEqual(connection.receive(windowUpdate(1, 5000)), [{ kind: 'WINDOW', stream: 1 }]);
      assert.equal(connection.data(1, body.subarray(25000), true), 5000);
      assert.equal(sent(connection).at(-1)?.flags, END_STREAM);
      assert.equal(connection.state().open, 0);
    });

    test('an empty END_STREAM needs no window', () => {
      const connection = server();
      connection.receive(bytes(settings([SETTING.INITIAL_WINDOW_SIZE, 0]), headers(1, GET)));
      answer(connection, 1, false);
      connection.output();
      assert.equal(connection.data(1, new Uint8Array(0), true), 0);
      assert.deepEqual(
        sent(connection).map(({ length, flags }) => [length, flags]),
        [[0, END_STREAM]],
      );
      assert.equal(connection.data(1, new Uint8Array(0), true), -1);
    });

    test('a large head goes out in HEADERS and CONTINUATION', () => {
      const connection = server();
      connection.receive(headers(1, GET));
      const edits = statusEdits(200);
      for (let i = 0; i < 5; i++) edits.append(`x-${i}`, '\x7f'.repeat(5000));
      assert.ok(connection.respond(1, undefined, edits, AS_IS, true));
      assert.deepEqual(
        sent(connection).map(({ type, flags }) => [type, flags]),
        [
          [HEADERS, END_STREAM],
          [CONTINUATION, END_HEADERS],
        ],
      );
    });

    test('answers PING and SETTINGS, gives PING acknowledgements to the owner', () => {
      const connection = server();
      assert.deepEqual(kinds(connection.receive(bytes(ping(1, 2), settings([SETTING.HEADER_TABLE_SIZE, 0])))), ['SETTINGS']);
      assert.deepEqual(
        sent(connection).map(({ type, flags }) => [type, flags]),
        [
          [PING, ACK],
          [SETTINGS, ACK],
        ],
      );
      assert.deepEqual(connection.receive(ping(3, 4, ACK)), [{ kind: 'PING_ACK', low: 3, high: 4 }]);
    });

    test('ignores PRIORITY, unknown frames, unknown settings and unknown flags', () => {
      const input = bytes(
        raw(PRIORITY, 0, 1, [0, 0, 0, 1, 9]),
        raw(0x16, 0xff, 7, [1]),
        settings([0x99, 5]),
        raw(PING, 0xf0, 0, new Uint8Array(8)),
        headers(1, GET),
      );
      assert.deepEqual(kinds(server().receive(input)), ['SETTINGS', 'HEAD']);
    });

    test('streams beyond the limit are refused, and their fields still decoded', () => {
      const connection = server({ MAX_CONCURRENT_STREAMS: 1 });
      const adding = raw(HEADERS, END_HEADERS | END_STREAM, 3, [0x82, 0x86, 0x84, 0x40, 1, 0x61, 1, 0x62]);
      assert.deepEqual(kinds(connection.receive(bytes(headers(1, GET), adding))), ['HEAD']);
      assert.deepEqual(
        sent(connection).map(({ type, stream, error }) => [type, stream, error]),
        [[RST_STREAM, 3, STREAM_ERROR.REFUSED_STREAM]],
      );
      answer(connection, 1);
      assert.deepEqual(connection.receive(raw(HEADERS, END_HEADERS | END_STREAM, 5, [0x82, 0x86, 0x84, 0xbe]))[0].lines, [['a', 'b']]);
    });

    test('a stream that the peer has reset counts until its owner releases it', () => {
      const connection = server({ MAX_CONCURRENT_STREAMS: 1 });
      assert.deepEqual(connection.receive(bytes(headers(1, GET), rst(1))).at(-1), { kind: 'RESET', stream: 1, error: 8, fault: null, offset: 0 });
      assert.deepEqual(connection.receive(headers(3, GET)), []);
      connection.release(1);
      assert.deepEqual(kinds(connection.receive(headers(5, GET))), ['HEAD']);
    });

    test("a client keeps to the peer's limit of streams and to its GOAWAY", () => {
      const connection = client();
      connection.receive(settings([SETTING.MAX_CONCURRENT_STREAMS, 2]));
      assert.deepEqual([get(connection), get(connection), get(connection)], [1, 3, 0]);
      assert.deepEqual(connection.receive(goAway(1, 0)), [{ kind: 'GOAWAY', last: 1, error: 0 }]);
      assert.deepEqual(connection.state(), { open: 1, canOpen: false, peerAllowsConnect: false, settingsDeadline: 0 });
      assert.deepEqual(kinds(connection.receive(headers(1, OK))), ['HEAD']);
    });

    test('a server goes away in two steps', () => {
      const connection = server();
      connection.receive(headers(1, GET));
      connection.drain();
      const [first, probe] = sent(connection);
      assert.deepEqual([first.lastStream, first.error, probe.type], [0x7fffffff, 0, PING]);
      // What the peer sent before it knew is still served.
      assert.deepEqual(kinds(connection.receive(headers(3, GET))), ['HEAD']);
      assert.deepEqual(connection.receive(raw(PING, ACK, 0, probe.content)), []);
      assert.deepEqual(
        sent(connection).map(({ type, lastStream }) => [type, lastStream]),
        [[GOAWAY, 3]],
      );
      assert.deepEqual(connection.receive(bytes(headers(5, POST, false), data(5, 'late', true), rst(5))), []);
      assert.ok(answer(connection, 3));
    });

    test('SETTINGS that are never acknowledged break the connection at the deadline', () => {
      const connection = open('downstream', http2Options({ SETTINGS_TIMEOUT_MS: 100 }));
      connection.receive(bytes(PREFACE, settings()));
      assert.equal(connection.state().settingsDeadline, 100);
      assert.equal(connection.expire(99).kind, 'MORE');
      assert.equal(connection.expire(100).fault, 'SETTINGS_TIMEOUT');
      assert.equal(server().expire(1e9).kind, 'MORE');
    });

    test('our window counts from its acknowledgement on', () => {
      const connection = open('downstream', http2Options({ STREAM_WINDOW: 10 }));
      connection.receive(bytes(PREFACE, settings(), headers(1, POST, false)));
      assert.deepEqual(kinds(connection.receive(data(1, 'x'.repeat(1000)))), ['DATA']);
      assert.equal(resetOf(connection.receive(bytes(settingsAck(), data(1, 'x')))), 'WINDOW_EXCEEDED');
    });

    test('a head beyond the limits is shown with its answer, and its body thrown away', () => {
      const connection = server({ MAX_HEADERS: 2 });
      const seen = connection.receive(bytes(headers(1, [...POST, ['a', '1'], ['b', '2'], ['c', '3']], false), data(1, 'body', true)));
      assert.deepEqual(seen, [
        { kind: 'BAD_HEAD', stream: 1, ends: false, error: 11, fault: 'TOO_MANY_HEADERS', offset: seen[0].offset, status: 431 },
      ]);
      assert.ok(connection.respond(1, undefined, statusEdits(431), AS_IS, true));
      assert.equal(connection.state().open, 0);
    });

    test('extended CONNECT where it is offered', () => {
      const fields: [string, string][] = [
        [':method', 'CONNECT'],
        [':scheme', 'http'],
        [':path', '/chat'],
        [':authority', 'a'],
        [':protocol', 'websocket'],
      ];
      assert.equal(resetOf(server().receive(headers(1, fields, false))), 'UNKNOWN_PSEUDO');
      assert.equal(server({ EXTENDED_CONNECT: 1 }).receive(headers(1, fields, false))[0].start, 'CONNECT /chat');
      const upstream = client();
      assert.equal(upstream.state().peerAllowsConnect, false);
      upstream.receive(settings([SETTING.ENABLE_CONNECT_PROTOCOL, 1]));
      assert.equal(upstream.state().peerAllowsConnect, true);
    });

    test('CONNECT carries DATA whatever its Content-Length says', () => {
      const connection = server();
      const seen = connection.receive(
        bytes(
          headers(
            1,
            [
              [':method', 'CONNECT'],
              [':authority', 'a:1'],
              ['content-length', '1'],
            ],
            false,
          ),
          data(1, 'tunnel'),
        ),
      );
      assert.deepEqual(kinds(seen), ['HEAD', 'DATA']);
    });
  });

  describe(`${name} connection under attack`, () => {
    const many = (count: number, make: (index: number) => Uint8Array): Uint8Array =>
      bytes(...Array.from({ length: count }, (_, index) => make(index)));
    const calm = (events: readonly Seen[]): unknown => {
      const last = events.at(-1);
      assert.deepEqual([last?.kind, last?.error], ['FAULT', STREAM_ERROR.ENHANCE_YOUR_CALM]);
      return last?.fault;
    };
    /** Handles every event as a proxy does, which releases a reset stream at once. */
    const serve = (connection: Tested, count: number, make: (stream: number) => Uint8Array, answers = false): Seen[] => {
      const all: Seen[] = [];
      for (let i = 0; i < count && all.at(-1)?.kind !== 'FAULT'; i++) {
        const stream = 2 * i + 1;
        const events = connection.receive(make(stream));
        for (const event of events) if (event.kind === 'RESET') connection.release(Number(event.stream));
        if (answers) answer(connection, stream);
        connection.output();
        connection.flushed();
        all.push(...events);
      }
      return all;
    };

    test('rapid reset: 200 streams at once, then as many as 30 s give back', () => {
      const attack = (stream: number) => bytes(headers(stream, GET), rst(stream));
      assert.equal(calm(serve(server(), 201, attack)), 'RESET_FLOOD');
      assert.notEqual(serve(server(), 200, attack).at(-1)?.kind, 'FAULT');
      const slow = server();
      serve(slow, 200, attack);
      slow.now = 30000;
      assert.notEqual(slow.receive(attack(1001)).at(-1)?.kind, 'FAULT');
    });
    test('resets are fine where as many streams come to their end', () => {
      const mixed = (stream: number) => (stream % 4 === 1 ? bytes(headers(stream, GET), rst(stream)) : headers(stream, GET));
      assert.notEqual(serve(server(), 2000, mixed, true).at(-1)?.kind, 'FAULT');
    });
    for (const [title, provoke] of [
      ['WINDOW_UPDATE by 0', (stream: number) => windowUpdate(stream, 0)],
      ['WINDOW_UPDATE that overflows', (stream: number) => windowUpdate(stream, 0x7fffffff)],
      ['DATA after END_STREAM', (stream: number) => data(stream, 'x')],
      ['HEADERS after END_STREAM', (stream: number) => headers(stream, GET)],
      ['PRIORITY of a wrong length', (stream: number) => raw(PRIORITY, 0, stream, [0])],
    ] as const)
      test(`MadeYouReset with ${title}`, () =>
        assert.equal(calm(serve(server(), 300, (stream) => bytes(headers(stream, GET), provoke(stream)))), 'RESET_FLOOD'));
    test('malformed requests count as resets', () =>
      assert.equal(calm(serve(server(), 300, (stream) => headers(stream, GET.slice(1)))), 'RESET_FLOOD'));

    test('empty DATA frames', () =>
      assert.equal(
        calm(
          server().receive(
            bytes(
              headers(1, POST, false),
              many(3, () => data(1, '')),
            ),
          ),
        ),
        'EMPTY_FRAME_FLOOD',
      ));
    test('empty CONTINUATION frames', () =>
      assert.equal(
        calm(
          server().receive(
            bytes(
              raw(HEADERS, 0, 1),
              many(3, () => raw(CONTINUATION, 0, 1)),
            ),
          ),
        ),
        'EMPTY_FRAME_FLOOD',
      ));
    test('PING, SETTINGS and unknown frames', () => {
      for (const make of [() => ping(1, 1), () => settings(), () => raw(0x20, 0, 0), () => goAway(0)]) {
        const connection = server();
        const seen: Seen[] = [];
        for (let i = 0; i < 1001 && seen.at(-1)?.kind !== 'FAULT'; i++) {
          seen.push(...connection.receive(make()));
          connection.flushed();
        }
        assert.equal(calm(seen), 'CONTROL_FLOOD');
      }
    });
    test('PING is fine with DATA between', () => {
      const connection = server({ STREAM_WINDOW: 1 << 20 });
      connection.receive(headers(1, POST, false));
      for (let i = 0; i < 3000; i++) {
        assert.deepEqual(kinds(connection.receive(bytes(data(1, 'x'), ping(1, 1)))), ['DATA']);
        connection.flushed();
      }
    });
    test('answers that the peer does not read', () =>
      assert.equal(calm(server({ CONTROLS_BURST: 100000, MAX_QUEUED_CONTROLS: 50 }).receive(many(60, () => ping(1, 1)))), 'QUEUE_FLOOD'));
    test('WINDOW_UPDATE without DATA to explain it', () =>
      assert.equal(
        calm(
          server().receive(
            bytes(
              headers(1, GET),
              many(8, () => windowUpdate(1, 1)),
            ),
          ),
        ),
        'WINDOW_UPDATE_FLOOD',
      ));
    test('PRIORITY', () => assert.equal(calm(server().receive(many(101, () => raw(PRIORITY, 0, 1, [0, 0, 0, 0, 1])))), 'PRIORITY_FLOOD'));
  });
}
