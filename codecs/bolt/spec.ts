import {
  type FieldOptions,
  fixed,
  frameLayout,
  i16,
  i32,
  type KindRule,
  type LengthExpression,
  u8,
  u16,
  u32,
  type VariantDescription,
} from '../../src/protocol/frame-layout.js';

// Names as in SOFABolt's RpcProtocol and RpcProtocolV2; README.md draws the frames. All integers are big-endian.

export const PROTO = { V1: 1, V2: 2 } as const;
export const TYPE = { RESPONSE: 0, REQUEST: 1, ONEWAY: 2 } as const;
export const CMDCODE = { HEARTBEAT: 0, REQUEST: 1, RESPONSE: 2, GO_AWAY: 100 } as const;
export const VER2 = 1;
/** Version 2 frames: the least command version whose frames may end in a checksum, and the switch bit that says they do. */
export const VER1_WITH_CRC = 2;
export const SWITCH_CRC = 1;
/** Serializer of the content; the default of every known peer. */
export const CODEC_HESSIAN2 = 1;
/** Serializers in use: 1 hessian2, 2 java, 4 hessian2 (old number), 11 protobuf, 12 json, 13 msgpack, 14 protostuff, 22 fury2, 23 fory. */
export const KNOWN_CODECS: readonly number[] = [1, 2, 4, 11, 12, 13, 14, 22, 23];

/** com.alipay.remoting.ResponseStatus. */
export const STATUS = {
  SUCCESS: 0,
  ERROR: 1,
  SERVER_EXCEPTION: 2,
  UNKNOWN: 3,
  SERVER_THREADPOOL_BUSY: 4,
  ERROR_COMM: 5,
  NO_PROCESSOR: 6,
  TIMEOUT: 7,
  CLIENT_SEND_ERROR: 8,
  CODEC_EXCEPTION: 9,
  CONNECTION_CLOSED: 16,
  SERVER_SERIAL_EXCEPTION: 17,
  SERVER_DESERIAL_EXCEPTION: 18,
} as const;

/** Most bytes of the class name and of the header block: their lengths are signed in Java, which takes 0x8000 and more off the length of the frame. */
export const MAX_BLOCK_BYTES = 0x7fff;

const NOT_NEGATIVE: FieldOptions = { min: 0 };
/** Any cmdcode but these is an error in Java as well; a known one in a frame of the wrong type is `unknown`. */
const CMDCODES: FieldOptions = { oneOf: Object.values(CMDCODE) };
const SECTIONS = { class: 'classLen', header: 'headerLen', content: 'contentLen' };
const whole = (head: number): LengthExpression => fixed(head).plus('classLen', 'headerLen', 'contentLen');
const RESPONSE_KINDS: readonly KindRule[] = [
  { is: 'response', when: { cmdcode: CMDCODE.RESPONSE } },
  { is: 'heartbeat-ack', when: { cmdcode: CMDCODE.HEARTBEAT } },
];
/** `type`: the field of the prefix that holds the type. */
const requestKinds = (type: string): readonly KindRule[] => [
  { is: 'request', when: { [type]: TYPE.REQUEST, cmdcode: CMDCODE.REQUEST } },
  { is: 'oneway', when: { [type]: TYPE.ONEWAY, cmdcode: CMDCODE.REQUEST } },
  { is: 'heartbeat', when: { [type]: TYPE.REQUEST, cmdcode: CMDCODE.HEARTBEAT } },
  { is: 'go-away', when: { [type]: TYPE.REQUEST, cmdcode: CMDCODE.GO_AWAY } },
];
/** Java has no checksum where ver1 is 1, whatever the switch says. */
const CHECKSUM: VariantDescription['checksum'] = { algorithm: 'crc32', when: { typeOrVer1: VER1_WITH_CRC, switch: SWITCH_CRC } };

const REQUEST_TYPES = [TYPE.REQUEST, TYPE.ONEWAY];
const VER1S = [1, 2];

export const framing = frameLayout({
  // The type is at byte 1 in v1 and at byte 2 in v2, where v1 has the first half of a cmdcode that is always less than 256.
  prefix: {
    proto: u8(0, { oneOf: Object.values(PROTO) }),
    typeOrVer1: u8(1, { oneOf: [0, 1, 2] }),
    typeOfV2: u8(2, { oneOf: Object.values(TYPE) }),
  },
  variants: [
    {
      name: 'v1-request',
      when: { proto: PROTO.V1, typeOrVer1: REQUEST_TYPES, typeOfV2: 0 },
      fields: {
        cmdcode: u8(3, CMDCODES),
        ver2: u8(4),
        requestId: u32(5),
        codec: u8(9),
        timeout: i32(10),
        classLen: i16(14, NOT_NEGATIVE),
        headerLen: i16(16, NOT_NEGATIVE),
        contentLen: i32(18, NOT_NEGATIVE),
      },
      length: whole(22),
      sections: SECTIONS,
      id: 'requestId',
      kind: requestKinds('typeOrVer1'),
    },
    {
      name: 'v1-response',
      when: { proto: PROTO.V1, typeOrVer1: TYPE.RESPONSE, typeOfV2: 0 },
      fields: {
        cmdcode: u8(3, CMDCODES),
        ver2: u8(4),
        requestId: u32(5),
        codec: u8(9),
        respstatus: u16(10),
        classLen: i16(12, NOT_NEGATIVE),
        headerLen: i16(14, NOT_NEGATIVE),
        contentLen: i32(16, NOT_NEGATIVE),
      },
      length: whole(20),
      sections: SECTIONS,
      id: 'requestId',
      kind: RESPONSE_KINDS,
    },
    {
      name: 'v2-request',
      when: { proto: PROTO.V2, typeOrVer1: VER1S, typeOfV2: REQUEST_TYPES },
      fields: {
        cmdcode: u16(3, CMDCODES),
        ver2: u8(5),
        requestId: u32(6),
        codec: u8(10),
        switch: u8(11, { oneOf: [0, SWITCH_CRC] }),
        timeout: i32(12),
        classLen: i16(16, NOT_NEGATIVE),
        headerLen: i16(18, NOT_NEGATIVE),
        contentLen: i32(20, NOT_NEGATIVE),
      },
      length: whole(24),
      sections: SECTIONS,
      id: 'requestId',
      kind: requestKinds('typeOfV2'),
      checksum: CHECKSUM,
    },
    {
      name: 'v2-response',
      when: { proto: PROTO.V2, typeOrVer1: VER1S, typeOfV2: TYPE.RESPONSE },
      fields: {
        cmdcode: u16(3, CMDCODES),
        ver2: u8(5),
        requestId: u32(6),
        codec: u8(10),
        switch: u8(11, { oneOf: [0, SWITCH_CRC] }),
        respstatus: u16(12),
        classLen: i16(14, NOT_NEGATIVE),
        headerLen: i16(16, NOT_NEGATIVE),
        contentLen: i32(18, NOT_NEGATIVE),
      },
      length: whole(22),
      sections: SECTIONS,
      id: 'requestId',
      kind: RESPONSE_KINDS,
      checksum: CHECKSUM,
    },
  ],
});
