import { matchBytes } from '../../src/protocol/match-bytes.js';
import { FRAME_TYPE, MAGIC } from './spec.js';

/** The magic, and a type of frame with a type of stream frame: 0 in unary calls, 1 (INIT) to begin a stream. */
export const match = matchBytes(MAGIC >>> 8, MAGIC & 0xff, [FRAME_TYPE.UNARY, FRAME_TYPE.STREAM], [0, 1]);
