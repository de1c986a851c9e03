import { matchBytes } from '../../src/protocol/match-bytes.js';
import { MAGIC } from './spec.js';

/** `PRPC`: PRI, PROXY, PROPFIND, POST and PUT differ before its end. */
export const match = matchBytes(...MAGIC);
