import { ByteWriter } from '../../src/protocol/byte-writer.js';
import type { LocalReply } from '../../src/protocol/codec.js';

/** Types of TApplicationException that a proxy has reason to send. */
export const EXCEPTION_TYPE = { UNKNOWN_METHOD: 1, INTERNAL_ERROR: 6 } as const;
const FIELD_TYPE = { STOP: 0, I32: 8, STRING: 11 } as const;

/** The struct of a TApplicationException in the binary protocol: 1: string message, 2: i32 type. */
export function applicationException({ status, details }: LocalReply): Uint8Array {
  const message = Buffer.from(details, 'utf8');
  const out = new ByteWriter().u8(FIELD_TYPE.STRING).u16(1).u32(message.length).bytes(message);
  out
    .u8(FIELD_TYPE.I32)
    .u16(2)
    .u32(status === 404 ? EXCEPTION_TYPE.UNKNOWN_METHOD : EXCEPTION_TYPE.INTERNAL_ERROR);
  return out.u8(FIELD_TYPE.STOP).take();
}
