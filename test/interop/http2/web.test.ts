/** Clients of others through the proxy, to servers of Node's: HTTP/1 and HTTP/2 on either side. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request as http1Request, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http';
import { type ClientHttp2Session, connect, type IncomingHttpHeaders } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { engines } from '../../support/engines.js';
import type { HttpVersion } from '../../support/http2-config.js';
import { eventually } from '../../support/peers.js';
import { programMissing, run } from '../programs.js';
import { together, within } from '../stock.js';
import { IS_DIRECT, proxied } from './proxied.js';
import { digest, openWebServer } from './web-server.js';

const MIB = 1_048_576;
/** Longest that any single answer may take. */
const ANSWER_MS = 20_000;
/** Exit code of a stream that was reset. Curl up to 7.88 takes NO_ERROR for one where it has not sent all, against RFC 9113 §8.1. */
const CURL_STREAM_ERROR = 92;
const missing = new Map(['curl', 'nghttp', 'h2load'].map((name) => [name, programMissing(name)]));
for (const reason of missing.values()) if (reason !== undefined) console.log(`skipped: ${reason}`);
const skip = (name: string) => missing.get(name) ?? false;

/** A request's body, as bytes and in a file. */
function uploadFile(context: TestContext, bytes: number): { readonly path: string; readonly body: Buffer; readonly expected: string } {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-web-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  const [path, body] = [join(folder, 'body'), randomBytes(bytes)];
  writeFileSync(path, body);
  return { path, body, expected: `${bytes} ${digest(body)}` };
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders | IncomingMessage['headers'];
  readonly body: Buffer;
  readonly trailers: Readonly<Record<string, unknown>>;
  readonly hints: number;
}
interface Asked {
  readonly method?: string;
  readonly headers?: OutgoingHttpHeaders;
  readonly body?: Uint8Array;
}
/** Node's own client for one version, on one connection. */
interface Client {
  ask(path: string, asked?: Asked): Promise<Answer>;
  /** Begins a request that is given up once its head has come. */
  abandon(path: string): Promise<void>;
}

function http2Client(context: TestContext, port: number): Client {
  const session: ClientHttp2Session = connect(`http://127.0.0.1:${port}`);
  context.after(() => session.destroy());
  session.on('error', () => {});
  const open = (path: string, { method = 'GET', headers = {}, body }: Asked) => {
    const stream = session.request({ ':method': method, ':path': path, ...headers }, { endStream: body === undefined });
    if (body !== undefined) stream.end(body);
    return stream;
  };
  return {
    ask: (path, asked = {}) =>
      within(
        ANSWER_MS,
        path,
        new Promise((resolve, reject) => {
          const stream = open(path, asked);
          const pieces: Buffer[] = [];
          let [head, trailers, hints]: [IncomingHttpHeaders, object, number] = [{}, {}, 0];
          stream.on('headers', () => hints++);
          stream.on('response', (headers) => {
            head = headers;
          });
          stream.on('trailers', (lines) => {
            trailers = lines;
          });
          stream.on('data', (chunk: Buffer) => pieces.push(chunk)).on('error', reject);
          stream.on('close', () =>
            resolve({ status: Number(head[':status']), headers: head, body: Buffer.concat(pieces), trailers: { ...trailers }, hints }),
          );
        }),
      ),
    abandon: async (path) => {
      const stream = open(path, {});
      stream.on('error', () => {});
      await within(ANSWER_MS, path, new Promise((resolve) => stream.on('response', resolve)));
      stream.close(8);
    },
  };
}
function http1Client(_context: TestContext, port: number): Client {
  const open = (path: string, { method = 'GET', headers = {}, body }: Asked) => {
    const request = http1Request({ host: '127.0.0.1', port, path, method, headers, agent: false });
    request.end(body);
    return request;
  };
  return {
    ask: (path, asked = {}) =>
      within(
        ANSWER_MS,
        path,
        new Promise((resolve, reject) => {
          let hints = 0;
          const request = open(path, asked);
          request.on('information', () => hints++);
          request.on('response', (response) => {
            const pieces: Buffer[] = [];
            response.on('data', (chunk: Buffer) => pieces.push(chunk));
            response.on('end', () =>
              resolve({
                status: response.statusCode ?? 0,
                headers: response.headers,
                body: Buffer.concat(pieces),
                trailers: response.trailers,
                hints,
              }),
            );
            response.on('error', reject);
          });
          // A server may answer an upload that it does not read, and close.
          request.on('error', reject);
        }),
      ),
    abandon: async (path) => {
      const request = open(path, {});
      request.on('error', () => {});
      await within(ANSWER_MS, path, new Promise((resolve) => request.on('response', resolve)));
      request.destroy();
    },
  };
}

const VERSIONS: readonly HttpVersion[] = ['HTTP1', 'HTTP2'];
const isPossible = (client: HttpVersion, server: HttpVersion) => !IS_DIRECT || client === server;

