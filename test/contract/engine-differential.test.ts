/**
 * Same bytes, however split, on either engine: same messages forwarded, same answers, same faults at the same offsets (DESIGN §2). Random streams of requests,
 * good and mutated, cut at random points, go through the mini proxy to an upstream that answers from a random script.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { http1 } from '../../codecs/http1/index.js';
import { CodecError } from '../../src/base/errors.js';
import type { Engine } from '../../src/network/engine.js';
import type { Head } from '../../src/protocol/head.js';
import { HEAD_FLAG } from '../../src/protocol/head-layout.js';
import { engines } from '../support/engines.js';
import { type MiniProxy, openMiniProxy } from '../support/mini-proxy.js';
import { connect, eventually, type Peer, Upstream } from '../support/peers.js';

const LIMITS = { maxHeadBytes: 61_440, maxHeaders: 100, maxTargetBytes: 61_440, acceptHttp10: true, underscores: 'allow' } as const;
const RUNS = 300;

/**
 * An answer of the upstream: its head, and what follows unless the request was a HEAD. `ends`: the upstream closes behind it, and says so where it can, as
 * else it would be a matter of timing whether the next request still finds it.
 */
interface Answer {
  readonly head: string;
  readonly body: string;
  readonly ends: boolean;
}
interface Script {
  readonly stream: string;
  readonly cuts: readonly number[];
  readonly answers: readonly Answer[];
}
interface Outcome {
  /** What the upstream got, message by message, chunk framing taken off. */
  readonly forwarded: readonly string[];
  /** What the client got. */
  readonly answered: readonly string[];
  /** Heads, faults with code and offset, refused commands and truncations. */
  readonly events: readonly string[];
}

// ---- generators ---------------------------------------------------------------------------------------------------------------------------

const name = fc.constantFrom('X-A', 'x-b', 'Accept', 'Cookie', 'Via', 'X-Long-Name-Of-A-Header', 'TE', 'Keep-Alive', 'Expect-CT', 'a_b');
const value = fc.constantFrom('', '1', 'a b', 'text/html; q=0.5', 'tab\there', 'x'.repeat(300), '\xe9\xff', '"quoted"');
const lines = fc.array(fc.tuple(name, value), { maxLength: 4 }).map((pairs) => pairs.map(([key, text]) => `${key}: ${text}\r\n`).join(''));
const data = fc
  .oneof(fc.string({ maxLength: 40 }), fc.constantFrom('x'.repeat(3000), '\r\n\r\n', 'GET / HTTP/1.1\r\n\r\n'))
  .map((text) => Buffer.from(text, 'utf8').toString('latin1'));
const chunks = fc
  .tuple(
    fc.array(
      data.filter((text) => text !== ''),
      { maxLength: 3 },
    ),
    fc.constantFrom('', 'X-T: 1\r\n', 'Content-Length: 1\r\nX-U: 2\r\n'),
    fc.constantFrom('', ';a=b', ';q="x;y"'),
  )
  .map(
    ([parts, trailers, extension]) => `${parts.map((part) => `${part.length.toString(16)}${extension}\r\n${part}\r\n`).join('')}0\r\n${trailers}\r\n`,
  );
const target = fc.constantFrom('/', '/a?b=c', '/%2e%2e/', 'http://other:8080/p', '/very/long/'.repeat(20), '*');
const requestLine = fc
  .tuple(fc.constantFrom('GET', 'POST', 'HEAD', 'DELETE', 'OPTIONS', 'BREW'), target, fc.constantFrom('1.1', '1.1', '1.1', '1.0'))
  .map(([method, where, version]) => `${method} ${where} HTTP/${version}\r\nHost: h\r\n`);
const connection = fc.constantFrom('', '', '', 'Connection: close\r\n', 'Connection: keep-alive, x-a\r\n');
const request = fc
  .tuple(
    requestLine,
    lines,
    connection,
    fc.oneof(
      fc.constant('\r\n'),
      data.map((body) => `Content-Length: ${body.length}\r\n\r\n${body}`),
      chunks.map((body) => `Transfer-Encoding: chunked\r\n\r\n${body}`),
    ),
  )
  .map((parts) => parts.join(''));
