/**
 * llhttp's own test cases (MIT, github.com/nodejs/llhttp, test/), read from ../shared beside the repository. What llhttp rejects must be rejected here, and so must
 * what it accepts with a lenient flag only; what it accepts must be accepted with the same messages and as many body bytes. The tables below name
 * every case that differs, with the reason.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { packageRoot } from '../../src/base/backend.js';
import { CodecError } from '../../src/base/errors.js';
import type { Input } from '../../src/protocol/framing.js';
import { HEAD_FLAG } from '../../src/protocol/head-layout.js';
import type { FaultCode } from './faults.js';
import { http1 } from './index.js';
import { LIMITS } from './test-support.js';

const OTHER_PROTOCOL = 'RTSP and ICE are no HTTP';
const FRAGMENT = 'a request target has no fragment (RFC 9112 §3.2)';
const EMPTY_LINE = 'only a server skips empty lines (RFC 9112 §2.2); from an upstream they are bytes that nobody asked for';
const CODINGS = 'only a single `chunked` is understood; reading anything else until close would hide a smuggled response';

/** Accepted by llhttp, rejected here: fault and reason by `file: title`. */
const STRICTER: Readonly<Record<string, readonly [code: FaultCode, reason: string]>> = {
  'request/method.md: CONNECT with body': [
    'CONNECT_WITH_BODY',
    'what follows CONNECT is the tunnel (RFC 9110 §9.3.6); a length there invites smuggling',
  ],
  'request/method.md: M-SEARCH request': ['BAD_TARGET', 'the asterisk form is for OPTIONS only (RFC 9112 §3.2.4)'],
  'request/method.md: SOURCE request with ICE': ['BAD_VERSION', OTHER_PROTOCOL],
  'request/method.md: OPTIONS request with RTSP': ['BAD_VERSION', OTHER_PROTOCOL],
  'request/method.md: ANNOUNCE request with RTSP': ['BAD_VERSION', OTHER_PROTOCOL],
  'request/sample.md: No HTTP version': ['BAD_REQUEST_LINE', 'HTTP/0.9 is not spoken'],
  'request/transfer-encoding.md: POST with `chunked` as last transfer-encoding': ['BAD_TARGET', FRAGMENT],
  'request/transfer-encoding.md: POST with `chunked` as last transfer-encoding (multiple headers)': ['BAD_TARGET', FRAGMENT],
  'request/uri.md: Fragment in URI': ['BAD_TARGET', FRAGMENT],
  'request/uri.md: `host:port` and basic auth': ['BAD_TARGET', 'user information in a URI is an error (RFC 9110 §4.2.4)'],
  'response/connection.md: HTTP 101 response with Upgrade and Transfer-Encoding header': [
    'TRANSFER_ENCODING_WITHOUT_BODY',
    'a 1xx must not have it (RFC 9112 §6.1)',
  ],
  'response/connection.md: HTTP 304 with Content-Length': ['BAD_VERSION', EMPTY_LINE],
  'response/connection.md: HTTP 100 first, then 400': ['BAD_VERSION', EMPTY_LINE],
  'response/pipelining.md: Should parse multiple events': ['BAD_VERSION', EMPTY_LINE],
  'response/sample.md: Response starting with CRLF': ['BAD_VERSION', EMPTY_LINE],
  'response/sample.md: RTSP response': ['BAD_VERSION', OTHER_PROTOCOL],
  'response/sample.md: ICE response': ['BAD_VERSION', OTHER_PROTOCOL],
  'response/sample.md: HTTP version 0.9': ['VERSION_NOT_SUPPORTED', 'HTTP/0.9 is not spoken'],
  'response/transfer-encoding.md: `chunked` before other transfer-encoding': ['BAD_TRANSFER_ENCODING', CODINGS],
  'response/transfer-encoding.md: multiple transfer-encoding where chunked is not the last one': ['DUPLICATE_TRANSFER_ENCODING', CODINGS],
  'response/transfer-encoding.md: `chunkedchunked` transfer-encoding does not enable chunked enconding': ['BAD_TRANSFER_ENCODING', CODINGS],
};

