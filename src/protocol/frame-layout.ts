/**
 * Described framing (DESIGN §3): most RPC protocols are a head that says how long the rest is. A layout says so as data; it runs as a closure in
 * TypeScript (frame-decoder.ts) and as byte-code in C++ (frame-program.ts, native/frame_decoder.cc), which agree on frames, errors and offsets.
 *
 * Reading a frame, step by step, on both:
 * 1. Fields are read in the order in which they are declared: those of `prefix`, then those of the first variant whose `when` fits. A field whose value
 *    is not allowed is an error `BAD_<NAME>` at the field. No variant fits: `UNKNOWN_VARIANT` at byte 0.
 * 2. As soon as all fields that `length` and the sections are made of are known, the length is checked: over the limit is `FRAME_TOO_LARGE`; shorter
 *    than the fields, or than its sections, is `BAD_LENGTH`: both at the field (the last one read) that made it so. Nothing is buffered for the frame before.
 *    A field that lies outside of it, found later, is `BAD_LENGTH` at that field.
 * 3. The frame is whole when `length` bytes are there; then its checksum is verified: `BAD_CHECKSUM` where it stands.
 */
import { ConfigError } from '../base/errors.js';
import { FRAME, type FRAME_KIND, LAYOUT_LIMIT } from './frame-table.js';

/** A sum: `bytes` + each field × its scale. */
export interface LengthExpression {
  readonly bytes: number;
  readonly terms: readonly { readonly field: string; readonly scale: number }[];
  /** Adds fields, one for one. */
  plus(...fields: string[]): LengthExpression;
  /** Adds a field that counts units of `scale` bytes (1..65,536; or -1: is taken off). */
  plusScaled(field: string, scale: number): LengthExpression;
}
/** So many bytes, to begin a sum with: `fixed(12).plus('bodyBytes')`. */
export const fixed = (bytes: number): LengthExpression => expression(bytes, []);
const expression = (bytes: number, terms: LengthExpression['terms']): LengthExpression => ({
  bytes,
  terms,
  plus: (...fields) => expression(bytes, [...terms, ...fields.map((field) => ({ field, scale: 1 }))]),
  plusScaled: (field, scale) => expression(bytes, [...terms, { field, scale }]),
});

/** What a field may hold. Without any: everything that fits its width. */
export interface FieldCheck {
  readonly equals?: number;
  /** Numbers; or names, of which a value is the index. */
  readonly oneOf?: readonly (number | string)[];
  readonly min?: number;
  readonly max?: number;
}
/** How a field is read and checked. */
export interface FieldOptions extends FieldCheck {
  /** Order of its bytes; default big. */
  readonly endian?: 'big' | 'little';
  /** Takes `bits.count` bits of the field, `bits.shift` from its lowest. */
  readonly bits?: { readonly shift: number; readonly count: number };
}
/** A field of a frame, as `u8(...)` and its like make it. */
export interface Field extends FieldOptions {
  /** Where it starts in the frame. */
  readonly at: LengthExpression;
  /** Bytes. */
  readonly width: 1 | 2 | 3 | 4 | 8;
  readonly signed: boolean;
}
/** Where a field is: a number of bytes from the start of the frame, or an expression of earlier fields. */
export type Place = number | LengthExpression;
const field =
  (width: Field['width'], signed: boolean) =>
  (at: Place, options: FieldOptions = {}): Field => ({ ...options, at: typeof at === 'number' ? fixed(at) : at, width, signed });
