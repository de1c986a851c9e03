import { ConfigError } from '../base/errors.js';
import { crc32 } from './crc32.js';
import type { Frame } from './frame.js';
import type { Condition, FrameLayout, PlannedField, PlannedSum, PlannedVariant } from './frame-layout.js';

/** What a frame is made of. Fields that are lengths follow from the sections and need not be named; others that are not named are 0, or the first value allowed. */
export interface FrameParts extends FrameChanges {
  /** Name of the variant; may be left out where there is only one. */
  readonly variant?: string;
}
/** Fields and sections by name. */
export interface FrameChanges {
  readonly fields?: Readonly<Record<string, number | bigint>>;
  readonly sections?: Readonly<Record<string, Uint8Array>>;
}

/**
 * Puts a frame together, length fields and checksum included. Throws ConfigError for names that the layout has not, and RangeError for a value
 * that its field cannot hold.
 */
export function encodeFrame(layout: FrameLayout, { variant: name, fields = {}, sections = {} }: FrameParts): Uint8Array {
  const variant = layout.variants.find((candidate) => candidate.name === (name ?? candidate.name)) ?? fail(`no variant ${name}`);
  const planned = plannedFields(layout, variant);
  const slots = new Map([...planned.values()].map((field) => [field.slot, field]));
  const values = new Map<number, bigint>();
  for (const [field, value] of Object.entries(fields))
    values.set((planned.get(field) ?? fail(`variant ${variant.name} has no field ${field}`)).slot, BigInt(value));
  for (const section of Object.keys(sections)) if (!layout.sectionNames.includes(section)) fail(`no section ${section}`);
  // What decides about the variant is what it asks for.
  for (const { slot, values: wanted } of variant.when) if (!values.has(slot)) values.set(slot, BigInt(wanted[0]));

  /** Finds the one field of `sum` that is not known yet, so that the sum comes out as `wanted`. */
  const solve = (sum: PlannedSum, wanted: number, what: string): void => {
    let rest = wanted - sum.bytes;
    let unknown: PlannedSum['terms'][number] | undefined;
    for (const term of sum.terms) {
      const value = values.get(term.slot);
      if (value !== undefined) rest -= Number(value) * term.scale;
      else if (unknown === undefined) unknown = term;
      else fail(`${what} does not say which of its fields is which`);
    }
    if (unknown !== undefined) {
      if (rest % unknown.scale !== 0) throw new RangeError(`${what}: ${rest} is not a multiple of ${unknown.scale}`);
      values.set(unknown.slot, BigInt(rest / unknown.scale));
    } else if (rest !== 0) throw new RangeError(`${what}: the fields say ${wanted - rest} bytes, the sections ${wanted}`);
  };
  const bytesOf = (index: number): Uint8Array => sections[layout.sectionNames[index]] ?? EMPTY;
  for (const { index, length } of variant.sections)
    if (length !== undefined) solve(length, bytesOf(index).length, `section ${layout.sectionNames[index]}`);
  let bodyBytes = 0;
  for (const { index } of variant.sections) bodyBytes += bytesOf(index).length;
  const sectionsAt = evaluate(variant.sectionsAt, values);
  const bodyEnd =
    variant.sections.length === 0 && variant.length.terms.every(({ slot }) => values.has(slot))
      ? evaluate(variant.length, values)
      : sectionsAt + bodyBytes;
  solve(variant.length, bodyEnd, 'length');

  const hasChecksum =
    variant.checksum?.every(({ slot, values: wanted }) => wanted.includes(Number(values.get(slot) ?? defaultOf(slots.get(slot))))) ?? false;
  const bytes = new Uint8Array(bodyEnd + (hasChecksum ? 4 : 0));
  let at = sectionsAt;
  for (const { index } of variant.sections) {
    bytes.set(bytesOf(index), at);
    at += bytesOf(index).length;
  }
  for (const field of planned.values()) write(bytes, field, placeOf(field, variant, values), values.get(field.slot) ?? BigInt(defaultOf(field)));
  if (hasChecksum) new DataView(bytes.buffer).setUint32(bodyEnd, crc32(bytes, 0, bodyEnd));
  return bytes;
}
/**
 * The whole frame with some fields or sections changed; lengths and checksum follow. Bytes that belong to no field and to no section are 0 then. Throws like `encodeFrame`, and RangeError for a frame that is cut off.
 */