/** Rejected by llhttp, accepted here: the reason by `file: title`. */
const LOOSER: Readonly<Record<string, string>> = {
  'request/invalid.md: HTTP protocol and ANNOUNCE method': 'any token is a method (RFC 9110 §9.1); a proxy forwards those it does not know',
  'request/invalid.md: Invalid method': 'any token is a method (RFC 9110 §9.1); a proxy forwards those it does not know',
};

/** Accepted by both, with other messages: what is seen here, and the reason. */
const DIFFERENT: Readonly<Record<string, readonly [seen: Outcome, reason: string]>> = {
  'request/content-length.md: Content-Length reset when no body is received': [
    { fault: undefined, messages: 0, bodyBytes: 43 },
    'the case tells llhttp to take no body; a request cannot say so',
  ],
};

interface Case {
  /** `request/uri.md: Title`, with `#2` and so on where a file has the title twice. */
  readonly name: string;
  readonly type: string;
  /** llhttp is told that there is no body: for a response, as after a HEAD request. */
  readonly skipBody: boolean;
  readonly bytes: Uint8Array;
  readonly log: string;
}

interface Outcome {
  readonly fault: string | undefined;
  readonly messages: number;
  readonly bodyBytes: number;
}

const folder = join(packageRoot(), '../shared/conformance/llhttp/test');

