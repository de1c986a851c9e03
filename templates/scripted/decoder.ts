import { CodecError, DECODED, FrameFiller, type FrameLimits, type FrameSession } from 'sluice/codec';
import { HEAD_BYTES, KINDS, layout, MAGIC, VARINT_MAX_BYTES } from './spec.js';

const [KIND, STATUS, ID, NAME_BYTES, BODY_BYTES] = ['kind', 'status', 'id', 'nameBytes', 'bodyBytes'].map((name) => layout.slot(name));
const [NAME, BODY] = [layout.section('name'), layout.section('body')];
const bad = (code: string, offset: number, detail: string): CodecError => new CodecError('acme', code, offset, detail);

/** Reads whole frames: every byte is checked as soon as it is there, the length before anything is buffered for it. */
export function openSession({ maxFrameBytes }: FrameLimits): FrameSession {
  const filler = new FrameFiller(layout);
  return {
    decode(bytes, start, end, ints, base) {
      const there = end - start;
      for (let i = 0; i < MAGIC.length; i++) {
        if (i === there) return DECODED.MORE;
        if (bytes[start + i] !== MAGIC[i]) throw bad('BAD_MAGIC', i, `0x${bytes[start + i].toString(16)}`);
      }
      if (there < 3) return DECODED.MORE;
      const kind = bytes[start + 2];
      if (kind >= KINDS.length) throw bad('BAD_KIND', 2, `${kind}`);
      let at = HEAD_BYTES;
      /** The varint at `at`, which moves behind it; -1: not all of it is there. */
      const varint = (): number => {
        for (let i = 0, value = 0; i < VARINT_MAX_BYTES; i++) {
          if (at + i >= there) return -1;
          const byte = bytes[start + at + i];
          value |= (byte & 0x7f) << (7 * i);
          if (byte < 0x80) {
            at += i + 1;
            return value;
          }
        }
        throw bad('BAD_VARINT', at, `more than ${VARINT_MAX_BYTES} bytes`);
      };
      const nameBytes = varint();
      if (nameBytes < 0) return DECODED.MORE;
      const bodyBytesAt = at;
      const bodyBytes = varint();
      if (bodyBytes < 0) return DECODED.MORE;
      const total = at + nameBytes + bodyBytes;
      if (total > maxFrameBytes) throw bad('FRAME_TOO_LARGE', bodyBytesAt, `${total} > ${maxFrameBytes}`);
      if (there < total) return DECODED.MORE;

      const id = (bytes[start + 4] << 24) | (bytes[start + 5] << 16) | (bytes[start + 6] << 8) | bytes[start + 7];
      filler
        .begin(ints, base, start, total, KINDS[kind])
        .field(KIND, kind)
        .field(STATUS, bytes[start + 3])
        .field(ID, id, 0)
        .field(NAME_BYTES, nameBytes)
        .field(BODY_BYTES, bodyBytes)
        .section(NAME, at, nameBytes)
        .section(BODY, at + nameBytes, bodyBytes)
        .id(4, id, 0);
      return DECODED.WHOLE;
    },
  };
}
