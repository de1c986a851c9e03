import { CodecError } from '../base/errors.js';
import { crc32 } from './crc32.js';
import type { Field, FrameLayout, PlannedCondition, PlannedField, PlannedSum, PlannedVariant } from './frame-layout.js';
import { FRAME, LAYOUT_LIMIT } from './frame-table.js';

/** Bounds of frames on a connection. */
export interface FrameLimits {
  /** Bytes of a whole frame. Error FRAME_TOO_LARGE, before anything is buffered for it. */
  readonly maxFrameBytes: number;
  /** A frame of more bytes is shown, and sent on, before its last section is there; 0 or absent: never. One with a checksum is always whole. */
  readonly cutThroughBytes?: number;
}

/** What a decoder found. */
export const DECODED = {
  /** More bytes are needed. */
  MORE: 0,
  /** A whole frame; the table is filled. */
  WHOLE: 1,
  /** A frame that is cut through: all but its last section is there; the table is filled. */
  PARTIAL: 2,
} as const;

/**
 * Looks at the frame that starts at `bytes[start]`, of which bytes up to `end` are there, and fills its table at `ints[base]`. Answers a number of
 * `DECODED`. Throws CodecError; the same bytes throw the same error however many of them are there beyond the broken place.
 */
export type FrameDecode = (bytes: Uint8Array, start: number, end: number, ints: Int32Array, base: number) => number;

const CHECKSUM_BYTES = 4;
/** An offset as it is told in errors. */
const told = (offset: number): number => Math.min(offset, 0x7fff_ffff);

/** The TypeScript form of a layout: plain, and the specification of native/frame_decoder.cc. frame-layout.ts says what it does, step by step. */
export function createFrameDecoder(protocol: string, layout: FrameLayout, limits: FrameLimits): FrameDecode {
  const { cutThroughBytes = 0 } = limits;
  const maxFrameBytes = told(limits.maxFrameBytes);
  const { prefix, variants, sectionCount } = layout;
  const fieldsAt = FRAME.SECTIONS + 2 * sectionCount;
  const { tableWords } = layout;
  /** Values of the fields read so far, by slot. */
  const values = new Float64Array(LAYOUT_LIMIT.FIELDS);
  const bad = (code: string, offset: number, detail: string) => new CodecError(protocol, code, told(offset), detail);

  const sum = ({ bytes, terms }: PlannedSum): number => {
    let total = bytes;
    for (const { slot, scale } of terms) total += values[slot] * scale;
    return total;
  };
  const holds = (conditions: readonly PlannedCondition[]): boolean => {
    for (const { slot, values: wanted } of conditions) if (!wanted.includes(values[slot])) return false;
    return true;
  };
  /** Reads a field at `at` and notes its value in the table. */
  const read = (
    { slot, field, allowed, code }: PlannedField,
    bytes: Uint8Array,
    at: number,
    offset: number,
    ints: Int32Array,
    base: number,
  ): void => {
    const word = base + fieldsAt + 2 * slot;
    if (field.width === 8) {
      const little = field.endian === 'little';
      ints[word] = little ? little32(bytes, at) : big32(bytes, at + 4);
      ints[word + 1] = little ? little32(bytes, at + 4) : big32(bytes, at);
      return;
    }
    const value = readNumber(field, bytes, at);
    values[slot] = value;
    ints[word] = value;
    ints[word + 1] = value < 0 ? -1 : 0;
    if (allowed.length > 0 && !allowed.includes(value)) throw bad(code, offset, `${value} is not ${allowed.join(', ')}`);
    if ((field.min !== undefined && value < field.min) || (field.max !== undefined && value > field.max)) {
      throw bad(code, offset, `${value} is not between ${field.min ?? 0} and ${field.max ?? 'its largest'}`);
    }
  };

  return (bytes, start, end, ints, base) => {
    ints.fill(0, base, base + tableWords);
    const there = end - start;
    let lastAt = 0;
    for (const planned of prefix) {
      const offset = planned.field.at.bytes;
      if (offset + planned.field.width > there) return DECODED.MORE;
      read(planned, bytes, start + offset, offset, ints, base);
      lastAt = offset;
    }
    let index = 0;
    while (index < variants.length && !holds(variants[index].when)) index++;
    if (index === variants.length) throw bad('UNKNOWN_VARIANT', 0, 'no variant of the layout fits');
    const variant = variants[index];

    let total = -1;
    let bodyEnd = maxFrameBytes;
    /** Where the fields end: those at fixed places, and those read so far at others. */
    let fieldsEnd = variant.minBytes;
    for (const step of variant.steps) {
      if (step.op === 'length') {
        const trailer = variant.checksum !== undefined && holds(variant.checksum) ? CHECKSUM_BYTES : 0;
        bodyEnd = sum(variant.length);
        total = bodyEnd + trailer;
        if (total > maxFrameBytes) throw bad('FRAME_TOO_LARGE', lastAt, `${total} > ${maxFrameBytes}`);
        if (bodyEnd < fieldsEnd) throw bad('BAD_LENGTH', lastAt, `${bodyEnd} < ${fieldsEnd}`);
        placeSections(variant, ints, base, bodyEnd, lastAt);
        continue;
      }
      const { width } = step.field.field;
      const offset = sum(step.at);
      if (offset < 0) throw bad('BAD_LENGTH', lastAt, `field ${step.field.name} at ${offset}`);
      if (offset + width > bodyEnd) {
        throw bad(total < 0 ? 'FRAME_TOO_LARGE' : 'BAD_LENGTH', lastAt, `field ${step.field.name} ends at ${offset + width} > ${bodyEnd}`);
      }
      if (offset + width > there) return DECODED.MORE;
      read(step.field, bytes, start + offset, offset, ints, base);
      lastAt = offset;
      fieldsEnd = Math.max(fieldsEnd, offset + width);
      if (step.field.slot === variant.id?.slot) {
        ints[base + FRAME.ID_AT] = offset;
        ints[base + FRAME.ID_LOW] = ints[base + fieldsAt + 2 * step.field.slot];
        ints[base + FRAME.ID_HIGH] = ints[base + fieldsAt + 2 * step.field.slot + 1];
      }
    }
    if (variant.id === undefined) ints[base + FRAME.ID_AT] = -1;
    let shown = total;
    if (there < total) {
      const last = variant.sections.at(-1);
      if (last === undefined || cutThroughBytes === 0 || total <= cutThroughBytes || total > bodyEnd) return DECODED.MORE;
      shown = Math.max(fieldsEnd, ints[base + FRAME.SECTIONS + 2 * last.index]);
      if (there < shown) return DECODED.MORE;
    } else if (total > bodyEnd) {
      const [wanted, found] = [crc32(bytes, start, start + bodyEnd), big32(bytes, start + bodyEnd) >>> 0];
      if (wanted !== found) throw bad('BAD_CHECKSUM', bodyEnd, `${found.toString(16)} instead of ${wanted.toString(16)}`);
    }
    ints[base + FRAME.BYTES] = total;
    ints[base + FRAME.SHOWN] = shown;
    ints[base + FRAME.START] = start;
    ints[base + FRAME.VARIANT] = index;
    for (const rule of variant.kinds) {
      if (!holds(rule.when)) continue;
      ints[base + FRAME.KIND] = rule.kind;
      break;
    }
    return shown < total ? DECODED.PARTIAL : DECODED.WHOLE;
  };

  function placeSections({ sections, sectionsAt }: PlannedVariant, ints: Int32Array, base: number, bodyEnd: number, lastAt: number): void {
    let at = sum(sectionsAt);
    if (at < 0 || at > bodyEnd) throw bad('BAD_LENGTH', lastAt, `sections at ${at} of ${bodyEnd}`);
    for (const section of sections) {
      const length = section.length === undefined ? bodyEnd - at : sum(section.length);
      if (length < 0 || at + length > bodyEnd)
        throw bad('BAD_LENGTH', lastAt, `section ${layout.sectionNames[section.index]} of ${length} bytes at ${at} of ${bodyEnd}`);
      ints[base + FRAME.SECTIONS + 2 * section.index] = at;
      ints[base + FRAME.SECTIONS + 2 * section.index + 1] = length;
      at += length;
    }
  }
}

