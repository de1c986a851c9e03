/** A frame taken apart for a reader: every field with its place and value, its sections, and what the codec says about it. */
import { type Codec, isScripted, type Side } from '../../protocol/codec.js';
import type { Frame } from '../../protocol/frame.js';
import type { Field, FrameLayout, KindName, PlannedSum, PlannedVariant } from '../../protocol/frame-layout.js';
import { kindOf } from './frame-reader.js';

/** A frame, taken apart. Numbers that may not fit a double are decimal texts. */
export interface DissectedFrame {
  readonly kind: KindName;
  readonly variant?: string;
  readonly bytes: number;
  readonly id?: string;
  readonly fields: readonly DissectedField[];
  readonly sections: readonly DissectedSection[];
  readonly service?: string;
  readonly method?: string;
  readonly timeoutMs?: number;
  readonly status?: number;
  /** How the status is counted, as one of HTTP. */
  readonly statusClass?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Why the codec could not say more. */
  readonly error?: string;
}
export interface DissectedField {
  readonly name: string;
  /** From the first byte of the frame; absent where a scripted framing found it, which does not say. */
  readonly offset?: number;
  readonly width?: number;
  /** `3 bits from bit 4`. */
  readonly bits?: string;
  readonly value: string;
  /** Its name, where the layout gives values names. */
  readonly means?: string;
}
export interface DissectedSection {
  readonly name: string;
  readonly offset: number;
  readonly bytes: Uint8Array;
}

const DEFAULT_CLASS = (status: number): number => (status === 0 ? 200 : 500);

/** Takes a whole frame apart. Throws nothing that the codec does not throw but as CodecError: its abilities may refuse a frame, which is told in `error`. */
export function dissect(codec: Codec, frame: Frame, from: Side): DissectedFrame {
  const { layout } = frame;
  const kind = kindOf(codec, frame, from);
  const basic = {
    kind,
    variant: frame.variant === '' ? undefined : frame.variant,
    bytes: frame.length,
    id: frame.hasId ? frame.id.toString() : undefined,
    fields: isScripted(codec.framing) ? scriptedFields(frame) : describedFields(layout, frame),
    sections: sectionsOf(layout, frame),
  };
  try {
    return { ...basic, ...abilities(codec, frame, kind) };
  } catch (cause) {
    return { ...basic, error: cause instanceof Error ? cause.message : String(cause) };
  }
}
function abilities(codec: Codec, frame: Frame, kind: KindName) {
  const isRequest = kind === 'request' || kind === 'oneway';
  const isResponse = kind === 'response';
  const status = isResponse ? codec.status?.(frame) : undefined;
  const headers = isRequest || isResponse ? codec.headers?.(frame) : undefined;
  return {
    service: isRequest ? codec.service?.(frame) : undefined,
    method: isRequest ? codec.method?.(frame) : undefined,
    timeoutMs: isRequest ? codec.timeoutMs?.(frame) : undefined,
    status,
    statusClass: status === undefined ? undefined : (codec.statusClass ?? DEFAULT_CLASS)(status),
    headers: headers === undefined ? undefined : Object.fromEntries(headers.entries()),
  };
}

const variantOf = ({ variants }: FrameLayout, frame: Frame): PlannedVariant => variants.find(({ name }) => name === frame.variant) ?? variants[0];
function describedFields(layout: FrameLayout, frame: Frame): DissectedField[] {
  const variant = variantOf(layout, frame);
  const fields = layout.prefix.map(({ name, field }) => describe(name, field, field.at.bytes, frame));
  for (const step of variant.steps)
    if (step.op === 'field') fields.push(describe(step.field.name, step.field.field, evaluate(step.at, frame), frame));
  return fields.sort((a, b) => (a.offset ?? 0) - (b.offset ?? 0));
}
function describe(name: string, { width, bits, oneOf }: Field, offset: number, frame: Frame): DissectedField {
  const value = frame.bigField(name);
  const meaning = oneOf?.[Number(value)];
  return {
    name,
    offset,
    width,
    bits: bits === undefined ? undefined : `${bits.count} bit${bits.count === 1 ? '' : 's'} from bit ${bits.shift}`,
    value: value.toString(),
    means: typeof meaning === 'string' ? meaning : undefined,
  };
}
const evaluate = ({ bytes, terms }: PlannedSum, frame: Frame): number => terms.reduce((sum, { slot, scale }) => sum + frame.at(slot) * scale, bytes);
const scriptedFields = (frame: Frame): DissectedField[] => frame.layout.fieldNames.map((name) => ({ name, value: frame.bigField(name).toString() }));
const sectionsOf = (layout: FrameLayout, frame: Frame): DissectedSection[] =>
  variantOf(layout, frame).sections.map(({ index }) => {
    const name = layout.sectionNames[index];
    return { name, offset: frame.sectionStart(name), bytes: frame.section(name) };
  });
