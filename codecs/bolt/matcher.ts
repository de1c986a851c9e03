import type { Match } from '../../src/protocol/codec.js';
import { CMDCODE, KNOWN_CODECS, PROTO, VER2 } from './spec.js';

const TYPES: readonly number[] = [0, 1, 2];
const VER1S: readonly number[] = [1, 2];
const SWITCHES: readonly number[] = [0, 1];
const ZERO: readonly number[] = [0];
const CMDCODES: readonly number[] = Object.values(CMDCODE);
const ANY = undefined;

/** What each byte may be; the first byte told the version. The id may be anything. */
const V1 = [[PROTO.V1], TYPES, ZERO, CMDCODES, [VER2], ANY, ANY, ANY, ANY, KNOWN_CODECS];
const V2 = [[PROTO.V2], VER1S, TYPES, ZERO, CMDCODES, [VER2], ANY, ANY, ANY, ANY, KNOWN_CODECS, SWITCHES];

/**
 * Says whether a connection begins with a Bolt frame. One byte, as others take it, is not enough: a FastCGI record begins with `01 01 00 01`, a MongoDB message
 * of 257 bytes with `01 01 00 00 01`, and any protocol that starts with a length may start with 01 or 02. The codec's number at byte 9 or 10 tells them apart.
 */
export const matchBolt: Match = (head) => {
  if (head.length === 0) return 'more';
  const wanted = head[0] === PROTO.V2 ? V2 : V1;
  for (let at = 0; at < wanted.length; at++) {
    if (at === head.length) return 'more';
    if (wanted[at]?.includes(head[at]) === false) return 'no';
  }
  return 'yes';
};