/** Writes another id into a whole frame, and its checksum anew. `at`: where the frame starts in `bytes`; its table is at `ints[base]`. */
export function patchId(layout: FrameLayout, bytes: Uint8Array, at: number, ints: Int32Array, base: number, low: number, high: number): void {
  const variant = layout.variants[ints[base + FRAME.VARIANT]];
  const offset = ints[base + FRAME.ID_AT];
  if (variant.id === undefined || offset < 0) return;
  writeId(variant.id.field, bytes, at + offset, low, high);
  const total = ints[base + FRAME.BYTES];
  if (ints[base + FRAME.SHOWN] === total && hasChecksum(layout, ints, base)) writeBig32(bytes, at + total - 4, crc32(bytes, at, at + total - 4));
}
/** True where the frame ends in a checksum. */
export function hasChecksum(layout: FrameLayout, ints: Int32Array, base: number): boolean {
  const { checksum } = layout.variants[ints[base + FRAME.VARIANT]];
  if (checksum === undefined) return false;
  const fields = base + FRAME.SECTIONS + 2 * layout.sectionCount;
  return checksum.every(({ slot, values }) =>
    values.includes(ints[fields + 2 * slot + 1] === 0 ? ints[fields + 2 * slot] >>> 0 : ints[fields + 2 * slot]),
  );
}

function writeId({ width, endian }: Field, bytes: Uint8Array, at: number, low: number, high: number): void {
  for (let i = 0; i < width; i++) {
    const shift = 8 * (endian === 'little' ? i : width - 1 - i);
    bytes[at + i] = shift < 32 ? low >>> shift : high >>> (shift - 32);
  }
}
function readNumber({ width, endian, signed, bits }: Field, bytes: Uint8Array, at: number): number {
  let value = 0;
  if (endian === 'little') for (let i = width - 1; i >= 0; i--) value = value * 256 + bytes[at + i];
  else for (let i = 0; i < width; i++) value = value * 256 + bytes[at + i];
  if (bits !== undefined) return Math.floor(value / 2 ** bits.shift) % 2 ** bits.count;
  return signed && value >= 2 ** (8 * width - 1) ? value - 2 ** (8 * width) : value;
}
const big32 = (bytes: Uint8Array, at: number): number => (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
const little32 = (bytes: Uint8Array, at: number): number => (bytes[at + 3] << 24) | (bytes[at + 2] << 16) | (bytes[at + 1] << 8) | bytes[at];
function writeBig32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}
