/**
 * What every codec must do, whatever its protocol: one function runs all rules on one codec and its vectors. The built-in codecs pass it in
 * test/contract/codec.test.ts; a private one with `sluice codec test PATH`.
 */
import { isDeepStrictEqual } from 'node:util';
import { CodecError } from '../../base/errors.js';
import { type Codec, DEFAULT_MAX_FRAME_BYTES, frameWithId, isScripted, type LocalReply, layoutOf, type Side } from '../../protocol/codec.js';
import type { Frame } from '../../protocol/frame.js';
import type { FrameDecode, FrameLimits } from '../../protocol/frame-decoder.js';
import { encodeFrame } from '../../protocol/frame-encoder.js';
import type { FrameLayout, KindName, PlannedVariant } from '../../protocol/frame-layout.js';
import { FRAME } from '../../protocol/frame-table.js';
import { decodeAt, describeFrame, hexOf, kindOf, type Outcome, openDecoder, readFrames } from './frame-reader.js';
import { Random } from './random.js';
import { bytesOfHex, type Vector, type VectorFrame } from './vectors.js';
import { watchCodec } from './watch.js';

/** How one rule came out. */
export interface RuleResult {
  readonly rule: string;
  readonly ok: boolean;
  /** Of a broken rule: what happened on which bytes (hex). Of one that does not apply: why. Else empty. */
  readonly detail: string;
}
/** Another implementation of described framing. */
export interface ContractDecoder {
  readonly name: string;
  /** A decoder of one layout; its errors are those of the TypeScript one but for their words. */
  open(protocol: string, layout: FrameLayout, limits: FrameLimits): FrameDecode;
}
/** What the contract is run with; all of it may be left out. */
export interface ContractOptions {
  /** Codecs that a listener may have beside this one: no two may claim the same bytes. */
  readonly others?: readonly Codec[];
  /** Further decoders of a described framing, to be compared with the TypeScript one: the native one. */
  readonly decoders?: readonly ContractDecoder[];
  /** Default 1. The same seed makes the same frames. */
  readonly seed?: number;
  /** Frames made by each random rule; default 300. */
  readonly runs?: number;
  /** Told before each rule. */
  readonly onRule?: (rule: string) => void;
  /** Told of the bytes that the codec is about to look at. */
  readonly onBytes?: (bytes: Uint8Array) => void;
}

/** Runs every rule. Throws nothing that a codec does wrong: that is in the results, the broken rules with the bytes that broke them. */
export function runContract(codec: Codec, vectors: readonly Vector[], options: ContractOptions = {}): RuleResult[] {
  let last: Uint8Array | undefined;
  const watched = watchCodec(codec, (bytes) => {
    last = bytes;
    options.onBytes?.(bytes);
  });
  const suite: Suite = {
    codec: watched,
    layout: layoutOf(codec),
    limits: { maxFrameBytes: codec.maxFrameBytes ?? DEFAULT_MAX_FRAME_BYTES },
    vectors: vectors.map((vector) => ({ ...vector, bytes: bytesOfHex(vector.hex), from: vector.side ?? 'downstream' })),
    others: options.others ?? [],
    decoders: options.decoders ?? [],
    seed: options.seed ?? 1,
    runs: options.runs ?? DEFAULT_RUNS,
  };
  return RULES.map(([rule, check]) => {
    options.onRule?.(rule);
    last = undefined;
    try {
      return { rule, ok: true, detail: check(suite) ?? '' };
    } catch (cause) {
      return { rule, ok: false, detail: cause instanceof Broken ? cause.message : thrown(cause, last) };
    }
  });
}

const DEFAULT_RUNS = 300;
/** A frame that takes longer than this to look at is taken for a hang. */
const HANG_MS = 1000;

class Broken extends Error {}
const broken = (detail: string, bytes: Uint8Array): never => {
  throw new Broken(withBytes(detail, bytes));
};
/** What was thrown, and where, while these bytes were looked at. */
const thrown = (cause: unknown, bytes: Uint8Array | undefined): string =>
  [withBytes(`threw ${cause}`, bytes), ...((cause as Partial<Error>)?.stack?.match(/^\s*at .*$/gm) ?? [])].join('\n');
/** The detail, with the bytes that it is about. */
export function withBytes(detail: string, bytes: Uint8Array | undefined): string {
  if (bytes === undefined) return detail;
  const hex = hexOf(bytes.subarray(0, 2048));
  return `${detail}; bytes ${hex}${bytes.length > 2048 ? `... (${bytes.length} in all)` : ''}`;
}
const text = (value: unknown): string => JSON.stringify(value, (_, part) => (typeof part === 'bigint' ? part.toString() : part));

type VectorBytes = Vector & { readonly bytes: Uint8Array; readonly from: Side };
interface Suite extends Required<Omit<ContractOptions, 'onRule' | 'onBytes'>> {
  readonly codec: Codec;
  readonly layout: FrameLayout;
  readonly limits: FrameLimits;
  readonly vectors: readonly VectorBytes[];
}
/** Throws Broken; answers why the rule does not apply, if so. */
type Rule = (suite: Suite) => string | undefined;