/** How llhttp's own runner turns the text of a case into bytes (its test/md-test.ts). */
function unescape(text: string): Uint8Array {
  const plain = text
    .replace(/\n$/, '')
    .replace(/\\(\r\n|\r|\n)/g, '')
    .replace(/\r\n|\r|\n/g, '\r\n')
    .replace(/\\r/g, '\r')
    .replace(/\\n/g, '\n')
    .replace(/\\t/g, '\t')
    .replace(/\\f/g, '\f')
    .replace(/\\x([0-9a-fA-F]+)/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Uint8Array.from(Buffer.from(plain, 'latin1'));
}

function readCases(): Case[] {
  const cases: Case[] = [];
  const names = new Map<string, number>();
  for (const kind of ['request', 'response']) {
    for (const file of readdirSync(join(folder, kind)).filter((one) => one.endsWith('.md'))) {
      let title = '';
      let meta: { type: string; skipBody?: boolean } = { type: '' };
      let input: string | undefined;
      const blocks = readFileSync(join(folder, kind, file), 'utf8').matchAll(
        /^#+ +(.*)$|<!-- *meta=(\{.*?\}) *-->|^```(http|log)\n([\s\S]*?)^```$/gm,
      );
      for (const [, heading, options, block, text] of blocks) {
        if (heading !== undefined) title = heading;
        else if (options !== undefined) meta = JSON.parse(options) as typeof meta;
        else if (block === 'http') input = text;
        else if (input !== undefined) {
          const base = `${kind}/${file}: ${title}`;
          const count = (names.get(base) ?? 0) + 1;
          names.set(base, count);
          cases.push({
            name: count === 1 ? base : `${base} #${count}`,
            type: meta.type,
            skipBody: meta.skipBody === true,
            bytes: unescape(input),
            log: text,
          });
          input = undefined;
        }
      }
    }
  }
  return cases;
}

/**
 * Runs a session over all of `bytes`, followed by FIN. What follows a message that ends its connection is not read by any engine: it counts as
 * rejected. `at`: where the last message begins.
 */
function run(bytes: Uint8Array, { isResponse, isHead, stopAtUpgrade }: RunOptions): Outcome & { readonly at: number } {
  const session = http1.open(isResponse ? 'upstream' : 'downstream', LIMITS);
  const input: Input = { bytes, offset: 0, ended: true };
  let [messages, bodyBytes, at] = [0, 0, 0];
  let isUpgrade = false;
  let isUntilClose = false;
  try {
    while (true) {
      const step = session.next(input);
      if (step.kind === 'more') return { fault: undefined, messages, bodyBytes, at };
      if (step.kind === 'body') bodyBytes += step.bytes.length;
      if (step.kind === 'end') {
        // llhttp's runner sends no FIN, which would end this one.
        if (!isUntilClose) messages++;
        if (isUntilClose || (stopAtUpgrade && isUpgrade)) return { fault: undefined, messages, bodyBytes, at };
        if (!session.reusable && input.offset < bytes.length) return { fault: 'BYTES_AFTER_CLOSE', messages, bodyBytes, at };
        at = input.offset;
      }
      if (step.kind === 'head') {
        isUntilClose = session.startBody({ isHead, isConnect: false, isUpgrade: false, isHttp11: true }) === 'until-close';
        isUpgrade = (step.head.flags & (HEAD_FLAG.UPGRADE | HEAD_FLAG.CONNECT)) !== 0;
      }
    }
  } catch (cause) {
    if (!(cause instanceof CodecError)) throw cause;
    return { fault: cause.code, messages, bodyBytes, at };
  }
}

interface RunOptions {
  readonly isResponse: boolean;
  readonly isHead: boolean;
  readonly stopAtUpgrade: boolean;
}

/** Most requests of the cases have no Host, which llhttp leaves to its user: each must be rejected here for that alone, and is given one. */
function runWithHosts(bytes: Uint8Array, options: RunOptions): Outcome {
  let given = bytes;
  for (let tries = 0; tries < 20; tries++) {
    const { at, ...outcome } = run(given, options);
    if (outcome.fault !== 'MISSING_HOST') return outcome;
    const line = Buffer.from(given).indexOf('HTTP/1.1\r\n', at) + 10;
    given = Uint8Array.from([...given.subarray(0, line), ...Buffer.from('Host: a\r\n'), ...given.subarray(line)]);
  }
  throw new Error('more than 20 requests without Host');
}

function expectation(one: Case) {
  const upgrade = /error code=2[12] /.test(one.log);
  const rejected = /error code=/.test(one.log) && !upgrade;
  const messages = one.log.match(/message complete/g)?.length ?? 0;
  const bodyBytes = [...one.log.matchAll(/len=(\d+) span\[body\]/g)].reduce((sum, [, length]) => sum + Number(length), 0);
  return { rejected, upgrade, messages, bodyBytes };
}

if (!existsSync(folder)) {
  test('llhttp: conformance cases', { skip: 'skipped: data not present' }, () => assert.fail());
  console.log('skipped: data not present');
} else {
  const cases = readCases();

  test('llhttp: all 251 cases are there, and the tables name cases that exist', () => {
    assert.equal(cases.length, 251);
    const names = new Set(cases.map(({ name }) => name));
    for (const name of [...Object.keys(STRICTER), ...Object.keys(LOOSER), ...Object.keys(DIFFERENT)]) assert.ok(names.has(name), name);
  });

  for (const one of cases) {
    const { name } = one;
    const expected = expectation(one);
    const isResponse = one.type.startsWith('response');
    const seen = (): Outcome => runWithHosts(one.bytes, { isResponse, isHead: isResponse && one.skipBody, stopAtUpgrade: expected.upgrade });
    if (one.type.includes('lenient') || expected.rejected) {
      const reason = LOOSER[name];
      test(`llhttp: ${name} ${reason === undefined ? 'is rejected' : `is accepted: ${reason}`}`, () => {
        assert.equal(seen().fault === undefined, reason !== undefined);
      });
    } else if (STRICTER[name] !== undefined) {
      const [code, reason] = STRICTER[name];
      test(`llhttp: ${name} is rejected: ${reason}`, () => {
        assert.equal(seen().fault, code);
      });
    } else {
      const [outcome, reason] = DIFFERENT[name] ?? [{ fault: undefined, messages: expected.messages, bodyBytes: expected.bodyBytes }, ''];
      test(`llhttp: ${name} gives ${reason === '' ? 'the same messages' : `other messages: ${reason}`}`, () => {
        assert.deepEqual(seen(), outcome);
      });
    }
  }
}