/** An unsigned byte: `u8(0, { equals: 0x4b })`. */
export const u8 = field(1, false);
/** A signed byte. */
export const i8 = field(1, true);
/** An unsigned number of 2 bytes: `u16(2)`, `u16(2, { endian: 'little' })`. */
export const u16 = field(2, false);
/** A signed number of 2 bytes. */
export const i16 = field(2, true);
/** An unsigned number of 3 bytes. */
export const u24 = field(3, false);
/** An unsigned number of 4 bytes. */
export const u32 = field(4, false);
/** A signed number of 4 bytes. */
export const i32 = field(4, true);
/** An unsigned number of 8 bytes, read with `Frame.bigField`; it can be an id, and neither a length nor a condition. */
export const u64 = field(8, false);
/** A signed number of 8 bytes; as `u64`. */
export const i64 = field(8, true);
/** Bits of the byte at `at`: `count` of them, `shift` from the lowest. */
export const bits = (at: Place, shift: number, count: number, options: FieldCheck = {}): Field => u8(at, { ...options, bits: { shift, count } });

/** Fields of at most 32 bits that must have a value, or one of some. */
export type Condition = Readonly<Record<string, number | readonly number[]>>;
/** Names of `FRAME_KIND`, in lower case with dashes. */
export type KindName = 'unknown' | 'request' | 'oneway' | 'response' | 'heartbeat' | 'heartbeat-ack' | 'go-away' | 'event';
export const KIND_NUMBER: Readonly<Record<KindName, (typeof FRAME_KIND)[keyof typeof FRAME_KIND]>> = {
  unknown: 0,
  request: 1,
  oneway: 2,
  response: 3,
  heartbeat: 4,
  'heartbeat-ack': 5,
  'go-away': 6,
  event: 7,
};
/** What a frame is where some fields have some values. */
export interface KindRule {
  readonly is: KindName;
  /** Absent: always. */
  readonly when?: Condition;
}

/** A CRC-32 (IEEE 802.3, as in zlib), big-endian, in the last 4 bytes of the frame, over all bytes before it. */
export interface ChecksumRule {
  readonly algorithm: 'crc32';
  /** Which frames have it; absent: all of the variant. Its 4 bytes are not part of `length` and are added to it. */
  readonly when?: Condition;
}

/** One shape of frame: its fields, its length and its parts. A protocol with one shape only is described by one of these. */
export interface VariantDescription {
  readonly name?: string;
  /** On fields of `prefix`. Absent: always. */
  readonly when?: Condition;
  readonly fields: Readonly<Record<string, Field>>;
  /** Bytes of the whole frame, a checksum not counted. */
  readonly length: LengthExpression;
  /**
   * Parts behind the fields, in order: `'rest'` takes what is left and comes last; a name of a field, or an expression, is a length. The first starts
   * at `sectionsAt`, by default behind the last fixed field. Bytes behind the last one belong to none.
   */
  readonly sections?: Readonly<Record<string, string | LengthExpression>>;
  readonly sectionsAt?: LengthExpression;
  /** The field that pairs a response with its request; patched in place when a multiplexed pool renumbers. */
  readonly id?: string;
  /** What a frame is: the first rule that fits; none: `unknown`. Or a field whose `oneOf` are names of kinds. */
  readonly kind?: string | readonly KindRule[];
  readonly checksum?: ChecksumRule;
}
/** Frames of one shape, or of several that fields at fixed places (`prefix`) tell apart: the first variant whose `when` fits. */
export type LayoutDescription =
  | VariantDescription
  | { readonly prefix: Readonly<Record<string, Field>>; readonly variants: readonly VariantDescription[] };

