/** One port for every protocol: the verdict on a connection's first bytes is the same however they were cut (WIRE-FACTS §6.4). */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import type { Codec } from '../../src/protocol/codec.js';
import { type Detectable, detect, MAX_DETECT_BYTES } from '../../src/protocol/detect.js';
import { HTTP1, TLS } from '../../src/proxy/rpc/told-apart.js';

const root = join(import.meta.dirname, '..', '..', '..');
const compiled = join(import.meta.dirname, '..', '..', 'codecs');
const codecs: Codec[] = [];
/** First bytes of clients, by what they are. */
const openings: { name: string; what: string; bytes: Uint8Array }[] = [];
for (const folder of readdirSync(join(root, 'codecs'))) {
  const index = join(compiled, folder, 'index.js');
  const vectors = join(root, 'codecs', folder, 'vectors.json');
  if (!existsSync(index) || !existsSync(vectors)) continue;
  const { default: codec } = (await import(pathToFileURL(index).href)) as { default: Codec };
  codecs.push(codec);
  for (const { name, hex, frames, from } of JSON.parse(readFileSync(vectors, 'utf8'))) {
    if (!['request', 'oneway', 'heartbeat'].includes(frames?.[0]?.kind) || from === 'upstream') continue;
    openings.push({ name: codec.name, what: name, bytes: Buffer.from(hex, 'hex') });
  }
}
const line = (text: string) => ({ name: 'http1', what: text.slice(0, 40).trim(), bytes: Buffer.from(text, 'latin1') });
openings.push(
  ...['GET / HTTP/1.1\r\n', 'POST /a?b=c HTTP/1.0\r\n', 'OPTIONS * HTTP/1.1\r\n', 'CONNECT host:443 HTTP/1.1\r\n', 'PROPFIND /x HTTP/1.1\r\n'].map(
    line,
  ),
  line(`GET /${'x'.repeat(2000)} HTTP/1.1\r\n`),
  { name: 'tls', what: 'TLS 1.3 ClientHello', bytes: Buffer.from('16030100c8010000c40303', 'hex') },
  { name: 'tls', what: 'TLCP ClientHello', bytes: Buffer.from('16010100c8010000c40101', 'hex') },
  ...['status\r\n', 'get key\r\n', 'GET key\r\n', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', '*1\r\n$4\r\nPING\r\n'].map((text) => ({
    ...line(text),
    name: 'none',
  })),
);

const candidates: (Detectable & { readonly name: string })[] = [...codecs, { ...HTTP1, name: 'http1' }, { ...TLS, name: 'tls' }];
const verdictOf = (bytes: Uint8Array, final = false): string => {
  const found = detect(candidates, bytes.subarray(0, MAX_DETECT_BYTES), final);
  return typeof found === 'string' ? found : `${found.codec.name}${found.ambiguous ? ' or another' : ''}`;
};
for (const { name, what, bytes } of openings) {
  test(`${name}: ${what}: is found at the same byte, and found again with any more`, () => {
    let first = 0;
    while (first < bytes.length && verdictOf(bytes.subarray(0, first)) === 'more') first++;
    for (let end = first; end <= bytes.length; end++) assert.equal(verdictOf(bytes.subarray(0, end)), name, `${end} bytes`);
    assert.ok(first <= MAX_DETECT_BYTES);
  });
}
test('nothing, or the beginning of several protocols, is none of them when it is the end', () => {
  assert.equal(verdictOf(new Uint8Array(0)), 'more');
  assert.equal(verdictOf(new Uint8Array(0), true), 'none');
  assert.equal(verdictOf(Buffer.from('GE'), true), 'none');
  assert.equal(verdictOf(Buffer.from('160301', 'hex'), true), 'none');
});
