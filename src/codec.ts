/**
 * `sluice/codec`: what a private protocol is written with. A codec is the default export of a folder; docs/codecs.md goes through one step by step, and
 * docs/api/codec.api.md lists everything that is here. It changes only on purpose: a test compares that list.
 */
export { CodecError } from './base/errors.js';
export { ByteWriter } from './protocol/byte-writer.js';
export {
  type Codec,
  DEFAULT_MAX_FRAME_BYTES,
  type FrameSession,
  frameWithId,
  type HeaderMap,
  type LocalReply,
  layoutOf,
  type Match,
  type ScriptedFraming,
  type Side,
  type StatusClass,
} from './protocol/codec.js';
export { crc32 } from './protocol/crc32.js';
export { Frame } from './protocol/frame.js';
export { createFrameDecoder, DECODED, type FrameDecode, type FrameLimits } from './protocol/frame-decoder.js';
export { encodeFrame, type FrameChanges, type FrameParts, reencodeFrame } from './protocol/frame-encoder.js';
export {
  bits,
  type ChecksumRule,
  type Condition,
  type Field,
  type FieldCheck,
  type FieldOptions,
  type FrameLayout,
  fixed,
  frameLayout,
  i8,
  i16,
  i32,
  i64,
  type KindName,
  type KindRule,
  type LayoutDescription,
  type LengthExpression,
  type Place,
  u8,
  u16,
  u24,
  u32,
  u64,
  type VariantDescription,
} from './protocol/frame-layout.js';
export { FRAME_KIND } from './protocol/frame-table.js';
export { changedEntries, HeaderEntries, type HeaderEntry } from './protocol/header-entries.js';
export { type KeyValueAbilities, type KeyValueDescription, keyValueSection, type PairFormat, readPairs, writePairs } from './protocol/key-values.js';
export { type ByteRule, matchBytes } from './protocol/match-bytes.js';
export { ProtobufReader, WIRE } from './protocol/protobuf-reader.js';
export { FrameFiller, type ScriptedNames, scriptedLayout } from './protocol/scripted-frame.js';