export function reencodeFrame(frame: Frame, { fields = {}, sections = {} }: FrameChanges): Uint8Array {
  const { layout } = frame;
  if (frame.isPartial) throw new RangeError('a frame that is cut through cannot be put together anew');
  const variant = layout.variants.find(({ name }) => name === frame.variant) ?? fail(`no variant ${frame.variant}`);
  const lengths = new Set(
    [variant.length, ...variant.sections.map(({ length }) => length)].flatMap((sum) => sum?.terms.map(({ slot }) => slot) ?? []),
  );
  const kept = [...plannedFields(layout, variant).values()].filter(({ slot }) => !lengths.has(slot));
  return encodeFrame(layout, {
    variant: frame.variant,
    fields: { ...Object.fromEntries(kept.map(({ name }) => [name, frame.bigField(name)])), ...fields },
    sections: {
      ...Object.fromEntries(variant.sections.map(({ index }) => [layout.sectionNames[index], frame.section(layout.sectionNames[index])])),
      ...sections,
    },
  });
}
/** The conditions of a variant, as values to start a frame from. */
export const valuesOf = (condition: Condition): Record<string, number> =>
  Object.fromEntries(Object.entries(condition).map(([name, values]) => [name, typeof values === 'number' ? values : values[0]]));

const EMPTY = new Uint8Array(0);
function plannedFields(layout: FrameLayout, variant: PlannedVariant): Map<string, PlannedField> {
  const found = new Map<string, PlannedField>(layout.prefix.map((field) => [field.name, field]));
  for (const step of variant.steps) if (step.op === 'field') found.set(step.field.name, step.field);
  return found;
}
function placeOf(field: PlannedField, variant: PlannedVariant, values: ReadonlyMap<number, bigint>): number {
  for (const step of variant.steps) if (step.op === 'field' && step.field === field) return evaluate(step.at, values);
  return field.field.at.bytes;
}
function evaluate({ bytes, terms }: PlannedSum, values: ReadonlyMap<number, bigint>): number {
  let total = bytes;
  for (const { slot, scale } of terms) total += Number(values.get(slot) ?? 0n) * scale;
  return total;
}
const defaultOf = (field: PlannedField | undefined): number => field?.allowed[0] ?? field?.field.min ?? 0;
/** Writes the field's own bits only: fields of bits share their bytes, and a field may stand inside a section. */
function write(bytes: Uint8Array, { name, field: { width, endian, signed, bits } }: PlannedField, at: number, value: bigint): void {
  const size = BigInt(bits?.count ?? 8 * width);
  const [least, most] = signed ? [-(1n << (size - 1n)), (1n << (size - 1n)) - 1n] : [0n, (1n << size) - 1n];
  // Ids and flags may be given in either sign.
  if (value < (size === 64n ? -(1n << 63n) : least) || value > (size === 64n ? (1n << 64n) - 1n : most))
    throw new RangeError(`${name}: ${value} does not fit ${size} bits`);
  if (at < 0 || at + width > bytes.length) throw new RangeError(`${name} at ${at} is outside of the frame's ${bytes.length} bytes`);
  const shift = BigInt(bits?.shift ?? 0);
  let own = ((1n << size) - 1n) << shift;
  let left = BigInt.asUintN(Number(size), value) << shift;
  for (let i = 0; i < width; i++) {
    const place = at + (endian === 'little' ? i : width - 1 - i);
    bytes[place] = (bytes[place] & ~Number(own & 0xffn)) | Number(left & 0xffn);
    own >>= 8n;
    left >>= 8n;
  }
}
const fail = (detail: string): never => {
  throw new ConfigError(`frame: ${detail}`);
};