for (const [engine] of engines())
  for (const server of VERSIONS)
    test(`${engine}: to ${server}`, async (context) => {
      const web = await openWebServer(context, server);
      const { port, proxy } = await proxied(context, engine, { to: web.port, version: server });
      const url = `http://127.0.0.1:${port}`;
      const upload = uploadFile(context, MIB);
      const clients = VERSIONS.filter((client) => isPossible(client, server));

      for (const client of clients) {
        const curl = async (path: string, more: readonly string[] = [], accepted = 0) => {
          const version = client === 'HTTP2' ? '--http2-prior-knowledge' : '--http1.1';
          const { code, out, err } = await run('curl', ['-sS', version, '-w', '\n%{http_version} %{http_code}', ...more, `${url}${path}`], ANSWER_MS);
          assert.ok(code === 0 || code === accepted, err);
          const at = out.lastIndexOf('\n');
          return [out.slice(0, at), out.slice(at + 1)];
        };
        const spoken = client === 'HTTP2' ? '2' : '1.1';

        await context.test(`curl in ${client}: GET`, { skip: skip('curl') }, async () => {
          assert.deepEqual(await curl('/hello'), ['hello from the server\n', `${spoken} 200`]);
          assert.deepEqual(await curl('/status/404'), ['hello from the server\n', `${spoken} 404`]);
        });
        await context.test(`curl in ${client}: an upload of 1 MiB`, { skip: skip('curl') }, async () => {
          assert.deepEqual(await curl('/upload', ['--data-binary', `@${upload.path}`]), [upload.expected, `${spoken} 200`]);
        });
        await context.test(`curl in ${client}: an answer before the end of the upload`, { skip: skip('curl') }, async () => {
          assert.ok(['too large\n', ''].includes((await curl('/early', ['--data-binary', `@${upload.path}`], CURL_STREAM_ERROR))[0]));
        });
        await context.test(`h2load in ${client}: 8 connections with 32 requests each at once`, { skip: skip('h2load') }, async () => {
          const version = client === 'HTTP2' ? [] : ['--h1'];
          const { out } = await run('h2load', [...version, '-c8', '-m32', '-n2000', `${url}/hello`], ANSWER_MS);
          assert.match(out, /requests: 2000 total, 2000 started, 2000 done, 2000 succeeded, 0 failed, 0 errored, 0 timeout/);
          assert.match(out, /status codes: 2000 2xx/);
        });

        await context.test(`node in ${client}`, async (context) => {
          const { ask, abandon } = (client === 'HTTP2' ? http2Client : http1Client)(context, port);
          await context.test('statuses, methods and answers without a body', async () => {
            for (const status of [200, 204, 304, 404, 503]) assert.equal((await ask(`/status/${status}`)).status, status);
            const head = await ask('/hello', { method: 'HEAD' });
            assert.deepEqual([head.status, head.headers['x-method'], head.body.length], [200, 'HEAD', 0]);
            assert.equal((await ask('/hello', { method: 'DELETE' })).headers['x-method'], 'DELETE');
          });
          await context.test('bodies both ways', async () => {
            const { body } = await ask('/echo', { method: 'POST', body: upload.body });
            assert.equal(digest(body), digest(upload.body));
            const big = await ask(`/big?${10 * MIB}`);
            assert.equal(big.body.length, 10 * MIB);
          });
          if (client === 'HTTP2')
            await context.test('an answer before the end of the upload', async () => {
              const { status, body } = await ask('/early', { method: 'POST', body: upload.body });
              assert.deepEqual([status, body.toString()], [413, 'too large\n']);
            });
          await context.test('trailers', async () => {
            const { body, trailers } = await ask('/trailers', { headers: { te: 'trailers' } });
            assert.deepEqual([body.toString(), trailers['x-sum']], ['body', '4']);
          });
          await context.test('103 before the answer', async () => {
            const { status, hints } = await ask('/hints');
            assert.deepEqual([status, hints], [200, 1]);
          });
          await context.test('50 requests at once', async () => {
            const answers = await together(50, (index) => ask('/echo', { method: 'POST', body: Buffer.from(`body ${index}`) }));
            for (const [index, { body }] of answers.entries()) assert.equal(body.toString(), `body ${index}`);
          });
          await context.test('a request that is given up ends at the server too', async () => {
            const target = `/big?${500 * MIB}`;
            await abandon(target);
            await eventually(() => web.aborted.includes(target), 'the server has not heard of it');
            web.aborted.length = 0;
          });
        });
      }

      if (!clients.includes('HTTP2')) return;
      await context.test('nghttp: one request, frame by frame', { skip: skip('nghttp') }, async () => {
        const { code, out } = await run('nghttp', ['-nv', `${url}/hello`], ANSWER_MS);
        assert.equal(code, 0, out);
        assert.match(out, /:status: 200/);
        assert.match(out, /recv DATA frame <length=\d+, flags=0x01/);
        assert.doesNotMatch(out, /recv RST_STREAM|INVALID|error_code=(?!NO_ERROR)/);
      });
      await context.test('nghttp: an upload of 1 MiB', { skip: skip('nghttp') }, async () => {
        const { out } = await run('nghttp', ['-d', upload.path, `${url}/upload`], ANSWER_MS);
        assert.equal(out.trim(), upload.expected);
      });
      await context.test('nghttp: 90 requests at once', { skip: skip('nghttp') }, async () => {
        const { out } = await run('nghttp', ['-ns', '-m90', `${url}/hello`], ANSWER_MS);
        assert.equal(out.match(/ 200 +\d+ \/hello/g)?.length, 90, out);
      });
      if (proxy !== undefined) assert.equal(await proxy.stat('cluster.up.upstream_cx_protocol_error'), 0);
    });