/** A field with everything about it resolved. */
export interface PlannedField {
  readonly name: string;
  readonly slot: number;
  readonly field: Field;
  readonly allowed: readonly number[];
  /** Code of the error that a value not allowed is. */
  readonly code: string;
}
export interface PlannedTerm {
  readonly slot: number;
  readonly scale: number;
}
export interface PlannedSum {
  readonly bytes: number;
  readonly terms: readonly PlannedTerm[];
}
export interface PlannedCondition {
  readonly slot: number;
  readonly values: readonly number[];
}
/** What a variant does, in order. */
export type PlannedStep = { readonly op: 'field'; readonly at: PlannedSum; readonly field: PlannedField } | { readonly op: 'length' };
export interface PlannedVariant {
  readonly name: string;
  readonly when: readonly PlannedCondition[];
  readonly steps: readonly PlannedStep[];
  readonly length: PlannedSum;
  /** `undefined` length: the rest. */
  readonly sections: readonly { readonly index: number; readonly length: PlannedSum | undefined }[];
  readonly sectionsAt: PlannedSum;
  /** Least bytes of a frame: where its fields at fixed places end. */
  readonly minBytes: number;
  readonly id: PlannedField | undefined;
  readonly kinds: readonly { readonly kind: number; readonly when: readonly PlannedCondition[] }[];
  readonly checksum: readonly PlannedCondition[] | undefined;
}

/** A layout, checked; made by `frameLayout` or `scriptedLayout`. Throws ConfigError where the description contradicts itself: the text says where. */
export class FrameLayout {
  /** @internal */
  readonly prefix: readonly PlannedField[];
  /** @internal */
  readonly variants: readonly PlannedVariant[];
  readonly sectionNames: readonly string[];
  readonly fieldNames: readonly string[];
  readonly #slots = new Map<string, number>();
  readonly #sections = new Map<string, number>();
  readonly #fields = new Map<string, Field>();