const wholeOnes = ({ vectors }: Suite): readonly VectorBytes[] => vectors.filter(({ frames }) => frames !== undefined);
/** Every frame of every vector, on its own. */
function framesOf(suite: Suite): { vector: VectorBytes; frame: Frame; kind: KindName }[] {
  return wholeOnes(suite).flatMap((vector) =>
    readFrames(suite.codec, vector.from, suite.limits, vector.bytes).frames.map((frame) => ({
      vector,
      frame,
      kind: kindOf(suite.codec, frame, vector.from),
    })),
  );
}
const opposite = (side: Side): Side => (side === 'downstream' ? 'upstream' : 'downstream');

const decodesVectors: Rule = (suite) => {
  const { codec, limits, vectors } = suite;
  if (wholeOnes(suite).length === 0) throw new Broken('no vector has frames');
  for (const { name, bytes, from, frames, error } of vectors) {
    const read = readFrames(codec, from, limits, bytes);
    if (error !== undefined) {
      const found = read.error === undefined ? undefined : { code: read.error.code, offset: read.error.offset };
      if (!isDeepStrictEqual(found, { ...error })) broken(`${name}: ${text(found) ?? 'no error'} instead of ${text(error)}`, bytes);
      continue;
    }
    if (read.error !== undefined) broken(`${name}: ${read.error.message}`, bytes);
    if (read.left > 0) broken(`${name}: ${read.left} bytes are left over`, bytes);
    if (read.frames.length !== frames?.length) broken(`${name}: ${read.frames.length} frames instead of ${frames?.length}`, bytes);
    for (const [index, wanted] of (frames ?? []).entries()) compare(codec, `${name}, frame ${index}`, read.frames[index], wanted, from);
  }
  return undefined;
};
function compare(codec: Codec, name: string, frame: Frame, wanted: VectorFrame, from: Side): void {
  const found = describeFrame(frame);
  const check = (what: string, value: unknown, expected: unknown): void => {
    if (value !== expected) broken(`${name}: ${what} is ${value} instead of ${expected}`, frame.raw);
  };
  if (found.kind !== wanted.kind) check('kind', kindOf(codec, frame, from), wanted.kind);
  if (wanted.variant !== undefined) check('variant', frame.variant, wanted.variant);
  if (wanted.id !== undefined) {
    const bits = idBits(codec, frame);
    check('id', frame.hasId ? BigInt.asUintN(bits, frame.id).toString() : 'absent', BigInt.asUintN(bits, BigInt(wanted.id)).toString());
  }
  for (const [field, value] of Object.entries(wanted.fields ?? {}))
    check(`field ${field}`, frame.bigField(field).toString(), BigInt(value).toString());
  for (const [section, hex] of Object.entries(wanted.sections ?? {}))
    check(`section ${section}`, hexOf(frame.section(section)), hex.replace(/\s+/g, '').toLowerCase());
}
const variantOf = ({ variants }: FrameLayout, frame: Frame): PlannedVariant => variants.find(({ name }) => name === frame.variant) ?? variants[0];
const idBits = (codec: Codec, frame: Frame): number => 8 * (variantOf(layoutOf(codec), frame).id?.field.width ?? 8);

/** Frames and error of a read, to compare two. */
const summary = ({ frames, error, left }: ReturnType<typeof readFrames>): unknown => ({
  frames: frames.map(describeFrame),
  error: error === undefined ? undefined : { code: error.code, offset: error.offset },
  left: error === undefined ? left : 0,
});
const decodesCut: Rule = ({ codec, limits, vectors }) => {
  for (const { name, bytes, from } of vectors) {
    const whole = summary(readFrames(codec, from, limits, bytes));
    const check = (cuts: readonly number[], how: string): void => {
      const cut = summary(readFrames(codec, from, limits, bytes, cuts));
      if (!isDeepStrictEqual(cut, whole)) broken(`${name}, ${how}: ${text(cut)} instead of ${text(whole)}`, bytes);
    };
    for (let at = 1; at < bytes.length; at++) check([at], `cut at byte ${at}`);
    check(
      Array.from({ length: Math.max(0, bytes.length - 1) }, (_, at) => at + 1),
      'byte by byte',
    );
  }
  return undefined;
};

