import { matchBytes } from '../../src/protocol/match-bytes.js';

/** The magic behind a length of less than 16 MiB. */
export const match = matchBytes(0x00, undefined, undefined, undefined, 0xda, 0xbc);
