/**
 * The table of a frame, as both engines fill it: what a `FrameLayout` found, as 32-bit words. Offsets count from the first byte of the frame.
 * C++ has the same numbers in native/frame_table.h, which native/generate.mjs writes from this file; it holds data only.
 */
export const FRAME = {
  /** Bytes of the whole frame on the wire. */
  BYTES: 0,
  /** Bytes of it that can be looked at: all, or, of a frame that is cut through, all but its last section. */
  SHOWN: 1,
  /** Where the frame starts in the bytes that the view is over. */
  START: 2,
  /** A number of `FRAME_KIND`. */
  KIND: 3,
  /** Index of the variant. */
  VARIANT: 4,
  /** Where the id is; -1: this frame has none. */
  ID_AT: 5,
  ID_LOW: 6,
  ID_HIGH: 7,
  /** For the engine alone: where the frame starts in the connection's input. */
  INPUT_AT: 8,
  /** Sections: offset and length, two words each, in the order of the layout; then fields: low and high word, two words each. */
  SECTIONS: 9,
} as const;

/** What a frame is to the proxy. */
export const FRAME_KIND = {
  /** No rule of the layout fits. */
  UNKNOWN: 0,
  REQUEST: 1,
  /** A request that nobody answers. */
  ONEWAY: 2,
  RESPONSE: 3,
  /** A heartbeat that wants an answer. */
  HEARTBEAT: 4,
  HEARTBEAT_ACK: 5,
  /** The sender will close: no further request on this connection. */
  GO_AWAY: 6,
  /** Needs a look at its bytes: the codec's `classify` says what it is. */
  EVENT: 7,
} as const;

/** Operations of a layout's byte-code (frame-program.ts). */
export const LAYOUT_OP = { FIELD: 1, LENGTH: 2 } as const;
/** Flags of a field in the byte-code. */
export const FIELD_FLAG = { LITTLE: 1, SIGNED: 2 } as const;
/** How the values of a field are checked. */
export const FIELD_CHECK = { NONE: 0, ONE_OF: 1, RANGE: 2 } as const;
/** Errors of framing itself, as C++ numbers them; those of fields are 0 and up: `FrameProgram.codes`. */
export const FRAME_FAULT = { UNKNOWN_VARIANT: -1, FRAME_TOO_LARGE: -2, BAD_LENGTH: -3, BAD_CHECKSUM: -4 } as const;
/** Version of the byte-code; another one is refused by the addon. */
export const LAYOUT_VERSION = 1;
/** Bounds of a layout. */
export const LAYOUT_LIMIT = { FIELDS: 64, SECTIONS: 8, VARIANTS: 16, TERMS: 8, VALUES: 64, HEAD_BYTES: 4096 } as const;
