import { matchBytes } from '../../src/protocol/match-bytes.js';
import { MESSAGE_TYPE, VERSION } from './spec.js';

const isRequest = (byte: number): boolean => (byte & (0xe0 | MESSAGE_TYPE.RESPONSE)) === 0;
const isVersion2 = (byte: number): boolean => byte >>> 3 === VERSION;
/** The magic, a message of a client, and the version: Motan 1 has the same magic. */
export const match = matchBytes(0xf1, 0xf1, isRequest, isVersion2);