  constructor(description: LayoutDescription) {
    const isSplit = 'variants' in description;
    const prefix = isSplit ? description.prefix : {};
    const variants = isSplit ? description.variants : [description];
    if (variants.length === 0 || variants.length > LAYOUT_LIMIT.VARIANTS) fail(`1 to ${LAYOUT_LIMIT.VARIANTS} variants are possible`);
    for (const part of [prefix, ...variants.map(({ fields }) => fields)]) {
      for (const [name, field] of Object.entries(part)) this.#declare(name, field);
    }
    for (const { sections } of variants) {
      for (const name of Object.keys(sections ?? {})) if (!this.#sections.has(name)) this.#sections.set(name, this.#sections.size);
    }
    if (this.#slots.size > LAYOUT_LIMIT.FIELDS) fail(`more than ${LAYOUT_LIMIT.FIELDS} fields`);
    if (this.#sections.size > LAYOUT_LIMIT.SECTIONS) fail(`more than ${LAYOUT_LIMIT.SECTIONS} sections`);
    this.fieldNames = [...this.#slots.keys()];
    this.sectionNames = [...this.#sections.keys()];
    this.prefix = Object.entries(prefix).map(([name, field]) => this.#plan(name, field));
    for (const { field, name } of this.prefix) if (field.at.terms.length > 0) fail(`prefix field ${name} must have a fixed place`);
    this.variants = variants.map((variant) => this.#planVariant(variant, prefix));
  }

  /** @internal */
  get sectionCount(): number {
    return this.sectionNames.length;
  }
  /** Words of a frame's table. @internal */
  get tableWords(): number {
    return FRAME.SECTIONS + 2 * this.sectionNames.length + 2 * this.fieldNames.length;
  }
  /** Number of a field, for `Frame.at`. Throws RangeError for a name that is not there. */
  slot(name: string): number {
    const slot = this.#slots.get(name);
    if (slot === undefined) throw new RangeError(`the layout has no field ${name}`);
    return slot;
  }
  /** Number of a section, for `FrameFiller.section`. Throws RangeError for a name that is not there. */
  section(name: string): number {
    const index = this.#sections.get(name);
    if (index === undefined) throw new RangeError(`the layout has no section ${name}`);
    return index;
  }
  /** True for a field whose numbers are signed. */
  isSigned(name: string): boolean {
    return this.#fields.get(name)?.signed ?? false;
  }

  #declare(name: string, field: Field): void {
    if (!this.#slots.has(name)) this.#slots.set(name, this.#slots.size);
    this.#fields.set(name, field);
    if (field.bits !== undefined) {
      const { shift, count } = field.bits;
      const fits = Number.isInteger(shift) && Number.isInteger(count) && shift >= 0 && count >= 1 && shift + count <= Math.min(32, field.width * 8);
      if (field.signed || field.width === 8 || !fits) fail(`bits of ${name} do not fit ${field.width} bytes`);
    }
    // Where fields are added to it, the place may begin before the frame.
    const least = field.at.terms.length > 0 ? -LAYOUT_LIMIT.HEAD_BYTES : 0;
    if (!Number.isInteger(field.at.bytes) || field.at.bytes < least || field.at.bytes > LAYOUT_LIMIT.HEAD_BYTES)
      fail(`field ${name} is out of the first ${LAYOUT_LIMIT.HEAD_BYTES} bytes`);
    const hasRange = field.min !== undefined || field.max !== undefined;
    const hasValues = field.equals !== undefined || field.oneOf !== undefined;
    if (hasRange && hasValues) fail(`field ${name} has both values and a range`);
    const numbers = [field.equals, field.min, field.max, ...(field.oneOf ?? [])].filter((value) => typeof value === 'number');
    if (!numbers.every(Number.isSafeInteger)) fail(`field ${name}: values must be whole numbers`);
    if ((hasRange || hasValues) && field.width === 8) fail(`field ${name}: values of 8 bytes cannot be checked`);
    if ((field.oneOf?.length ?? 0) > LAYOUT_LIMIT.VALUES) fail(`field ${name} allows more than ${LAYOUT_LIMIT.VALUES} values`);
  }
  #plan(name: string, field: Field): PlannedField {
    const { equals, oneOf } = field;
    const allowed = equals !== undefined ? [equals] : (oneOf ?? []).map((value, index) => (typeof value === 'number' ? value : index));
    return { name, slot: this.slot(name), field, allowed, code: `BAD_${upperSnake(name)}` };
  }
  #sum({ bytes, terms }: LengthExpression, known: ReadonlyMap<string, Field>, what: string): PlannedSum {
    if (!Number.isInteger(bytes) || Math.abs(bytes) > 0x7fff_ffff) fail(`${what}: ${bytes} is not a number of bytes`);
    if (terms.length > LAYOUT_LIMIT.TERMS) fail(`${what} has more than ${LAYOUT_LIMIT.TERMS} terms`);
    return {
      bytes,
      terms: terms.map(({ field: name, scale }) => {
        const field = known.get(name);
        if (field === undefined) fail(`${what} needs field ${name}, which is not declared before it`);
        else if (field.width === 8) fail(`${what}: field ${name} of 8 bytes cannot be a length`);
        if (!Number.isInteger(scale) || scale === 0 || scale < -1 || scale > 65_536) fail(`${what}: scale ${scale} of ${name}`);
        return { slot: this.slot(name), scale };
      }),
    };
  }
  #conditions(condition: Condition | undefined, known: ReadonlyMap<string, Field>, what: string): PlannedCondition[] {
    return Object.entries(condition ?? {}).map(([name, values]) => {
      if (!known.has(name)) fail(`${what} asks for field ${name}, which is not there`);
      if (known.get(name)?.width === 8) fail(`${what}: field ${name} of 8 bytes cannot be asked for`);
      const wanted = typeof values === 'number' ? [values] : values;
      if (!wanted.every(Number.isSafeInteger)) fail(`${what}: values of ${name} must be whole numbers`);
      return { slot: this.slot(name), values: wanted };
    });
  }
  #planVariant(variant: VariantDescription, prefix: Readonly<Record<string, Field>>): PlannedVariant {
    const where = variant.name === undefined ? 'the layout' : `variant ${variant.name}`;
    const known = new Map(Object.entries(prefix));
    const when = this.#conditions(variant.when, known, `${where}: when`);
    // The length is checked as soon as what it is made of is known.
    const wanted = new Set([variant.length, ...Object.values(variant.sections ?? {}), variant.sectionsAt].flatMap((part) => namesIn(part)));
    for (const name of Object.keys(variant.checksum?.when ?? {})) wanted.add(name);
    const steps: PlannedStep[] = [];
    const isReady = () => [...wanted].every((name) => known.has(name));
    let isChecked = isReady();
    if (isChecked) steps.push({ op: 'length' });
    let minBytes = Math.max(0, ...Object.values(prefix).map(endOf));
    for (const [name, field] of Object.entries(variant.fields)) {
      if (known.has(name)) fail(`${where}: field ${name} is in the prefix already`);
      steps.push({ op: 'field', at: this.#sum(field.at, known, `${where}: field ${name}`), field: this.#plan(name, field) });
      known.set(name, field);
      if (field.at.terms.length === 0) minBytes = Math.max(minBytes, endOf(field));
      if (!isChecked && isReady()) {
        steps.push({ op: 'length' });
        isChecked = true;
      }
    }
    if (minBytes === 0) fail(`${where} has no field`);
    if (!isChecked) fail(`${where}: length or sections need ${[...wanted].filter((name) => !known.has(name)).join(', ')}, not declared`);
    const sections = Object.entries(variant.sections ?? {}).map(([name, length]) => ({
      index: this.section(name),
      length:
        length === 'rest' ? undefined : this.#sum(typeof length === 'string' ? fixed(0).plus(length) : length, known, `${where}: section ${name}`),
    }));
    if (sections.slice(0, -1).some(({ length }) => length === undefined)) fail(`${where}: only the last section can be the rest`);
    if (variant.id !== undefined && !known.has(variant.id)) fail(`${where}: id ${variant.id} is not a field`);
    const id =
      variant.id === undefined
        ? undefined
        : this.#plan(variant.id, variant.fields[variant.id] ?? fail(`${where}: the id must be a field of its variant`));
    if (id?.field.bits !== undefined || (id !== undefined && id.field.width < 2))
      fail(`${where}: the id must be a whole field of 2, 3, 4 or 8 bytes`);
    return {
      name: variant.name ?? '',
      when,
      steps,
      length: this.#sum(variant.length, known, `${where}: length`),
      sections,
      sectionsAt: variant.sectionsAt === undefined ? { bytes: minBytes, terms: [] } : this.#sum(variant.sectionsAt, known, `${where}: sectionsAt`),
      minBytes,
      id,
      kinds: this.#kinds(variant, known, where),
      checksum: variant.checksum === undefined ? undefined : this.#conditions(variant.checksum.when, known, `${where}: checksum`),
    };
  }
  #kinds({ kind }: VariantDescription, known: ReadonlyMap<string, Field>, where: string): PlannedVariant['kinds'] {
    if (typeof kind !== 'string')
      return (kind ?? []).map((rule) => ({ kind: KIND_NUMBER[rule.is], when: this.#conditions(rule.when, known, `${where}: kind`) }));
    const names = known.get(kind)?.oneOf ?? fail(`${where}: kind ${kind} is not a field with names`);
    return names.map((name, value) => {
      const number = KIND_NUMBER[name as KindName];
      if (number === undefined) fail(`${where}: ${name} is not a kind of frame`);
      return { kind: number, when: this.#conditions({ [kind]: value }, known, where) };
    });
  }
}
/** Checks a description. Throws ConfigError. */
export const frameLayout = (description: LayoutDescription): FrameLayout => new FrameLayout(description);

const endOf = (field: Field): number => field.at.bytes + field.width;
const namesIn = (part: string | LengthExpression | undefined): string[] =>
  part === undefined || part === 'rest' ? [] : typeof part === 'string' ? [part] : part.terms.map(({ field: name }) => name);
/** `bodyBytes` -> `BODY_BYTES`. */
const upperSnake = (name: string): string => name.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toUpperCase();
const fail = (detail: string): never => {
  throw new ConfigError(`frame layout: ${detail}`);
};
