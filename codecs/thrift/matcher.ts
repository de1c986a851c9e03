import { matchBytes } from '../../src/protocol/match-bytes.js';
import { MESSAGE_TYPE } from './spec.js';

/** A first frame of less than 16 MiB that holds a strict binary call. */
export const match = matchBytes(0x00, undefined, undefined, undefined, 0x80, 0x01, undefined, [MESSAGE_TYPE.CALL, MESSAGE_TYPE.ONEWAY]);
