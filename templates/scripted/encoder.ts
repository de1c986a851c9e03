import { ByteWriter } from 'sluice/codec';
import { MAGIC, STATUS } from './spec.js';

/** What a frame is made of. */
export interface Parts {
  readonly kind: number;
  readonly id: number;
  readonly status?: number;
  readonly name?: string;
  readonly body?: string;
}
/** The bytes of a frame. */
export function encode({ kind, id, status = STATUS.OK, name = '', body = '' }: Parts): Uint8Array {
  const [nameBytes, bodyBytes] = [Buffer.from(name), Buffer.from(body)];
  return new ByteWriter()
    .bytes(Uint8Array.from(MAGIC))
    .u8(kind)
    .u8(status)
    .u32(id)
    .varint(nameBytes.length)
    .varint(bodyBytes.length)
    .bytes(nameBytes)
    .bytes(bodyBytes)
    .take();
}