/** Changes one byte, drops one, doubles one, or cuts the stream off. */
const mutation = fc.record({
  kind: fc.constantFrom('none', 'none', 'change', 'drop', 'insert', 'cut'),
  at: fc.nat(),
  byte: fc.constantFrom('\0', '\r', '\n', ' ', ':', '\t', ';', '0', 'f', '\x7f', '\x80', ','),
});
const mutated = (text: string, { kind, at, byte }: { kind: string; at: number; byte: string }): string => {
  const where = text.length === 0 ? 0 : at % text.length;
  if (kind === 'change') return text.slice(0, where) + byte + text.slice(where + 1);
  if (kind === 'drop') return text.slice(0, where) + text.slice(where + 1);
  if (kind === 'insert') return text.slice(0, where) + byte + text.slice(where);
  return kind === 'cut' ? text.slice(0, where) : text;
};
const answer: fc.Arbitrary<Answer> = fc.oneof(
  fc.tuple(lines, data).map(([extra, body]) => ({ head: `HTTP/1.1 200 OK\r\n${extra}Content-Length: ${body.length}\r\n\r\n`, body, ends: false })),
  fc.tuple(lines, chunks).map(([extra, body]) => ({ head: `HTTP/1.1 201 Created\r\n${extra}Transfer-Encoding: chunked\r\n\r\n`, body, ends: false })),
  fc.constant({ head: 'HTTP/1.1 204 No Content\r\n\r\n', body: '', ends: false }),
  fc.constant({ head: 'HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 304 Not Modified\r\nETag: y\r\n\r\n', body: '', ends: false }),
  data.map((body) => ({ head: 'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n', body, ends: true })),
  data.map((body) => ({ head: `HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ${body.length + 1}\r\n\r\n`, body, ends: true })),
  fc
    .constantFrom(
      'HTTP/1.1 2x0 OK\r\n\r\n',
      'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n',
      'HTTP/1.1 200 OK\r\nBad Name: 1\r\n\r\n',
    )
    .map((head) => ({
      head,
      body: '',
      ends: true,
    })),
);
const script: fc.Arbitrary<Script> = fc
  .tuple(
    fc.array(request, { minLength: 1, maxLength: 3 }),
    mutation,
    fc.array(fc.nat(), { maxLength: 6 }),
    fc.array(answer, { minLength: 4, maxLength: 4 }),
  )
  .map(([requests, change, cuts, answers]) => ({ stream: mutated(requests.join(''), change), cuts, answers }))
  // A tunnel has no messages to compare.
  .filter(({ stream }) => !/CONNECT|upgrade/i.test(stream));

// ---- the machine under test ---------------------------------------------------------------------------------------------------------------

/** One engine with a proxy and an upstream, used for run after run, and made anew after one that failed. */
class Rig {
  readonly #create: () => Engine;
  #engine: Engine | undefined;
  #upstream: Upstream | undefined;
  #proxy: MiniProxy | undefined;
  #answers: readonly Answer[] = [];
  #next = 0;
  #forwarded: string[] = [];

