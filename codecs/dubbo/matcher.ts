import type { Match } from '../../src/protocol/codec.js';
import { FLAG, MAGIC } from './spec.js';

/**
 * Says whether a connection begins with a Dubbo frame: the magic, and a serialization, which may be of somebody's own making but is never 0. Dubbo takes whatever does
 * not begin with the magic for a line of telnet; here that is `no` at the first byte.
 */
export const matchDubbo: Match = (head) => {
  if (head.length > 0 && head[0] !== MAGIC >> 8) return 'no';
  if (head.length > 1 && head[1] !== (MAGIC & 0xff)) return 'no';
  if (head.length < 3) return 'more';
  return (head[2] & FLAG.SERIALIZATION) === 0 ? 'no' : 'yes';
};
