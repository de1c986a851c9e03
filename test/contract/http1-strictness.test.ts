/**
 * Every row of the strictness table for HTTP/1 (RFC 9112, RFC 9110 and the attacks seen in the field), on each engine, through a proxy: a recording upstream
 * shows what was really forwarded. A rejected message must not reach the other side at all, or not as a whole one.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ProfileOptions } from '../../src/network/engine.js';
import { engines } from '../support/engines.js';
import { openMiniProxy } from '../support/mini-proxy.js';
import { connect, eventually, Upstream } from '../support/peers.js';

const HOST = 'Host: h\r\n';
const post = (lines: string, body = ''): string => `POST / HTTP/1.1\r\n${HOST}${lines}\r\n${body}`;
const get = (lines: string): string => `GET / HTTP/1.1\r\n${HOST}${lines}\r\n`;
const chunked = (body: string): string => post('Transfer-Encoding: chunked\r\n', body);

/** Requests that must be refused with this status before a byte goes upstream. */
const REFUSED_HEADS: readonly (readonly [title: string, request: string, status?: number])[] = [
  ['Content-Length and Transfer-Encoding', post('Content-Length: 3\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n')],
  ['Transfer-Encoding and Content-Length', post('Transfer-Encoding: chunked\r\nContent-Length: 3\r\n', '0\r\n\r\n')],
  ['two different Content-Length lines', post('Content-Length: 3\r\nContent-Length: 4\r\n', 'abcd')],
  ['two equal Content-Length lines', post('Content-Length: 3\r\nContent-Length: 3\r\n', 'abc')],
  ...['', '+5', '-5', '0x5', '5 5', '5_0', '1Z', ',5', '5, 5', '9223372036854775808', '9007199254740992', '99999999999999999999999', '٥'].map(
    (value) => [`Content-Length ${JSON.stringify(value)}`, post(`Content-Length: ${Buffer.from(value).toString('latin1')}\r\n`, 'abcde')] as const,
  ),
  ['Transfer-Encoding on two lines', post('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n')],
  ...[
    'chunked, chunked',
    ',chunked',
    'chunked,',
    'xchunked',
    'chunked, gzip',
    'gzip, chunked',
    '"chunked"',
    'chunked;x=1',
    '',
    'identity',
    'gzip',
    'chunked\x0b',
    '\x0cchunked',
    'chunked\x00',
    '\x85chunked',
    'chunked\xa0',
  ].map((value) => [`Transfer-Encoding ${JSON.stringify(value)}`, post(`Transfer-Encoding: ${value}\r\n`, '0\r\n\r\n')] as const),
  ['Transfer-Encoding in HTTP/1.0', `POST / HTTP/1.0\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
  ['a space before the colon', post('Content-Length : 3\r\n', 'abc')],
  ['a tab before the colon', post('Transfer-Encoding\t: chunked\r\n', '0\r\n\r\n')],
  ['a space before the first header line', `GET / HTTP/1.1\r\n ${HOST}\r\n`],
  ['a space before Content-Length', post(' Content-Length: 3\r\n', 'abc')],
  ['a folded line', get('X: a\r\n b\r\n')],
  ['a line folded with a tab', get('X: a\r\n\tb\r\n')],
  ['a line without a colon', get('Nonsense\r\n')],
  ['an empty name', get(': x\r\n')],
  ...['na me', 'na(me', 'na"me', 'na\x00me', 'na\x80me', 'na@me', 'na/me'].map(
    (bad) => [`the name ${JSON.stringify(bad)}`, get(`${bad}: x\r\n`)] as const,
  ),
  ...['\x00', '\x01', '\x0b', '\x1b', '\x7f'].map((bad) => [`a value with ${JSON.stringify(bad)}`, get(`X: a${bad}b\r\n`)] as const),
  ['a bare CR in a value', get('X: a\rb\r\n')],
  ['a bare CR in the request line', `GET /\r HTTP/1.1\r\n${HOST}\r\n`],
  ['a CR in front of the blank line', `GET / HTTP/1.1\r\n${HOST}\r\r\n`],
  ['a blank line of CR and something else', `GET / HTTP/1.1\r\n${HOST}\rX: 1\r\n\r\n`],
  ['a request line that ends with LF alone', `GET / HTTP/1.1\n${HOST}\r\n`],
  ['a header line that ends with LF alone', 'GET / HTTP/1.1\r\nHost: h\nX: 1\r\n\r\n'],
  ['a blank line of LF alone', `GET / HTTP/1.1\r\n${HOST}\n`],
  ...['http/1.1', 'HTTP/1.10', 'HTTP/1.32', 'HTTP/1.', 'HTTP/11', 'HTTP /1.1', 'HTTP/1.1 ', 'HTTP/1.2x', 'HTTPS/1.1', 'HTTP/1,1'].map(
    (version) => [`the version ${JSON.stringify(version)}`, `GET / ${version}\r\n${HOST}\r\n`] as const,
  ),
  ['the version HTTP/2.0', `GET / HTTP/2.0\r\n${HOST}\r\n`, 505],
  ['HTTP/0.9', 'GET /\r\n\r\n'],
  ...['G(T', 'GE\x01T', 'G\x80T', '"GET"', ''].map(
    (method) => [`the method ${JSON.stringify(method)}`, `${method} / HTTP/1.1\r\n${HOST}\r\n`] as const,
  ),
  ['a method of 65 bytes', `${'M'.repeat(65)} / HTTP/1.1\r\n${HOST}\r\n`, 501],
  ...['/a b', '/a\x01', '/a\x7f', '/\xc3\xa9', '/a#b', '', 'a', '//h:80#x', 'ftp', '*'].map(
    (target) => [`the target ${JSON.stringify(target)}`, `GET ${target} HTTP/1.1\r\n${HOST}\r\n`] as const,
  ),
  ['a path as the target of CONNECT', `CONNECT / HTTP/1.1\r\n${HOST}\r\n`],
  ['an authority as the target of GET', `GET h:80 HTTP/1.1\r\n${HOST}\r\n`],
  ['no Host', 'GET / HTTP/1.1\r\n\r\n'],
  ['Host twice', `GET / HTTP/1.1\r\n${HOST}${HOST}\r\n`],
  ...['a b', 'a,b', 'a/b', 'a@b', 'a:b:c', 'a:99999999', '[::1', 'a?b', 'a#b', 'a\x80'].map(
    (host) => [`Host ${JSON.stringify(host)}`, `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`] as const,
  ),
  ['two spaces in the request line', `GET  / HTTP/1.1\r\n${HOST}\r\n`],
  ['a tab in the request line', `GET\t/ HTTP/1.1\r\n${HOST}\r\n`],
  ['a space before the request line', ` GET / HTTP/1.1\r\n${HOST}\r\n`],
  ['three CRLFs before the request line', `\r\n\r\n\r\n${get('')}`],
  ['LF alone before the request line', `\n${get('')}`],
];

/** Requests whose head is good and whose body breaks: nothing may go upstream that looks like the end of a message. */
const REFUSED_BODIES: readonly (readonly [title: string, body: string])[] = [
  ...['0x3', '+3', '-3', '3_0', ' 3', '3 ', '\t3', '', 'g', '11111111111111111', 'ffffffffffffffff', '20000000000000', '3\x00', '3,'].map(
    (size) => [`chunk size ${JSON.stringify(size)}`, `${size}\r\nabc\r\n0\r\n\r\n`] as const,
  ),
  ['a chunk line that ends with LF alone', '3\nabc\r\n0\r\n\r\n'],
  ['chunk data that ends with LF alone', '3\r\nabc\n0\r\n\r\n'],
  ['chunk data that is longer than its size', '3\r\nabcd\r\n0\r\n\r\n'],
  ['chunk data that is shorter than its size', '5\r\nabc\r\n0\r\n\r\n'],
  ['an extra CRLF behind a chunk', '3\r\nabc\r\n\r\n0\r\n\r\n'],
  ['a last chunk line that ends with LF alone', '0\n\r\n'],
  ['a blank line of LF alone behind the last chunk', '0\r\n\n'],
  ['a CR in a chunk extension', '3;a=\rb\r\nabc\r\n0\r\n\r\n'],
  ['an LF in a chunk extension', '3;a\n\r\nabc\r\n0\r\n\r\n'],
  ['a CRLF in a quoted chunk extension', '3;a="x\r\ny"\r\nabc\r\n0\r\n\r\n'],
  ['a control byte in a chunk extension', '3;a=\x01\r\nabc\r\n0\r\n\r\n'],
  ['a quote that does not end in a chunk extension', '3;a="b\r\nabc\r\n0\r\n\r\n'],
  ['more than 16 KiB of chunk extensions', `3;a=${'x'.repeat(17_000)}\r\nabc\r\n0\r\n\r\n`],
  ['a trailer with a space before its colon', '0\r\nX : 1\r\n\r\n'],
  ['a trailer without a colon', '0\r\nX\r\n\r\n'],
  ['a folded trailer', '0\r\nX: 1\r\n y\r\n\r\n'],
];

/** Requests that go on, and exactly how they go on (`|` in a body stands for its parts after the framing was taken off). */
const FORWARDED: readonly (readonly [title: string, request: string, forwarded: string, profile?: Partial<ProfileOptions>])[] = [
  ['leading zeros of Content-Length are decimal', post('Content-Length: 0010\r\n', '0123456789'), post('Content-Length: 10\r\n', '0123456789')],
  ['CHUNKED in any case', post('Transfer-Encoding: ChUnKeD\r\n', '3\r\nabc\r\n0\r\n\r\n'), chunkedOut('3\r\nabc\r\n0\r\n\r\n')],
  ['chunk extensions are dropped', chunked('3;a=b;c="d;\\"e"\r\nabc\r\n0;z\r\n\r\n'), chunkedOut('3\r\nabc\r\n0\r\n\r\n')],
  ['chunk sizes are written anew', chunked('0003\r\nabc\r\n000\r\n\r\n'), chunkedOut('3\r\nabc\r\n0\r\n\r\n')],
  [
    'trailers go on but for those that frame, route or authorize',
    chunked(
      '0\r\nX-Sum: 1\r\nContent-Length: 5\r\nTransfer-Encoding: x\r\nHost: evil\r\nAuthorization: a\r\nContent-Type: t\r\nTrailer: q\r\nY: 2\r\n\r\n',
    ),
    chunkedOut('0\r\nX-Sum: 1\r\nY: 2\r\n\r\n'),
  ],
  ['an unknown method', `BREW /pot HTTP/1.1\r\n${HOST}\r\n`, `BREW /pot HTTP/1.1\r\n${HOST}\r\n`],
  ['a known method in lower case is another method', `get / HTTP/1.1\r\n${HOST}\r\n`, `get / HTTP/1.1\r\n${HOST}\r\n`],
  [
    'absolute form: its authority replaces Host',
    'GET http://real:81/x?y HTTP/1.1\r\nHost: fake\r\n\r\n',
    'GET /x?y HTTP/1.1\r\nHost: real:81\r\n\r\n',
  ],
  ['OPTIONS *', `OPTIONS * HTTP/1.1\r\n${HOST}\r\n`, `OPTIONS * HTTP/1.1\r\n${HOST}\r\n`],
  ['two CRLFs before a request are skipped', `\r\n\r\n${get('')}`, get('')],
  ['a tab and obs-text in a value stay', get('X: a\tb\xe9\r\n'), get('X: a\tb\xe9\r\n')],
  ['an underscore in a name', get('a_b: 1\r\n'), get('a_b: 1\r\n')],
  ['underscores dropped where the profile says so', get('Content_Length: 5\r\nA: 1\r\n'), get('A: 1\r\n'), { underscores: 'drop' }],
  [
    'a body on GET keeps its framing',
    `GET / HTTP/1.1\r\n${HOST}Content-Length: 3\r\n\r\nabc`,
    `GET / HTTP/1.1\r\n${HOST}Content-Length: 3\r\n\r\nabc`,
  ],
  ['a body on DELETE', `DELETE / HTTP/1.1\r\n${HOST}Content-Length: 3\r\n\r\nabc`, `DELETE / HTTP/1.1\r\n${HOST}Content-Length: 3\r\n\r\nabc`],
  ['hop-by-hop lines and what Connection names', get('Connection: x-a\r\nX-A: 1\r\nX-B: 2\r\n'), get('X-B: 2\r\n')],
  [
    'Connection cannot name Host or Content-Length away',
    post('Connection: host, content-length\r\nContent-Length: 1\r\n', 'x'),
    post('Content-Length: 1\r\n', 'x'),
  ],
  ['proxy-connection, keep-alive and TE go', get('Proxy-Connection: keep-alive\r\nKeep-Alive: 1\r\nTE: trailers\r\n'), get('')],
];

/** Responses that must not reach the client: it gets a 502, or, behind a head that was sent, a connection that breaks off. */
const REFUSED_RESPONSES: readonly (readonly [title: string, response: string])[] = [
  ['Content-Length and Transfer-Encoding', 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
  ['two Content-Length lines', 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc'],
  ['a bad Content-Length', 'HTTP/1.1 200 OK\r\nContent-Length: +3\r\n\r\nabc'],
  ['an unknown coding', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n'],
  ['Transfer-Encoding in a 204', 'HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
  ['a status of two digits', 'HTTP/1.1 20 OK\r\n\r\n'],
  ['a status below 100', 'HTTP/1.1 099 No\r\n\r\n'],
  ['another version', 'HTTP/3.0 200 OK\r\n\r\n'],
  ['no HTTP at all', 'SSH-2.0-OpenSSH\r\n'],
  ['a folded line', 'HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n'],
  ['a space before a colon', 'HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 0\r\n\r\n'],
  ['a bare LF', 'HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n'],
  ['NUL in a value', 'HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n'],
];

for (const [name, create] of engines()) {
  const through = async (
    profile: Partial<ProfileOptions> | undefined,
    run: (stage: Awaited<ReturnType<typeof openStage>>) => Promise<void>,
  ): Promise<void> => {
    const stage = await openStage(profile);
    try {
      await run(stage);
    } finally {
      stage.client.close();
      stage.upstream.close();
      await stage.engine.shutdown();
    }
  };
  const openStage = async (profile: Partial<ProfileOptions> | undefined) => {
    const engine = create();
    const upstream = await Upstream.open();
    const proxy = await openMiniProxy(engine, {
      upstream: { ip: '127.0.0.1', port: upstream.port },
      downstreamProfile: { lingerMs: 20, ...profile },
    });
    return { engine, upstream, proxy, client: await connect(proxy.port) };
  };

  for (const [title, request, status = 400] of REFUSED_HEADS) {
    test(`${name}: refuses ${title} with ${status}`, () =>
      through(undefined, async ({ upstream, proxy, client }) => {
        // What a smuggler would hide behind it must not be looked at.
        client.send(request).send('GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n');
        const answer = await client.receivesAll();
        assert.match(answer, new RegExp(`^HTTP/1\\.1 ${status} [^\\r]+\\r\\n`));
        assert.match(answer, /\r\nconnection: close\r\n/);
        assert.equal(answer.indexOf('HTTP/1.1', 1), -1, 'one answer alone');
        assert.equal(upstream.connections.length, 0, 'nothing was forwarded');
        assert.ok(proxy.events.some((event) => event.startsWith('down-fault ') && event.endsWith('head')));
      }));
  }

  for (const [title, body] of REFUSED_BODIES) {
    test(`${name}: refuses ${title}, and the upstream never sees an end`, () =>
      through(undefined, async ({ upstream, proxy, client }) => {
        client.send(chunked(''));
        const up = await upstream.accepts();
        await up.receivesHead();
        client.send(body).send('GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n');
        assert.match(await client.receivesAll(), /^HTTP\/1\.1 4\d\d /);
        const forwarded = await up.receivesAll();
        assert.ok(!/(^|\r\n)0\r\n/.test(forwarded), JSON.stringify(forwarded));
        assert.ok(!forwarded.includes('smuggled'));
        assert.ok(proxy.events.some((event) => event.startsWith('down-fault ') && event.endsWith('body')));
      }));
  }

  for (const [title, request, forwarded, profile] of FORWARDED) {
    test(`${name}: forwards: ${title}`, () =>
      through(profile, async ({ upstream, client }) => {
        client.send(request);
        const up = await upstream.accepts();
        await up.receives(forwarded);
        up.send('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
        await client.receives('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
        assert.equal(up.unread, '');
      }));
  }

  test(`${name}: bytes behind a request without a body are the next request, as strictly read`, () =>
    through(undefined, async ({ upstream, client }) => {
      client.send(`${get('')}XX YY\r\n\r\n`);
      const up = await upstream.accepts();
      await up.receives(get(''));
      up.send('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
      await client.receives('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
      assert.match(await client.receivesAll(), /^HTTP\/1\.1 400 /);
      assert.equal(up.unread, '');
    }));

  test(`${name}: a chunked request that breaks off is never forwarded as complete`, () =>
    through(undefined, async ({ upstream, proxy, client }) => {
      client.send(chunked('3\r\nabc\r\n'));
      const up = await upstream.accepts();
      await up.receivesUntil('abc\r\n');
      client.end();
      await eventually(() => proxy.events.includes('down-closed truncated'), 'the truncation is told');
      assert.equal(await up.receivesAll(), '');
    }));

  for (const [title, response] of REFUSED_RESPONSES) {
    test(`${name}: turns a response with ${title} into a 502 and closes the upstream`, () =>
      through(undefined, async ({ upstream, client }) => {
        client.send(get(''));
        const up = await upstream.accepts();
        await up.receives(get(''));
        up.send(response);
        await client.receives('HTTP/1.1 502 Bad Gateway\r\n');
        await up.isOverSoon();
      }));
  }

  test(`${name}: a response that breaks off in a chunk breaks off for the client as well`, () =>
    through(undefined, async ({ upstream, client }) => {
      client.send(get(''));
      const up = await upstream.accepts();
      await up.receives(get(''));
      up.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n');
      await client.receivesUntil('abc\r\n');
      up.send('zz\r\n');
      assert.equal(await client.receivesAll(), '', 'no last chunk');
      await up.isOverSoon();
    }));
}

/** A chunked request as the proxy writes it. */
function chunkedOut(body: string): string {
  return `POST / HTTP/1.1\r\n${HOST}transfer-encoding: chunked\r\n\r\n${body}`;
}
