import { matchBytes } from '../../src/protocol/match-bytes.js';

/** The client's connection preface (RFC 9113 §3.4). Three bytes tell it from every HTTP/1 method in use but `PRI` itself; all 24 are asked for. */
export const PREFACE: Readonly<Uint8Array> = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');
/** HTTP/2 with prior knowledge (`h2c`). */
export const matchHttp2 = matchBytes(...PREFACE);