const waitsForTheRest: Rule = ({ codec, limits, vectors }) => {
  for (const { name, bytes, from, error } of vectors) {
    const decode = openDecoder(codec, from, limits);
    const first = decodeAt(codec, decode, bytes);
    const size = first.is === 'frame' ? first.frame.length : bytes.length;
    let isBroken = false;
    for (let end = 0; end < size; end++) {
      // What stands behind `end` is not the peer's: old bytes of another connection.
      for (const filler of [0, 0xff]) {
        const short = new Uint8Array(bytes.length + 64).fill(filler);
        short.set(bytes.subarray(0, end));
        const outcome = decodeAt(codec, decode, short, 0, end);
        const isSame = outcome.is === 'error' && first.is === 'error' && isSameError(outcome.error, first.error);
        if (outcome.is !== 'more' && !isSame) broken(`${name}, only ${end} of ${size} bytes there: ${told(outcome)}`, bytes.subarray(0, end));
        if (isBroken && !isSame) broken(`${name}: the error of byte ${end - 1} is gone at byte ${end}`, bytes.subarray(0, end));
        if (filler !== 0) isBroken = isSame;
      }
    }
    if (error === undefined && first.is === 'error') broken(`${name}: ${first.error.message}`, bytes);
  }
  return undefined;
};
const isSameError = (a: CodecError, b: CodecError): boolean => a.code === b.code && a.offset === b.offset;
const told = (outcome: Outcome): string =>
  outcome.is === 'error' ? outcome.error.message : outcome.is === 'frame' ? `a frame ${text(describeFrame(outcome.frame))}` : 'more';

const decodesBackToBack: Rule = (suite) => {
  const { codec, limits } = suite;
  const whole = wholeOnes(suite);
  for (const [index, first] of whole.entries()) {
    for (const second of new Set([first, whole[(index + 1) % whole.length]])) {
      if (first.from !== second.from) continue;
      const bytes = Buffer.concat([first.bytes, second.bytes]);
      const read = readFrames(codec, first.from, limits, bytes);
      const wanted = [first, second].flatMap(({ bytes: part }) => readFrames(codec, first.from, limits, part).frames.map(describeFrame));
      if (read.error !== undefined || !isDeepStrictEqual(read.frames.map(describeFrame), wanted))
        broken(`${first.name} and ${second.name} in one piece: ${text(summary(read))} instead of ${text(wanted)}`, bytes);
    }
  }
  return undefined;
};

/** The parts of a decoded frame, as `encodeFrame` takes them. */
function partsOf(layout: FrameLayout, frame: Frame) {
  const variant = variantOf(layout, frame);
  const names = fieldsOf(layout, variant).map(({ name }) => name);
  return {
    variant: variant.name,
    fields: Object.fromEntries(names.map((name) => [name, frame.bigField(name)])),
    sections: Object.fromEntries(
      variant.sections.map(({ index }) => [layout.sectionNames[index], frame.section(layout.sectionNames[index])] as const),
    ),
  };
}
const encodesBack: Rule = (suite) => {
  const { codec, layout } = suite;
  if (isScripted(codec.framing)) return 'scripted framings are not encoded from a layout';
  for (const { vector, frame } of framesOf(suite)) {
    let bytes: Uint8Array = new Uint8Array(0);
    try {
      bytes = encodeFrame(layout, partsOf(layout, frame));
    } catch (cause) {
      broken(`${vector.name}: cannot be encoded back: ${cause}`, frame.raw);
    }
    if (!isDeepStrictEqual(Buffer.from(bytes), Buffer.from(frame.raw))) broken(`${vector.name}: encoded back to ${hexOf(bytes)}`, frame.raw);
  }
  return undefined;
};

