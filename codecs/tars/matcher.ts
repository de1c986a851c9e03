import { matchBytes } from '../../src/protocol/match-bytes.js';
import { TYPE, VERSION } from './spec.js';

/**
 * A first packet of less than 16 MiB: iVersion (tag 1) is 1, 3 or 5, and tag 2 follows. Seven bytes are enough: nobody waits for the whole packet, and
 * JSON is Tars too.
 */
export const match = matchBytes(
  0x00,
  undefined,
  undefined,
  undefined,
  (1 << 4) | TYPE.BYTE,
  [VERSION.TARS, VERSION.TUP, VERSION.JSON],
  [(2 << 4) | TYPE.ZERO, (2 << 4) | TYPE.BYTE],
);
