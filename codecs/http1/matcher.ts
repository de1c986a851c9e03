import { TOKEN } from '../../src/protocol/chars.js';

const CR = 0x0d;
const LF = 0x0a;
const SP = 0x20;
const MAX_METHOD_BYTES = 16;
const VERSION = Buffer.from('HTTP/1.', 'latin1');

/**
 * Says whether a connection's first bytes are an HTTP/1.x request: a whole first line of `token SP target SP HTTP/1.`, after at most two empty
 * lines. Waits for ` HTTP/1.` because `GET key` is also Redis and memcached; tells HTTP/2's preface (`PRI * HTTP/2.0`), PROXY (`PROXY TCP4 ...`, and
 * version 2, which begins like two empty lines and goes on with NUL) and text protocols apart at the first byte that cannot be. `more`: not decided yet; the caller bounds bytes and time.
 */
export function matchHttp1(bytes: Uint8Array): 'yes' | 'no' | 'more' {
  let at = 0;
  while (bytes[at] === CR && at < 4) {
    if (at + 1 === bytes.length) return 'more';
    if (bytes[at + 1] !== LF) return 'no';
    at += 2;
  }
  const method = at;
  while (at < bytes.length && TOKEN[bytes[at]] === 1) at++;
  if (at - method > MAX_METHOD_BYTES) return 'no';
  if (at === bytes.length) return 'more';
  if (bytes[at] !== SP || at === method) return 'no';
  const target = ++at;
  while (at < bytes.length && bytes[at] > SP && bytes[at] < 0x7f) at++;
  if (at === bytes.length) return 'more';
  if (bytes[at] !== SP || at === target) return 'no';
  at++;
  for (let i = 0; i < VERSION.length; i++) {
    if (at + i === bytes.length) return 'more';
    if (bytes[at + i] !== VERSION[i]) return 'no';
  }
  return 'yes';
}