const encodesRandomFrames: Rule = ({ codec, layout, limits, seed, runs }) => {
  if (isScripted(codec.framing)) return 'scripted framings are not encoded from a layout';
  const random = new Random(seed);
  const decode = openDecoder(codec, 'downstream', limits);
  for (const variant of layout.variants) {
    let made = 0;
    for (let run = 0; run < runs; run++) {
      const parts = randomParts(layout, variant, random);
      let bytes: Uint8Array;
      try {
        bytes = encodeFrame(layout, parts);
      } catch (cause) {
        // Lengths that do not go together: a section that is no multiple of its unit, a field out of its frame.
        if (cause instanceof RangeError) continue;
        throw cause;
      }
      const outcome = decodeAt(codec, decode, bytes);
      // A length that came out of the sections may not be allowed, and another variant may fit as well.
      if (outcome.is === 'error' && isLengthFault(layout, variant, outcome.error.code)) continue;
      if (outcome.is !== 'frame') return broken(`variant ${variant.name}: ${told(outcome)} for a whole frame of ${text(parts.fields)}`, bytes);
      const { frame } = outcome;
      if (frame.variant !== variant.name) continue;
      made++;
      for (const [name, value] of Object.entries(parts.fields))
        if (BigInt.asUintN(64, frame.bigField(name)) !== BigInt.asUintN(64, BigInt(value)))
          broken(`field ${name} is ${frame.bigField(name)} instead of ${value}`, bytes);
      if (frame.length !== bytes.length) broken(`a frame of ${bytes.length} bytes is read as ${frame.length}`, bytes);
      const again = encodeFrame(layout, partsOf(layout, frame));
      if (!isDeepStrictEqual(Buffer.from(again), Buffer.from(bytes))) broken(`encoded back to ${hexOf(again)}`, bytes);
    }
    if (made === 0) throw new Broken(`variant ${variant.name}: no random frame could be made of the layout`);
  }
  return undefined;
};
/** Slots of the fields that lengths and places are made of. */
function lengthSlots(variant: PlannedVariant): ReadonlySet<number> {
  const sums = [variant.length, variant.sectionsAt, ...variant.sections.flatMap(({ length }) => length ?? [])];
  for (const step of variant.steps) if (step.op === 'field') sums.push(step.at);
  return new Set(sums.flatMap(({ terms }) => terms.map(({ slot }) => slot)));
}
const fieldsOf = (layout: FrameLayout, variant: PlannedVariant) => [
  ...layout.prefix,
  ...variant.steps.flatMap((step) => (step.op === 'field' ? [step.field] : [])),
];
function isLengthFault(layout: FrameLayout, variant: PlannedVariant, code: string): boolean {
  const lengths = lengthSlots(variant);
  return (
    code === 'BAD_LENGTH' || code === 'FRAME_TOO_LARGE' || fieldsOf(layout, variant).some((field) => lengths.has(field.slot) && field.code === code)
  );
}
/** Random values for all fields that are no lengths, and sections of a few bytes. */
function randomParts(layout: FrameLayout, variant: PlannedVariant, random: Random) {
  const lengths = lengthSlots(variant);
  const fields: Record<string, number | bigint> = {};
  for (const planned of fieldsOf(layout, variant)) {
    if (lengths.has(planned.slot)) continue;
    const { name, allowed, field } = planned;
    const condition = variant.when.find(({ slot }) => slot === planned.slot);
    const size = field.bits?.count ?? 8 * field.width;
    if (condition !== undefined) fields[name] = random.pick(condition.values);
    else if (allowed.length > 0) fields[name] = random.pick(allowed);
    else if (size === 64) {
      const value = (BigInt(random.u32()) << 32n) | BigInt(random.u32());
      fields[name] = field.signed ? BigInt.asIntN(64, value) : value;
    } else {
      const [least, most] = field.signed ? [-(2 ** (size - 1)), 2 ** (size - 1) - 1] : [0, 2 ** size - 1];
      const [from, to] = [field.min ?? least, field.max ?? most];
      fields[name] = from + random.below(to - from + 1);
    }
  }
  const sections = variant.sections.map(({ index, length }) => {
    const size = length !== undefined && length.terms.length === 0 ? length.bytes : random.below(41);
    return [layout.sectionNames[index], random.bytes(Math.max(0, size))] as const;
  });
  return { variant: variant.name, fields, sections: Object.fromEntries(sections) };
}

const keepsLimits: Rule = (suite) => {
  const { codec, layout } = suite;
  for (const { vector, frame } of framesOf(suite)) {
    const size = frame.length;
    const exact = decodeAt(codec, openDecoder(codec, vector.from, { maxFrameBytes: size }), frame.raw);
    if (exact.is !== 'frame') broken(`${vector.name}: ${told(exact)} with a limit of exactly its ${size} bytes`, frame.raw);
    const decode = openDecoder(codec, vector.from, { maxFrameBytes: size - 1 });
    // The last section that is not empty: none of its bytes may be waited for.
    const starts = layout.sectionNames.filter((name) => frame.sectionBytes(name) > 0).map((name) => frame.sectionStart(name));
    const bodyAt = starts.length === 0 ? size : Math.max(...starts);
    for (const end of [bodyAt, size]) {
      const outcome = decodeAt(codec, decode, frame.raw, 0, end);
      if (outcome.is !== 'error' || outcome.error.code !== 'FRAME_TOO_LARGE')
        broken(`${vector.name}: ${told(outcome)} instead of FRAME_TOO_LARGE with ${end} bytes there and a limit of ${size - 1}`, frame.raw);
    }
  }
  return undefined;
};