  constructor(create: () => Engine) {
    this.#create = create;
  }
  async run(script: Script): Promise<Outcome> {
    if (this.#engine === undefined || this.#proxy === undefined) {
      this.#engine = this.#create();
      this.#upstream = await Upstream.open();
      this.#upstream.onConnection = (peer) => this.#serve(peer);
      this.#proxy = await openMiniProxy(this.#engine, {
        upstream: { ip: '127.0.0.1', port: this.#upstream.port },
        downstreamProfile: { lingerMs: 500 },
      });
    }
    try {
      return await this.#through(this.#engine, this.#proxy, script);
    } catch (cause) {
      await this.close();
      throw cause;
    }
  }
  async close(): Promise<void> {
    this.#upstream?.close();
    await this.#engine?.shutdown();
    this.#engine = this.#upstream = this.#proxy = undefined;
  }

  async #through(engine: Engine, proxy: MiniProxy, { stream, cuts, answers }: Script): Promise<Outcome> {
    this.#answers = answers;
    this.#next = 0;
    this.#forwarded = [];
    proxy.events.length = 0;
    const client = await connect(proxy.port);
    const at = [...new Set(cuts.map((cut) => cut % (stream.length + 1)))].sort((a, b) => a - b);
    const pieces = [0, ...at].map((from, index) => stream.slice(from, at[index] ?? stream.length)).filter((piece) => piece !== '');
    await client.sendPieces(pieces);
    client.end();
    const text = await client.receivesAll();
    client.close();
    await eventually(
      () => engine.connections === 0,
      () => `connections are left open after ${JSON.stringify(proxy.events)}, got ${JSON.stringify(text)}`,
    );
    const methods = proxy.events.filter((event) => event.startsWith('request ')).map((event) => event.split(' ')[1]);
    return {
      forwarded: this.#forwarded,
      answered: responsesOf(text, methods),
      events: proxy.events.filter((event) => /^(request|response|down-fault|up-fault) |STALE|down-closed truncated/.test(event)),
    };
  }

  /** Reads requests with the codec itself and answers each when it is whole. */
  #serve(peer: Peer): void {
    const session = http1.open('downstream', LIMITS);
    const input = { bytes: new Uint8Array(0), offset: 0, ended: false };
    let head: Head | undefined;
    let text = '';
    const read = () => {
      for (let step = session.next(input); step.kind !== 'more'; step = session.next(input)) {
        if (step.kind === 'head') {
          head = step.head;
          session.startBody();
          text = `${head.method} ${head.target}\n${linesOf(head)}\n\n`;
        } else if (step.kind === 'body') text += Buffer.from(step.bytes).toString('latin1');
        else {
          this.#forwarded.push(`${text}|${Buffer.from(step.trailers).toString('latin1')}`);
          const next = this.#answers[this.#next++ % this.#answers.length];
          const isHead = head !== undefined && (head.flags & HEAD_FLAG.HEAD_METHOD) !== 0;
          peer.send(isHead ? next.head : next.head + next.body);
          if (next.ends) peer.end();
        }
      }
    };
    peer.socket.on('data', (chunk: Buffer) => {
      input.bytes = Buffer.concat([input.bytes.subarray(input.offset), chunk]);
      input.offset = 0;
      try {
        read();
      } catch (cause) {
        // An HTTP/1.0 request without Host goes on as it is: giving it one is the proxy's business, not the engine's.
        if (!(cause instanceof CodecError)) throw cause;
        this.#forwarded.push(`${cause.code} ${cause.offset}`);
        peer.close();
      }
    });
  }
}

const linesOf = (head: Head): string =>
  head
    .lines()
    .map(([key, line]) => `${key}: ${line}`)
    .join('\n');

/** The whole responses in what a client got, one text each, chunk framing taken off. How much of one that was cut short came is a matter of timing. */
function responsesOf(text: string, methods: readonly string[]): string[] {
  const session = http1.open('upstream', LIMITS);
  const input = { bytes: Buffer.from(text, 'latin1'), offset: 0, ended: true };
  const found: string[] = [];
  let current = '';
  let status = 0;
  let index = 0;
  for (let step = session.next(input); step.kind !== 'more'; step = session.next(input)) {
    if (step.kind === 'head') {
      ({ status } = step.head);
      session.startBody({ isHead: methods[index] === 'HEAD', isConnect: false, isUpgrade: false, isHttp11: true });
      current = `${status} ${step.head.reason}\n${linesOf(step.head)}\n\n`;
    } else if (step.kind === 'body') current += Buffer.from(step.bytes).toString('latin1');
    else {
      found.push(`${current}|${Buffer.from(step.trailers).toString('latin1')}`);
      if (status >= 200) index++;
    }
  }
  return found;
}

const rigs: [string, Rig][] = [];
before(() => {
  for (const [engine, create] of engines()) rigs.push([engine, new Rig(create)]);
});
after(async () => {
  for (const [, rig] of rigs) await rig.close();
});

test('every engine gives the same messages, answers and faults, however the bytes were split', { timeout: 120_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(script, async (what) => {
      const outcomes: [string, Outcome][] = [];
      for (const [engine, rig] of rigs) {
        outcomes.push([`${engine}, whole`, await rig.run({ ...what, cuts: [] })]);
        outcomes.push([`${engine}, split`, await rig.run(what)]);
      }
      const [[first, expected]] = outcomes;
      for (const [which, outcome] of outcomes.slice(1)) assert.deepEqual(outcome, expected, `${which} differs from ${first}`);
    }),
    { numRuns: RUNS, endOnFailure: false },
  );
  assert.ok(rigs.length > 0);
});
