import { matchBytes } from '../../src/protocol/match-bytes.js';
import { MESSAGE_TYPE, PROTOCOL_ID, VERSION } from './spec.js';

const isCall = (byte: number): boolean => (byte & 0x1f) === VERSION && (byte >>> 5 === MESSAGE_TYPE.CALL || byte >>> 5 === MESSAGE_TYPE.ONEWAY);
/** A first frame of less than 16 MiB that holds a compact call. */
export const match = matchBytes(0x00, undefined, undefined, undefined, PROTOCOL_ID, isCall);
