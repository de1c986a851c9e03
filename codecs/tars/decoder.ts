import { CodecError } from '../../src/base/errors.js';
import { ByteWriter } from '../../src/protocol/byte-writer.js';
import type { FrameSession, Side } from '../../src/protocol/codec.js';
import type { Frame } from '../../src/protocol/frame.js';
import { DECODED, type FrameLimits } from '../../src/protocol/frame-decoder.js';
import type { KindName } from '../../src/protocol/frame-layout.js';
import { FRAME } from '../../src/protocol/frame-table.js';
import { FrameFiller } from '../../src/protocol/scripted-frame.js';
import { FieldReader } from './field-reader.js';
import { FieldWriter } from './field-writer.js';
import { LAST_TAG, layout, MIN_FRAME_BYTES, PACKET_TYPE, PING, RECONNECT, REQUEST_TAG, RESPONSE_TAG, TYPE, VERSION } from './spec.js';

const [LENGTH, VERSION_SLOT, PACKET, MESSAGE, ID, RET_SLOT, TIMEOUT, ID_BYTES] = [
  ...['length', 'version', 'packetType', 'messageType', 'requestId', 'ret', 'timeout', 'idBytes'].map((name) => layout.slot(name)),
];
const [SERVANT, FUNCTION, BUFFER, CONTEXT, STATUS, RESULT_DESC] = [
  ...['servant', 'function', 'buffer', 'context', 'status', 'resultDesc'].map((name) => layout.section(name)),
];
const VARIANT = { REQUEST: 0, RESPONSE: 1 } as const;
const PING_BYTES = Buffer.from(PING);
const RECONNECT_BYTES = Buffer.from(RECONNECT);

const bad = (code: string, offset: number, detail: string) => new CodecError('tars', code, offset, detail);
const equals = (bytes: Uint8Array, from: number, to: number, wanted: Uint8Array): boolean => {
  if (to - from !== wanted.length) return false;
  for (let i = 0; i < wanted.length; i++) if (bytes[from + i] !== wanted[i]) return false;
  return true;
};

/** What was found of the fields of one frame, by tag: places in the connection's bytes. */
interface Found {
  readonly types: Int32Array;
  readonly at: Int32Array;
  readonly from: Int32Array;
  readonly to: Int32Array;
  readonly numbers: Int32Array;
}
const ABSENT = -1;

/**
 * Reads whole frames: their fields are walked once, when all of them are there. Direction is told by tag 5, servant name or result, not by the
 * version or by the width of a number; a RequestPacket from an upstream is a TUP response.
 */