/** Calls every ability that only looks at a frame, or makes another of it. A CodecError is an answer: the frame's own stream fails. */
function useFrame(suite: Suite, frame: Frame, from: Side): void {
  try {
    useAbilities(suite, frame, from);
  } catch (cause) {
    if (!(cause instanceof CodecError)) throw cause;
  }
}
function useAbilities({ codec }: Suite, frame: Frame, from: Side): void {
  const kind = kindOf(codec, frame, from);
  if (kind === 'request' || kind === 'oneway') {
    codec.service?.(frame);
    codec.method?.(frame);
    codec.timeoutMs?.(frame);
  }
  if (kind === 'request') codec.respond?.(frame, REPLIES[0]);
  if (kind === 'response') codec.statusClass?.(codec.status?.(frame) ?? 0);
  if (kind === 'response') codec.endsConnection?.(frame);
  if (kind === 'heartbeat') codec.heartbeatAck?.(frame);
  if (kind !== 'request' && kind !== 'oneway' && kind !== 'response') return;
  for (const [name] of codec.headers?.(frame).entries() ?? []) codec.headers?.(frame).get(name);
  codec.withHeaders?.(frame, new Map([['x-contract', '1']]));
  frameWithId(codec, frame, 7, 0);
}
/** Decodes bytes of any kind, whole and cut at `end`, and uses the frame; answers what the decoder said of the whole. */
function tryBytes(suite: Suite, bytes: Uint8Array, side: Side, end: number): Outcome {
  const { codec, limits } = suite;
  const decode = openDecoder(codec, side, limits);
  const startedAt = performance.now();
  const attempt = <T>(run: () => T): T => {
    try {
      return run();
    } catch (cause) {
      throw new Broken(thrown(cause, bytes));
    }
  };
  const outcome = attempt(() => decodeAt(codec, decode, bytes));
  const short = attempt(() => decodeAt(codec, decode, bytes, 0, end));
  if (short.is !== 'more' && !isDeepStrictEqual(comparable(short), comparable(outcome)))
    broken(`with ${end} bytes there: ${told(short)}; with all: ${told(outcome)}`, bytes);
  if (outcome.is === 'frame') attempt(() => useFrame(suite, outcome.frame, side));
  const ms = performance.now() - startedAt;
  if (ms > HANG_MS) broken(`took ${Math.round(ms)} ms`, bytes);
  return outcome;
}
function checkOutcome({ codec, layout }: Suite, bytes: Uint8Array, outcome: Outcome): void {
  if (outcome.is === 'error') {
    const { protocol, offset } = outcome.error;
    if (protocol !== codec.name || !Number.isInteger(offset) || offset < 0) broken(`an error of protocol ${protocol} at byte ${offset}`, bytes);
  }
  if (outcome.is !== 'frame') return;
  const { frame } = outcome;
  if (frame.length <= 0 || frame.length > bytes.length) broken(`a frame of ${frame.length} bytes out of ${bytes.length}`, bytes);
  for (const name of layout.sectionNames) {
    const [start, size] = [frame.sectionStart(name), frame.sectionBytes(name)];
    if (start < 0 || size < 0 || start + size > frame.length) broken(`section ${name} of ${size} bytes at ${start} of ${frame.length}`, bytes);
  }
}
const survivesBrokenBytes: Rule = (suite) => {
  const { codec, layout, limits, vectors, seed, runs, decoders } = suite;
  const random = new Random(seed + 1);
  const check = (bytes: Uint8Array, side: Side): void => {
    const outcome = tryBytes(suite, bytes, side, random.below(bytes.length + 1));
    checkOutcome(suite, bytes, outcome);
    if (isScripted(codec.framing)) return;
    for (const other of decoders) {
      const found = decodeAt(codec, other.open(codec.name, layout, limits), bytes);
      if (!isDeepStrictEqual(comparable(found), comparable(outcome))) broken(`${other.name}: ${told(found)}; typescript: ${told(outcome)}`, bytes);
    }
  };
  const sides = ['downstream', 'upstream'] as const;
  for (let run = 0; run < runs; run++) {
    check(random.bytes(random.below(200)), random.pick(sides));
    const source = random.pick(vectors);
    const bytes = source.bytes.slice();
    for (let edits = random.below(4); edits >= 0 && bytes.length > 0; edits--)
      bytes[random.below(bytes.length)] = random.pick([0, 1, 0x7f, 0x80, 0xff, random.below(256)]);
    const side = random.below(4) === 0 ? random.pick(sides) : source.from;
    check(random.below(4) === 0 ? Uint8Array.from([...bytes, ...random.bytes(random.below(64))]) : bytes, side);
  }
  for (const { bytes, from } of vectors) check(bytes, from);
  return undefined;
};
const comparable = (outcome: Outcome): unknown =>
  outcome.is === 'frame'
    ? describeFrame(outcome.frame)
    : outcome.is === 'error'
      ? { code: outcome.error.code, offset: outcome.error.offset }
      : outcome.is;

const decodersAgree: Rule = ({ codec, layout, limits, vectors, decoders, seed, runs }) => {
  if (isScripted(codec.framing)) return 'scripted framings run in TypeScript on both engines';
  if (decoders.length === 0) return 'the addon is not here: the fallback runs alone';
  const own = openDecoder(codec, 'downstream', limits);
  const random = new Random(seed + 3);
  for (const { name, open } of decoders) {
    const other = open(codec.name, layout, limits);
    const check = (bytes: Uint8Array, end: number): void => {
      const [found, wanted] = [decodeAt(codec, other, bytes, 0, end), decodeAt(codec, own, bytes, 0, end)];
      if (!isDeepStrictEqual(comparable(found), comparable(wanted)))
        broken(`with ${end} bytes there, ${name}: ${told(found)}; fallback: ${told(wanted)}`, bytes);
    };
    for (const { bytes } of vectors) for (let end = 0; end <= bytes.length; end++) check(bytes, end);
    for (let run = 0; run < runs; run++) {
      const bytes = random.pick(vectors).bytes.slice();
      for (let edits = random.below(4); edits >= 0 && bytes.length > 0; edits--) bytes[random.below(bytes.length)] = random.below(256);
      check(bytes, random.below(bytes.length + 1));
      check(bytes, bytes.length);
    }
  }
  return undefined;
};

