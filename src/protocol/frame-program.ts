import type { FrameLayout, PlannedCondition, PlannedField, PlannedSum, PlannedVariant } from './frame-layout.js';
import { FIELD_CHECK, FIELD_FLAG, FRAME_FAULT, LAYOUT_OP, LAYOUT_VERSION } from './frame-table.js';

/** The byte-code of a layout, and the codes of the errors that it names by number. */
export interface FrameProgram {
  readonly words: Int32Array;
  /** Error codes of fields, by the number in the byte-code. */
  readonly codes: readonly string[];
}

/**
 * Turns a layout into the byte-code that native/frame_decoder.cc runs:
 * ```
 *   program    = VERSION sections slots count field*            the prefix
 *                count variant*
 *   variant    = conditions minBytes sum(length) sum(sectionsAt)
 *                count (sectionIndex isRest sum?)* idSlot hasChecksum conditions? count (kind conditions)* count step*
 *   step       = FIELD sum(at) field | LENGTH
 *   field      = slot width flags at shift count code check (count number* | min max)
 *   sum        = bytes count (slot scale)*
 *   conditions = count (slot count number*)*
 *   number     = low high                                       a value of 64 bits, signed
 * ```
 */
export function compileFrameProgram(layout: FrameLayout): FrameProgram {
  const words: number[] = [];
  const codes: string[] = [];
  const number = (value: number) => words.push(value | 0, Math.floor(value / 2 ** 32));
  const sum = ({ bytes, terms }: PlannedSum) => {
    words.push(bytes, terms.length);
    for (const { slot, scale } of terms) words.push(slot, scale);
  };
  const conditions = (list: readonly PlannedCondition[]) => {
    words.push(list.length);
    for (const { slot, values } of list) {
      words.push(slot, values.length);
      for (const value of values) number(value);
    }
  };
  const field = ({ slot, field: { width, signed, endian, bits, at, min, max }, allowed, code }: PlannedField) => {
    let known = codes.indexOf(code);
    if (known < 0) known = codes.push(code) - 1;
    const flags = (endian === 'little' ? FIELD_FLAG.LITTLE : 0) | (signed ? FIELD_FLAG.SIGNED : 0);
    words.push(slot, width, flags, at.bytes, bits?.shift ?? 0, bits?.count ?? 0, known);
    if (allowed.length > 0) {
      words.push(FIELD_CHECK.ONE_OF, allowed.length);
      for (const value of allowed) number(value);
    } else if (min !== undefined || max !== undefined) {
      words.push(FIELD_CHECK.RANGE);
      number(min ?? -(2 ** 32));
      number(max ?? 2 ** 32);
    } else words.push(FIELD_CHECK.NONE);
  };
  const variant = (planned: PlannedVariant) => {
    conditions(planned.when);
    words.push(planned.minBytes);
    sum(planned.length);
    sum(planned.sectionsAt);
    words.push(planned.sections.length);
    for (const { index, length } of planned.sections) {
      words.push(index, length === undefined ? 1 : 0);
      if (length !== undefined) sum(length);
    }
    words.push(planned.id?.slot ?? -1, planned.checksum === undefined ? 0 : 1);
    if (planned.checksum !== undefined) conditions(planned.checksum);
    words.push(planned.kinds.length);
    for (const { kind, when } of planned.kinds) {
      words.push(kind);
      conditions(when);
    }
    words.push(planned.steps.length);
    for (const step of planned.steps) {
      if (step.op === 'length') words.push(LAYOUT_OP.LENGTH);
      else {
        words.push(LAYOUT_OP.FIELD);
        sum(step.at);
        field(step.field);
      }
    }
  };
  words.push(LAYOUT_VERSION, layout.sectionCount, layout.fieldNames.length, layout.prefix.length);
  for (const planned of layout.prefix) field(planned);
  words.push(layout.variants.length);
  for (const planned of layout.variants) variant(planned);
  return { words: Int32Array.from(words), codes };
}

/** The code of an error by the number that C++ gives it: below 0 one of framing itself, else one of the program's fields. */
export const frameFaultCode = (number: number, { codes }: FrameProgram): string => FAULT_CODES[number] ?? codes[number] ?? 'BAD_FRAME';
const FAULT_CODES: Readonly<Record<number, string>> = Object.fromEntries(Object.entries(FRAME_FAULT).map(([code, number]) => [number, code]));
