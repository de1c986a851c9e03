/** Upgrades between the two kinds of connection: `Upgrade` in HTTP/1 is an extended CONNECT in HTTP/2 (RFC 8441, RFC 9110 §7.8). */
import { createHash, randomBytes } from 'node:crypto';
import type { Edits } from '../../protocol/edits.js';
import type { Head } from '../../protocol/head.js';
import { HEAD_FLAG } from '../../protocol/head-layout.js';
import type { Exchange } from './exchange.js';

const WEBSOCKET = 'websocket';
/** RFC 6455 §1.3 */
const WEBSOCKET_GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** Lines that an upgrade needs in HTTP/1 and does not have in HTTP/2; before other lines are appended. */
export function requestUpgrade(exchange: Exchange, head: Head, edits: Edits): void {
  if (exchange.upstream?.isStream === true) {
    if (exchange.upgrade === WEBSOCKET && (exchange.flags & HEAD_FLAG.UPGRADE) !== 0) exchange.webSocketKey = head.get('sec-websocket-key') ?? '';
    return;
  }
  if ((exchange.flags & HEAD_FLAG.EXTENDED_CONNECT) !== 0) edits.method('GET');
}
/** The same, what is appended. */
export function appendRequestUpgrade(exchange: Exchange, head: Head, edits: Edits): void {
  if ((exchange.flags & HEAD_FLAG.EXTENDED_CONNECT) === 0 || exchange.upstream?.isStream === true) return;
  edits.append('upgrade', exchange.upgrade);
  if (exchange.upgrade === WEBSOCKET && head.indexOf('sec-websocket-key') < 0) edits.append('sec-websocket-key', randomBytes(16).toString('base64'));
}

/** Makes the response that accepts an upgrade what the client's protocol has for it: 101 in HTTP/1, 200 in HTTP/2. */
export function acceptUpgrade(exchange: Exchange, head: Head, edits: Edits, fromStream: boolean, toStream: boolean): void {
  if (fromStream === toStream) return;
  edits.status(toStream ? 200 : 101);
  if (toStream) return;
  edits.append('upgrade', exchange.upgrade);
  // A proxy behind us may have passed the key on to a server of HTTP/1, and its answer back.
  if (exchange.webSocketKey === '' || head.indexOf('sec-websocket-accept') >= 0) return;
  const accept = createHash('sha1')
    .update(exchange.webSocketKey + WEBSOCKET_GUID)
    .digest('base64');
  edits.append('sec-websocket-accept', accept);
}