const keepsIds: Rule = (suite) => {
  const { codec } = suite;
  const withIds = framesOf(suite).filter(({ frame }) => frame.hasId);
  if (withIds.length === 0) return 'no frame has an id';
  for (const { vector, frame, kind } of withIds) {
    const bits = idBits(codec, frame);
    const original = describeFrame(frame);
    for (const [low, high] of IDS) {
      const id = BigInt.asUintN(bits, (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0));
      const bytes = frameWithId(codec, frame, low | 0, bits > 32 ? high | 0 : 0);
      const outcome = decodeAt(codec, openDecoder(codec, vector.from, suite.limits), bytes);
      if (outcome.is !== 'frame') return broken(`${vector.name}, given id ${id}: ${told(outcome)}`, bytes);
      const changed = outcome.frame;
      if (changed.length !== bytes.length || !changed.hasId || BigInt.asUintN(bits, changed.id) !== id)
        broken(`${vector.name}, given id ${id}: read as ${text(describeFrame(changed))}`, bytes);
      // Id 0 marks a frame that answers no request in some protocols.
      if (id !== 0n && low !== 0 && kindOf(codec, changed, vector.from) !== kind && frame.id !== 0n)
        broken(`${vector.name}, given id ${id}: its kind is ${kindOf(codec, changed, vector.from)} instead of ${kind}`, bytes);
      for (const section of suite.layout.sectionNames)
        if (!hasIdInside(frame, section) && hexOf(changed.section(section)) !== hexOf(frame.section(section)))
          broken(`${vector.name}, given id ${id}: section ${section} changed`, bytes);
      const back = frameWithId(codec, changed, frame.idLow, frame.idHigh);
      const restored = decodeAt(codec, openDecoder(codec, vector.from, suite.limits), back);
      const isSame = restored.is === 'frame' && restored.frame.id === frame.id && kindOf(codec, restored.frame, vector.from) === kind;
      if (!isSame) broken(`${vector.name}, given id ${id} and back: ${told(restored)} instead of ${text(original)}`, back);
      const inPlace = !isScripted(codec.framing) || codec.framing.withId === undefined;
      if (inPlace && hexOf(back) !== hexOf(frame.raw)) broken(`${vector.name}, given id ${id} and back: not the same bytes`, back);
    }
  }
  return undefined;
};
const hasIdInside = (frame: Frame, section: string): boolean => {
  const { ints, base } = frame;
  const at = ints[base + FRAME.ID_AT] - frame.sectionStart(section);
  return at >= 0 && at < frame.sectionBytes(section);
};
/** Low and high words. */
const IDS: readonly (readonly [number, number])[] = [
  [0, 0],
  [1, 0],
  [0x7f, 0],
  [0x80, 0],
  [0x7fff, 0],
  [0x8000, 0],
  [0x7fffffff, 0],
  [0x80000000, 0],
  [0xffffffff, 0],
  [0, 1],
  [0x01020304, 0x05060708],
  [1, 0x7fffffff],
  [1, 0x80000000],
  [0xffffffff, 0xffffffff],
];