export function openSession(side: Side, { maxFrameBytes }: FrameLimits): FrameSession {
  const filler = new FrameFiller(layout);
  const tags = LAST_TAG + 1;
  const found: Found = {
    types: new Int32Array(tags),
    at: new Int32Array(tags),
    from: new Int32Array(tags),
    to: new Int32Array(tags),
    numbers: new Int32Array(tags),
  };
  return {
    decode(bytes, start, end, ints, base) {
      const there = end - start;
      if (there < 4) return DECODED.MORE;
      const total = ((bytes[start] << 24) | (bytes[start + 1] << 16) | (bytes[start + 2] << 8) | bytes[start + 3]) >>> 0;
      if (total > maxFrameBytes) throw bad('FRAME_TOO_LARGE', 0, `${total} > ${maxFrameBytes}`);
      if (total < MIN_FRAME_BYTES) throw bad('BAD_LENGTH', 0, `${total} < ${MIN_FRAME_BYTES}`);
      if (there < total) return DECODED.MORE;
      walk(bytes, start, start + total, found);
      fill(bytes, start, total, found, ints, base);
      return DECODED.WHOLE;
    },
  };

  function fill(bytes: Uint8Array, start: number, total: number, { types, at, from, to, numbers }: Found, ints: Int32Array, base: number): void {
    const isRequestPacket = types[REQUEST_TAG.SERVANT] === TYPE.STRING1 || types[REQUEST_TAG.SERVANT] === TYPE.STRING4;
    const tag = isRequestPacket ? REQUEST_TAG : RESPONSE_TAG;
    const isNumber = (number: number): boolean => types[number] === TYPE.ZERO || (types[number] >= TYPE.BYTE && types[number] <= TYPE.LONG);
    if (!isNumber(1)) throw bad('NO_VERSION', 4, 'the first field is not iVersion');
    if (!isNumber(tag.REQUEST_ID) || types[tag.REQUEST_ID] === TYPE.LONG)
      throw bad('NO_REQUEST_ID', 4, `no number of 32 bits with tag ${tag.REQUEST_ID}`);
    if (!isRequestPacket && !isNumber(RESPONSE_TAG.RET)) throw bad('UNKNOWN_PACKET', 4, 'tag 5 is neither a servant name nor a result');
    const id = numbers[tag.REQUEST_ID];
    filler
      .begin(ints, base, start, total, kind(isRequestPacket), isRequestPacket ? VARIANT.REQUEST : VARIANT.RESPONSE)
      .id(at[tag.REQUEST_ID] - start, id, 0)
      .field(LENGTH, total, 0)
      .field(VERSION_SLOT, numbers[1])
      .field(PACKET, isNumber(2) ? numbers[2] : 0)
      .field(MESSAGE, isNumber(7 - tag.REQUEST_ID) ? numbers[7 - tag.REQUEST_ID] : 0)
      .field(ID, id, 0)
      .field(ID_BYTES, to[tag.REQUEST_ID] - at[tag.REQUEST_ID]);
    const section = (index: number, number: number): void => {
      if (types[number] !== ABSENT) filler.section(index, from[number] - start, to[number] - from[number]);
    };
    /** A whole field, or the place where one with this tag belongs. */
    const field = (index: number, number: number): void => {
      let next = number;
      while (next <= LAST_TAG && types[next] === ABSENT) next++;
      const place = next > LAST_TAG ? found.at[0] : at[next];
      filler.section(index, place - start, types[number] === ABSENT ? 0 : to[number] - at[number]);
    };
    section(BUFFER, tag.BUFFER);
    field(CONTEXT, tag.CONTEXT);
    field(STATUS, tag.STATUS);
    if (isRequestPacket) {
      section(SERVANT, REQUEST_TAG.SERVANT);
      section(FUNCTION, REQUEST_TAG.FUNCTION);
      if (isNumber(REQUEST_TAG.TIMEOUT)) filler.field(TIMEOUT, numbers[REQUEST_TAG.TIMEOUT]);
    } else {
      section(RESULT_DESC, RESPONSE_TAG.RESULT_DESC);
      filler.field(RET_SLOT, numbers[RESPONSE_TAG.RET]);
    }

    function kind(isRequest: boolean): KindName {
      if (!isRequest) {
        const isPush = id === 0 && types[RESPONSE_TAG.RESULT_DESC] !== ABSENT;
        return isPush && equals(bytes, from[RESPONSE_TAG.RESULT_DESC], to[RESPONSE_TAG.RESULT_DESC], RECONNECT_BYTES) ? 'go-away' : 'response';
      }
      if (side === 'upstream') return numbers[1] === VERSION.TUP ? 'response' : 'unknown';
      if (types[REQUEST_TAG.FUNCTION] !== ABSENT && equals(bytes, from[REQUEST_TAG.FUNCTION], to[REQUEST_TAG.FUNCTION], PING_BYTES))
        return 'heartbeat';
      return isNumber(2) && numbers[2] === PACKET_TYPE.ONEWAY ? 'oneway' : 'request';
    }
  }
}

/** Notes the known fields of a frame. Tags must ascend: peers skip forward to the tag they want and would miss, or read otherwise, any that do not. */
function walk(bytes: Uint8Array, start: number, end: number, { types, at, from, to, numbers }: Found): void {
  types.fill(ABSENT);
  // Tag 0 is not used: its place notes where the fields that are known end.
  at[0] = end;
  const reader = new FieldReader(bytes, start, start + 4, end);
  let last = -1;
  while (reader.next()) {
    const { tag, type } = reader;
    if (tag <= last || type === TYPE.STRUCT_END) throw bad('BAD_FIELD', reader.at - start, `tag ${tag} behind tag ${last}`);
    last = tag;
    if (tag > LAST_TAG) {
      at[0] = Math.min(at[0], reader.at);
      continue;
    }
    if (tag === 0) continue;
    types[tag] = type;
    at[tag] = reader.at;
    from[tag] = reader.from;
    to[tag] = reader.to;
    numbers[tag] = reader.isNumber ? reader.number : 0;
  }
}

/** The frame with its bytes from `at` on, `length` of them, replaced: nothing else changes, fields that nobody here knows included. */
export function spliced(frame: Frame, at: number, length: number, bytes: Uint8Array): Uint8Array {
  const { raw } = frame;
  const out = new ByteWriter()
    .bytes(raw.subarray(0, at))
    .bytes(bytes)
    .bytes(raw.subarray(at + length));
  return out.setU32(0, out.length).take();
}
/** The frame with another id, in the narrowest type that holds it: the frame's length may change. */
export function withId(frame: Frame, low: number, _high: number, to: ByteWriter): void {
  const tag = frame.variant === 'request' ? REQUEST_TAG.REQUEST_ID : RESPONSE_TAG.REQUEST_ID;
  const { ints, base, raw } = frame;
  const at = ints[base + FRAME.ID_AT];
  to.bytes(raw.subarray(0, at));
  new FieldWriter(to).number(tag, low | 0);
  to.bytes(raw.subarray(at + frame.at(ID_BYTES)));
  to.setU32(0, to.length);
}
