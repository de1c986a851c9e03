import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CodecError } from '../../src/base/errors.js';
import type { RequestContext } from '../../src/protocol/framing.js';
import { FAULTS } from './faults.js';
import { http1 } from './index.js';
import { bytesOf, LIMITS, textOf } from './test-support.js';

const GET: RequestContext = { isHead: false, isConnect: false, isUpgrade: false, isHttp11: true };

/** Runs a session over `text`, `step` bytes at a time, and writes down what it gives. Consumed bytes are thrown away, as an engine does. */
function events(side: 'downstream' | 'upstream', text: string, step: number, requests: readonly RequestContext[] = []): string[] {
  const session = http1.open(side, LIMITS);
  const seen: string[] = [];
  let unread = new Uint8Array(0);
  let messages = 0;
  let body = '';
  for (let at = 0; at < text.length || at === 0; at += step) {
    const ended = at + step >= text.length;
    unread = Uint8Array.from([...unread, ...bytesOf(text.slice(at, at + step))]);
    // A place in a larger array, so that offsets that forget where the input starts show.
    const input = { bytes: Uint8Array.from([1, 2, 3, ...unread]), offset: 3, ended };
    for (let more = true; more; ) {
      const found = session.next(input);
      switch (found.kind) {
        case 'more':
          more = false;
          break;
        case 'head':
          seen.push(`head ${found.head.isResponse ? found.head.status : `${found.head.method} ${found.head.path}`} ${found.head.lines().join()}`);
          seen.push(`framing ${session.startBody(requests[messages])}${session.reusable ? ' reusable' : ''}`);
          messages++;
          break;
        case 'body':
          body += textOf(found.bytes);
          break;
        case 'end':
          seen.push(`end ${body}${found.trailers.length > 0 ? ` ${textOf(found.trailers)}` : ''}`);
          body = '';
      }
    }
    unread = input.bytes.slice(input.offset);
  }
  seen.push(`mid-message ${session.midMessage}`);
  return seen;
}

test('gives pipelined requests one after the other, however the bytes are split', () => {
  const text =
    'GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: b\r\nContent-Length: 5\r\n\r\nhello\r\nPOST /3 HTTP/1.1\r\nHost: c\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nA: b\r\n\r\nGET /4 HTTP/1.0\r\n\r\nGE';
  const expected = [
    'head GET /1 Host,a',
    'framing none reusable',
    'end ',
    'head POST /2 Host,b,Content-Length,5',
    'framing length reusable',
    'end hello',
    'head POST /3 Host,c,Transfer-Encoding,chunked',
    'framing chunked reusable',
    'end abc A: b\r\n',
    'head GET /4 ',
    'framing none',
    'end ',
    'mid-message true',
  ];
  for (const step of [1, 2, 7, 50, text.length]) assert.deepEqual(events('downstream', text, step), expected, `${step} at a time`);
});

test('gives interim responses and the final one, whose body ends with the connection', () => {
  const text = 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\nLink: y\r\n\r\nHTTP/1.1 200 OK\r\n\r\nall of it';
  const expected = [
    'head 100 ',
    'framing none reusable',
    'end ',
    'head 103 Link,y',
    'framing none reusable',
    'end ',
    'head 200 ',
    'framing until-close',
    'end all of it',
    'mid-message false',
  ];
  for (const step of [1, 3, text.length]) assert.deepEqual(events('upstream', text, step, [GET, GET, GET]), expected, `${step} at a time`);
});

test('an answer to HEAD has no body; a tunnel makes the connection unfit for reuse', () => {
  const head = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n';
  assert.deepEqual(events('upstream', head, 9, [{ ...GET, isHead: true }]), [
    'head 200 Content-Length,5',
    'framing none reusable',
    'end ',
    'mid-message false',
  ]);
  assert.deepEqual(events('upstream', head, 9, [{ ...GET, isConnect: true }])[1], 'framing none');
  assert.deepEqual(
    events('upstream', 'HTTP/1.1 101 x\r\nUpgrade: y\r\nConnection: upgrade\r\n\r\n', 9, [{ ...GET, isUpgrade: true }])[1],
    'framing none',
  );
});

test('empty lines before a request are not the middle of a message', () => {
  assert.deepEqual(events('downstream', '\r\n', 1), ['mid-message false']);
  assert.deepEqual(events('downstream', 'G', 1), ['mid-message true']);
});

test('throws the same fault again when asked again', () => {
  const session = http1.open('downstream', LIMITS);
  const input = { bytes: bytesOf('GET / HTTP/1.1\nHost'), offset: 0, ended: false };
  const isFault = (error: unknown) => error instanceof CodecError && error.code === 'BARE_LF' && error.offset === 14;
  assert.throws(() => session.next(input), isFault);
  assert.throws(() => session.next(input), isFault);
});

test('insists on startBody after a head', () => {
  const session = http1.open('downstream', LIMITS);
  assert.throws(() => session.startBody(), /without a head/);
  const input = { bytes: bytesOf('GET / HTTP/1.1\r\nHost: a\r\n\r\n'), offset: 0, ended: false };
  assert.equal(session.next(input).kind, 'head');
  assert.throws(() => session.next(input), /startBody/);
});

test('names the status of every fault: that of the table for a request, 502 for a response', () => {
  for (const [code, { status }] of Object.entries(FAULTS)) {
    assert.equal(http1.statusOf(code, 'downstream'), status);
    assert.equal(http1.statusOf(code, 'upstream'), 502);
  }
  assert.equal(http1.statusOf('NO_SUCH_CODE', 'downstream'), 400);
});