const REPLIES: readonly LocalReply[] = [
  { status: 503, details: 'no healthy upstream' },
  { status: 404, details: 'no route' },
  { status: 504, details: 'upstream request timeout' },
  { status: 502, details: 'the upstream’s connection was lost: "\\\n"' },
];
/** Reads exactly one frame that the proxy made. */
function readMade(suite: Suite, bytes: Uint8Array, from: Side, what: string): Frame {
  const read = readFrames(suite.codec, from, suite.limits, bytes);
  if (read.error !== undefined) broken(`${what}: ${read.error.message}`, bytes);
  if (read.frames.length !== 1 || read.left > 0) broken(`${what}: ${read.frames.length} frames and ${read.left} bytes instead of one frame`, bytes);
  return read.frames[0];
}
const answersByItself: Rule = (suite) => {
  const { codec } = suite;
  const frames = framesOf(suite);
  const expectKind = (frame: Frame, from: Side, what: string, ...wanted: KindName[]): void => {
    const kind = kindOf(codec, frame, from);
    if (!wanted.includes(kind)) broken(`${what}: a frame of kind ${kind} instead of ${wanted.join(' or ')}`, frame.raw);
  };
  const expectId = (frame: Frame, asked: Frame, what: string): void => {
    if (frame.hasId !== asked.hasId || (asked.hasId && frame.id !== asked.id))
      broken(`${what}: id ${frame.hasId ? frame.id : 'absent'} instead of ${asked.hasId ? asked.id : 'absent'}`, frame.raw);
  };
  for (const { vector, frame, kind } of frames) {
    if (kind === 'request' && codec.respond !== undefined) {
      for (const reply of REPLIES) {
        const what = `${vector.name}, answered with ${reply.status}`;
        const made = codec.respond(frame, reply);
        if (made === undefined) continue;
        const response = readMade(suite, made, opposite(vector.from), what);
        expectKind(response, opposite(vector.from), what, 'response');
        expectId(response, frame, what);
        if (codec.status === undefined) continue;
        const counted = (codec.statusClass ?? ((status: number) => (status === 0 ? 200 : 500)))(codec.status(response));
        if (counted < 400) broken(`${what}: counted as ${counted}`, response.raw);
      }
    }
    if (kind === 'heartbeat' && codec.heartbeatAck !== undefined) {
      const what = `${vector.name}, answered`;
      const bytes = codec.heartbeatAck(frame);
      if (bytes.length === 0) continue;
      const ack = readMade(suite, bytes, opposite(vector.from), what);
      expectKind(ack, opposite(vector.from), what, 'heartbeat-ack', 'response');
      expectId(ack, frame, what);
    }
  }
  if (codec.heartbeat !== undefined) {
    for (const [low, high] of [...IDS.slice(1, 5), IDS[9]]) {
      const bytes = codec.heartbeat(low, high);
      const frame = readMade(suite, bytes, 'downstream', `heartbeat of id ${high}, ${low}`);
      expectKind(frame, 'downstream', 'heartbeat', 'heartbeat');
      const bits = idBits(codec, frame);
      const id = BigInt.asUintN(bits, (BigInt(high) << 32n) | BigInt(low));
      if (frame.hasId && BigInt.asUintN(bits, frame.id) !== id) broken(`heartbeat: id ${frame.id} instead of ${id}`, bytes);
      if (codec.heartbeatAck === undefined) continue;
      const ack = readMade(suite, codec.heartbeatAck(frame), 'upstream', 'answered heartbeat');
      expectKind(ack, 'upstream', 'answered heartbeat', 'heartbeat-ack', 'response');
      expectId(ack, frame, 'answered heartbeat');
    }
  }
  if (codec.goAway !== undefined) {
    const frame = readMade(suite, codec.goAway(), 'upstream', 'go-away');
    expectKind(frame, 'upstream', 'go-away', 'go-away');
  }
  return undefined;
};

const changesHeaders: Rule = (suite) => {
  const { codec, limits } = suite;
  if (codec.headers === undefined) return 'the codec has no header map';
  const { headers, withHeaders } = codec;
  for (const { vector, frame, kind } of framesOf(suite)) {
    if (kind !== 'request' && kind !== 'response' && kind !== 'oneway') continue;
    const before = [...headers.call(codec, frame).entries()];
    for (const [name] of before) {
      const values = before.filter(([key]) => key === name).map(([, value]) => value);
      const got = headers.call(codec, frame).get(name);
      if (got === undefined || !values.includes(got)) broken(`${vector.name}: get(${name}) is ${got}, its entries are ${values}`, frame.raw);
    }
    if (headers.call(codec, frame).get('x-contract-absent') !== undefined) broken(`${vector.name}: has a header that is not there`, frame.raw);
    if (withHeaders?.call(codec, frame, new Map()) === undefined) continue;
    const change = (of: Frame, changes: readonly (readonly [string, string | undefined])[]): Frame => {
      const bytes = withHeaders.call(codec, of, new Map(changes)) ?? broken(`${vector.name}: headers could be changed once and not again`, of.raw);
      const outcome = decodeAt(codec, openDecoder(codec, vector.from, limits), bytes);
      if (outcome.is !== 'frame' || outcome.frame.length !== bytes.length)
        return broken(`${vector.name}, headers changed by ${text(changes)}: ${told(outcome)}`, bytes);
      if (kindOf(codec, outcome.frame, vector.from) !== kind || outcome.frame.id !== frame.id)
        broken(`${vector.name}, headers changed by ${text(changes)}: kind or id changed`, bytes);
      return outcome.frame;
    };
    const added = change(frame, [['x-contract', 'välue']]);
    if (headers.call(codec, added).get('x-contract') !== 'välue') broken(`${vector.name}: a header that was set is not there`, added.raw);
    const set = change(added, [['x-contract', 'other']]);
    if (headers.call(codec, set).get('x-contract') !== 'other') broken(`${vector.name}: a header that was set again keeps its value`, set.raw);
    const removed = change(set, [['x-contract', undefined]]);
    if (!isDeepStrictEqual([...headers.call(codec, removed).entries()], before)) broken(`${vector.name}: other headers than before`, removed.raw);
  }
  return undefined;
};

