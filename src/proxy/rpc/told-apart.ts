import type { Match } from '../../protocol/codec.js';
import { type Detectable, MAX_DETECT_BYTES } from '../../protocol/detect.js';

const [SPACE, LF, CR, DASH] = [0x20, 0x0a, 0x0d, 0x2d];
const MAX_METHOD_BYTES = 16;
const VERSION = Buffer.from(' HTTP/1.', 'latin1');

/**
 * A request line of HTTP/1: a method in capitals, a target, and ` HTTP/1.` before the end of the line, which Redis' inline commands and telnet lines have not.
 * A target longer than what is looked at counts where it begins like one.
 */
const matchHttp1: Match = (head) => {
  const end = Math.min(head.length, MAX_DETECT_BYTES);
  let at = 0;
  while (at < end && ((head[at] >= 0x41 && head[at] <= 0x5a) || head[at] === DASH)) at++;
  if (at > MAX_METHOD_BYTES) return 'no';
  if (at === end) return 'more';
  if (at === 0 || head[at] !== SPACE) return 'no';
  const target = ++at;
  for (; at < end; at++) {
    const byte = head[at];
    if (byte === SPACE) return at === target ? 'no' : matchVersion(head, at, end);
    if (byte === LF || byte === CR || byte < 0x20 || byte === 0x7f) return 'no';
  }
  return end < MAX_DETECT_BYTES ? 'more' : 'yes';
};
function matchVersion(head: Uint8Array, at: number, end: number): ReturnType<Match> {
  for (let i = 0; i < VERSION.length; i++) {
    if (at + i >= end) return end < MAX_DETECT_BYTES ? 'more' : 'yes';
    if (head[at + i] !== VERSION[i]) return 'no';
  }
  return 'yes';
}

/** A TLS (or TLCP) handshake record that holds a ClientHello: type 22, version, length, message type 1. */
const matchTls: Match = (head) => {
  const { length } = head;
  if (length > 0 && head[0] !== 0x16) return 'no';
  if (length > 1 && head[1] !== 3 && head[1] !== 1) return 'no';
  if (length > 2 && (head[1] === 3 ? head[2] > 4 : head[2] !== 1)) return 'no';
  if (length > 4 && ((head[3] << 8) | head[4]) > 0x4800) return 'no';
  if (length > 5) return head[5] === 1 ? 'yes' : 'no';
  return 'more';
};

/** HTTP/1 among the protocols of a listener. Source: RFC 9112 §3. */
export const HTTP1: Detectable = { match: matchHttp1 };
/** TLS among the protocols of a listener. Source: RFC 8446 §5.1. */
export const TLS: Detectable = { match: matchTls };