const detects: Rule = (suite) => {
  const { codec, vectors, others } = suite;
  const { match } = codec;
  if (match === undefined) return 'the protocol is never detected, only configured';
  const verdicts = (bytes: Uint8Array): string[] => Array.from({ length: bytes.length + 1 }, (_, end) => match(bytes.subarray(0, end)));
  const settled = (name: string, bytes: Uint8Array): string => {
    const found = verdicts(bytes);
    if (found[0] !== 'more') broken(`${name}: the verdict is ${found[0]} before the first byte`, bytes);
    const first = found.findIndex((verdict) => verdict !== 'more');
    if (first < 0) return 'more';
    const flip = found.findIndex((verdict, at) => at > first && verdict !== found[first]);
    if (flip >= 0) broken(`${name}: ${found[first]} with ${first} bytes, ${found[flip]} with ${flip}`, bytes);
    return found[first];
  };
  const opening = new Set<KindName>(['request', 'oneway', 'heartbeat']);
  for (const { name, bytes, from, frames } of vectors) {
    const verdict = settled(name, bytes);
    if (frames === undefined || from === 'upstream' || frames.length === 0 || !opening.has(frames[0].kind)) continue;
    if (verdict !== 'yes') broken(`${name}: a client's bytes, and the verdict is ${verdict}`, bytes);
    for (const other of others)
      if (other.name !== codec.name && other.match?.(bytes) === 'yes') broken(`${name}: ${other.name} says yes, too`, bytes);
  }
  for (const [name, bytes] of FOREIGN) {
    const verdict = settled(name, bytes);
    if (verdict !== 'no') broken(`${name}: the verdict is ${verdict} instead of no`, bytes);
  }
  const random = new Random(suite.seed + 2);
  for (let run = 0; run < suite.runs; run++) {
    const bytes = random.below(2) === 0 ? random.bytes(random.below(40)) : random.pick(vectors).bytes.slice(0, 40);
    if (bytes.length > 0) bytes[random.below(Math.min(bytes.length, 16))] = random.below(256);
    settled('random bytes', bytes);
  }
  return undefined;
};
/** What other clients begin with. */
const FOREIGN: readonly (readonly [string, Uint8Array])[] = [
  ...['GET / HTTP/1.1\r\nHost: a\r\n\r\n', 'POST /x HTTP/1.1\r\n', 'PUT / HTTP/1.1\r\n', 'PATCH / HTTP/1.1\r\n', 'OPTIONS * HTTP/1.1\r\n'].map(
    (line) => [`HTTP/1 ${line.slice(0, line.indexOf('\r'))}`, Buffer.from(line)] as const,
  ),
  ['HTTP/2 preface', Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')],
  ['PROXY protocol', Buffer.from('PROXY TCP4 1.2.3.4 1.2.3.4 1 1\r\n')],
  ['TLS ClientHello', bytesOfHex('16030100c8010000c403035f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f')],
];

const showsLargeFramesEarly: Rule = (suite) => {
  const { codec, layout } = suite;
  if (isScripted(codec.framing)) return 'scripted framings wait for whole frames';
  const limits: FrameLimits = { ...suite.limits, cutThroughBytes: 1 };
  for (const { vector, frame } of framesOf(suite)) {
    const last = variantOf(layout, frame).sections.at(-1);
    if (last === undefined) continue;
    const section = layout.sectionNames[last.index];
    if (frame.sectionBytes(section) === 0 || frame.sectionStart(section) + frame.sectionBytes(section) !== frame.length) continue;
    const decode = openDecoder(codec, vector.from, limits);
    const outcome = decodeAt(codec, decode, frame.raw, 0, frame.length - 1);
    // One with a checksum, or with a field in its last section, is always whole.
    if (outcome.is === 'more') continue;
    if (outcome.is !== 'frame' || !outcome.frame.isPartial || outcome.frame.length !== frame.length)
      return broken(`${vector.name}, cut through: ${told(outcome)}`, frame.raw);
    const { kind, id, fields } = describeFrame(frame);
    const found = describeFrame(outcome.frame);
    if (!isDeepStrictEqual({ kind: found.kind, id: found.id, fields: found.fields }, { kind, id, fields }))
      broken(`${vector.name}, cut through: ${text(found)}`, frame.raw);
    useFrame(suite, outcome.frame, vector.from);
  }
  return undefined;
};

const RULES: readonly (readonly [string, Rule])[] = [
  ['every vector decodes whole', decodesVectors],
  ['every vector decodes the same when cut at every byte', decodesCut],
  ['every truncated vector waits for the rest', waitsForTheRest],
  ['two frames back to back are two frames', decodesBackToBack],
  ['decoded frames encode to the same bytes', encodesBack],
  ['random frames decode to what they were made of', encodesRandomFrames],
  ['a frame one byte over the limit is refused before its body is there', keepsLimits],
  ['random and mutated bytes neither hang, nor over-read, nor throw anything but CodecError', survivesBrokenBytes],
  ['native and fallback agree', decodersAgree],
  ['ids are replaced and restored', keepsIds],
  ['local replies, heartbeats and go-away are frames of their kind with the right id', answersByItself],
  ['headers are read, set and removed', changesHeaders],
  ['detection is steady, claims its own bytes and no others', detects],
  ['large frames are shown before their last section', showsLargeFramesEarly],
];
