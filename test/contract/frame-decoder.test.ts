/** Described framing is written twice: native/frame_decoder.cc must see in any bytes, by any layout, what src/protocol/frame-decoder.ts sees. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import fc from 'fast-check';
import { CodecError, ConfigError } from '../../src/base/errors.js';
import { bytesOfHex, readVectors } from '../../src/cli/codec/vectors.js';
import { type Codec, isScripted } from '../../src/protocol/codec.js';
import { crc32 } from '../../src/protocol/crc32.js';
import { DECODED, type FrameLimits } from '../../src/protocol/frame-decoder.js';
import {
  type Field,
  FrameLayout,
  fixed,
  type KindName,
  type LayoutDescription,
  type LengthExpression,
  u8,
  u16,
  u32,
  u64,
  type VariantDescription,
} from '../../src/protocol/frame-layout.js';
import { compileFrameProgram } from '../../src/protocol/frame-program.js';
import { FRAME } from '../../src/protocol/frame-table.js';
import { addon, type FrameDecoder, fallback, native } from '../support/frame-decoders.js';

const skip = native === undefined ? 'the addon is not built' : false;
const RUNS = 2000;
const KINDS = ['request', 'oneway', 'response', 'heartbeat', 'heartbeat-ack', 'go-away', 'event', 'unknown'] as const satisfies readonly KindName[];

/** The decisions of a description, all from one number, evenly spread. */
class Choices {
  #state: number;
  constructor(seed: number) {
    this.#state = seed;
  }
  below(bound: number): number {
    this.#state = (this.#state + 0x9e37_79b9) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 16), 0x21f0_aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a_2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) % bound;
  }
  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)];
  }
  sometimes<T>(make: () => T, of = 2): T | undefined {
    return this.below(of) === 0 ? make() : undefined;
  }
}

function expression(choices: Choices, known: readonly string[], bytes: number, most: number): LengthExpression {
  let sum = fixed(bytes);
  for (let terms = known.length === 0 ? 0 : choices.below(most + 1); terms > 0; terms--) {
    sum = sum.plusScaled(choices.pick(known), choices.pick([1, 1, 1, 1, 1, 2, 4, -1, -1, 65_536]));
  }
  return sum;
}
function field(choices: Choices, known: readonly string[]): Field {
  const width = choices.pick([1, 1, 2, 2, 3, 4, 8] as const);
  const place = fixed(choices.below(10));
  const base: Field = { at: place, width, signed: choices.below(4) === 0, endian: choices.pick(['big', 'little']) };
  const at = choices.below(4) === 0 ? expression(choices, known, choices.below(9) - 3, 2) : place;
  const bitCount = 1 + choices.below(width * 8);
  const withBits = choices.below(5) === 0 && width !== 8 && !base.signed;
  const bits = withBits ? { shift: choices.below(width * 8 - bitCount + 1), count: bitCount } : undefined;
  const check = width === 8 ? 9 : choices.below(10);
  if (check === 0) return { ...base, at, bits, oneOf: Array.from({ length: 1 + choices.below(12) }, (_, i) => i + choices.below(3) - 1) };
  if (check === 1) return { ...base, at, bits, min: choices.sometimes(() => choices.below(3) - 1), max: choices.sometimes(() => choices.below(40)) };
  return { ...base, at, bits };
}
function condition(choices: Choices, known: readonly string[]): Record<string, number | number[]> | undefined {
  if (known.length === 0 || choices.below(4) === 0) return undefined;
  const value = () => choices.below(9) - 1;
  return Object.fromEntries(
    Array.from({ length: 1 + choices.below(2) }, () => [
      choices.pick(known),
      choices.below(2) === 0 ? value() : Array.from({ length: 1 + choices.below(6) }, value),
    ]),
  );
}
function description(choices: Choices): LayoutDescription {
  const prefix: Record<string, Field> = {};
  for (let i = choices.below(3); i > 0; i--) prefix[`p${i}`] = { ...field(choices, []), at: fixed(choices.below(4)) };
  const narrow = (fields: Readonly<Record<string, Field>>) => Object.keys(fields).filter((name) => fields[name].width !== 8);
  const variant = (index: number): VariantDescription => {
    const fields: Record<string, Field> = {};
    for (let i = 1 + choices.below(5); i > 0; i--) fields[`${choices.pick(['f', 'g'])}${i}`] = field(choices, narrow({ ...prefix, ...fields }));
    const known = narrow({ ...prefix, ...fields });
    const names = Object.keys(fields);
    const sections: Record<string, string | LengthExpression> = {};
    for (let i = choices.below(4); i > 0; i--) {
      sections[`s${i}`] =
        i === 1 && choices.below(2) === 0 ? 'rest' : choices.below(2) === 0 ? expression(choices, known, choices.below(3), 2) : (known[0] ?? 'rest');
    }
    return {
      name: `v${index}`,
      when: condition(choices, narrow(prefix)),
      fields,
      length: expression(choices, known, 4 + choices.below(14), 3),
      sections,
      sectionsAt: choices.sometimes(() => expression(choices, known, choices.below(12), 1), 4),
      id: choices.sometimes(() => choices.pick(names)),
      kind: KINDS.slice(choices.below(KINDS.length)).map((is) => ({ is, when: condition(choices, known) })),
      checksum: choices.sometimes(() => ({ algorithm: 'crc32', when: condition(choices, known) }), 3),
    };
  };
  return { prefix, variants: Array.from({ length: 1 + choices.below(3) }, (_, index) => variant(index)) };
}

/** A layout; undefined where what was chosen contradicts itself. */
function layoutOf(seed: number): FrameLayout | undefined {
  try {
    return new FrameLayout(description(new Choices(seed)));
  } catch (cause) {
    if (cause instanceof ConfigError) return undefined;
    throw cause;
  }
}
const layouts = fc
  .noShrink(fc.integer())
  .map(layoutOf)
  .filter((layout) => layout !== undefined);

const byte = fc.oneof(
  { weight: 8, arbitrary: fc.constant(0) },
  { weight: 6, arbitrary: fc.nat({ max: 4 }) },
  { weight: 2, arbitrary: fc.nat({ max: 20 }) },
  { weight: 1, arbitrary: fc.nat({ max: 255 }) },
  { weight: 1, arbitrary: fc.constantFrom(0x7f, 0x80, 0xff) },
);
const inputs = fc.array(byte, { maxLength: 72, size: 'max' });
const limits: fc.Arbitrary<FrameLimits> = fc.record({
  maxFrameBytes: fc.constantFrom(1024, 1024, 1024, 8, 20, 2 ** 31 - 1, 2 ** 40),
  cutThroughBytes: fc.constantFrom(0, 1, 12, 30),
});

interface Seen {
  readonly found?: number;
  readonly table?: Int32Array;
  readonly code?: string;
  readonly offset?: number;
}
function see(decoder: FrameDecoder, layout: FrameLayout, bytes: Uint8Array, start: number, end: number, base: number): Seen {
  const ints = new Int32Array(base + layout.tableWords + 1).fill(-5);
  try {
    const found = decoder.decode(bytes, start, end, ints, base);
    assert.ok(ints.subarray(0, base).every((word) => word === -5) && ints.at(-1) === -5, 'words around the table are left alone');
    return found === DECODED.MORE ? { found } : { found, table: ints.slice(base, base + layout.tableWords) };
  } catch (cause) {
    if (!(cause instanceof CodecError)) throw cause;
    return { code: cause.code, offset: cause.offset };
  }
}

const both = (layout: FrameLayout, limit: FrameLimits): readonly [FrameDecoder, FrameDecoder] => {
  assert.ok(native !== undefined);
  return [fallback('test', layout, limit), native('test', layout, limit)];
};
/** Puts the right checksum where a wrong one is, so that frames with one are seen as well. */
function mendChecksum(decoder: FrameDecoder, layout: FrameLayout, bytes: Uint8Array, start: number): void {
  const { code, offset = 0 } = see(decoder, layout, bytes, start, bytes.length, 0);
  if (code === 'BAD_CHECKSUM') new DataView(bytes.buffer).setUint32(start + offset, crc32(bytes, start, start + offset));
}

/** All that can be wrong with a frame of a described layout. */
const FAULTS = ['BAD_CHECKSUM', 'BAD_LENGTH', 'FRAME_TOO_LARGE', 'UNKNOWN_VARIANT', 'a field'];

test('both see the same frames, tables, errors and offsets, wherever the input is cut', { skip }, () => {
  const seen = { whole: 0, partial: 0, faults: new Set<string>() };
  const property = fc.property(layouts, inputs, limits, fc.nat({ max: 3 }), fc.boolean(), (layout, values, limit, start, mends) => {
    const [plain, fast] = both(layout, limit);
    const bytes = Uint8Array.from(values);
    if (start > bytes.length) return;
    if (mends) mendChecksum(plain, layout, bytes, start);
    for (let end = start; end <= bytes.length; end++) {
      const expected = see(plain, layout, bytes, start, end, end % 5);
      assert.deepEqual(see(fast, layout, bytes, start, end, end % 5), expected);
      if (expected.found === DECODED.WHOLE) seen.whole++;
      if (expected.found === DECODED.PARTIAL) seen.partial++;
      if (expected.code !== undefined) seen.faults.add(/^BAD_[FGP]\d/.test(expected.code) ? 'a field' : expected.code);
    }
  });
  // Some faults are rare: again, where one was not among them.
  for (let round = 0; round < 4 && seen.faults.size < FAULTS.length; round++) fc.assert(property, { numRuns: RUNS });
  assert.ok(seen.whole > 100 && seen.partial > 100, `too few frames to tell: ${seen.whole} whole, ${seen.partial} partial`);
  assert.deepEqual([...seen.faults].sort(), FAULTS);
});

test('both say the same of a fault, or of a frame, however many bytes follow it', { skip }, () => {
  fc.assert(
    fc.property(layouts, inputs, limits, (layout, values, limit) => {
      const bytes = Uint8Array.from(values);
      for (const decoder of both(layout, limit)) {
        let first: Seen | undefined;
        for (let end = 0; end <= bytes.length; end++) {
          const now = see(decoder, layout, bytes, 0, end, 0);
          if (first !== undefined) assert.deepEqual(now, first);
          else if (now.code !== undefined || now.found === DECODED.WHOLE) first = now;
        }
      }
    }),
    { numRuns: RUNS / 4 },
  );
});

test('both write another id, and the checksum, the same way', { skip }, () => {
  let patched = 0;
  fc.assert(
    fc.property(layouts, inputs, limits, fc.integer(), fc.integer(), fc.nat({ max: 3 }), (layout, values, limit, low, high, start) => {
      const [plain, fast] = both(layout, limit);
      const bytes = Uint8Array.from(values);
      if (start > bytes.length) return;
      mendChecksum(plain, layout, bytes, start);
      const { table } = see(plain, layout, bytes, start, bytes.length, 0);
      if (table === undefined) return;
      if (table[FRAME.ID_AT] >= 0) patched++;
      const [expected, found] = [bytes.slice(), bytes.slice()];
      plain.patchId(expected, start, table, 0, low, high);
      fast.patchId(found, start, table, 0, low, high);
      assert.deepEqual(found, expected);
    }),
    { numRuns: RUNS },
  );
  assert.ok(patched > 10, `too few ids to tell: ${patched}`);
});

/** A head with its length, an id and a checksum where a bit says so. */
const SIMPLE = new FrameLayout({
  fields: { magic: u8(0, { equals: 0x4b }), flags: u8(1), bodyBytes: u16(2), id: u64(4), large: u32(12) },
  length: fixed(16).plus('bodyBytes'),
  sections: { body: 'bodyBytes' },
  id: 'id',
  kind: [{ is: 'request' }],
  checksum: { algorithm: 'crc32', when: { flags: 1 } },
});

test('both verify the checksum of a frame of any length', { skip }, () => {
  const [plain, fast] = both(SIMPLE, { maxFrameBytes: 1 << 20 });
  for (const length of [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 1000, 65_535]) {
    const bytes = Uint8Array.from({ length: 20 + length }, (_, i) => (i * 31) & 0xff);
    bytes.set([0x4b, 1, length >> 8, length & 0xff]);
    mendChecksum(plain, SIMPLE, bytes, 0);
    const expected = see(plain, SIMPLE, bytes, 0, bytes.length, 0);
    assert.equal(expected.found, DECODED.WHOLE);
    assert.deepEqual(see(fast, SIMPLE, bytes, 0, bytes.length, 0), expected);
  }
});

test('the addon refuses words that are no program', { skip }, () => {
  const { words, codes } = compileFrameProgram(SIMPLE);
  const open = (program: Int32Array, count = codes.length) => addon?.frameDecoder(program, count, 1024, 0);
  assert.doesNotThrow(() => open(words));
  for (let length = 0; length < words.length; length++) assert.throws(() => open(words.slice(0, length)), TypeError);
  assert.throws(() => open(Int32Array.from([...words, 0])), TypeError);
  assert.throws(() => open(words, 1), TypeError);
  const other = words.slice();
  other[0]++;
  assert.throws(() => open(other), TypeError);
});

test('the addon refuses arguments that do not fit, and does not read beyond them', { skip }, () => {
  const { words, codes } = compileFrameProgram(SIMPLE);
  assert.ok(addon !== undefined);
  const { decode, patchId } = addon.frameDecoder(words, codes.length, 1024, 0);
  const [bytes, ints] = [new Uint8Array(8), new Int32Array(SIMPLE.tableWords)];
  for (const args of [
    [bytes, 0, 9, ints, 0],
    [bytes, 5, 4, ints, 0],
    [bytes, -1, 4, ints, 0],
    [bytes, 0, 4, ints, 1],
    [bytes, 0, 4, ints.subarray(1), 0],
    [[], 0, 0, ints, 0],
    [bytes, 0, 4, new Uint8Array(400), 0],
    [],
  ])
    assert.throws(() => decode(...(args as Parameters<typeof decode>)), TypeError);
  assert.throws(() => patchId(bytes, 9, ints, 0, 0, 0), TypeError);
  for (const word of [0x7fff_ffff, 7, 1, -1]) assert.doesNotThrow(() => patchId(bytes, 0, ints.slice().fill(word), 0, 1, 1));
});

test('the addon counts frames that stand one behind the other, up to one that is not whole or is broken', { skip }, () => {
  const { words, codes } = compileFrameProgram(SIMPLE);
  assert.ok(addon !== undefined);
  const { decodeAll } = addon.frameDecoder(words, codes.length, 1024, 0);
  const one = Uint8Array.from([0x4b, 1, 0, 4, ...new Array(20).fill(7)]);
  const plain = fallback('test', SIMPLE, { maxFrameBytes: 1024 });
  mendChecksum(plain, SIMPLE, one, 0);
  const ints = new Int32Array(SIMPLE.tableWords);
  const count = (bytes: Uint8Array, from = 0) => decodeAll(bytes, from, bytes.length, ints, 0);
  const three = Uint8Array.from([...one, ...one, ...one]);
  assert.equal(see(plain, SIMPLE, one, 0, one.length, 0).found, DECODED.WHOLE);
  assert.deepEqual([count(new Uint8Array(0)), count(one), count(three), count(three, one.length), count(three.subarray(0, -1))], [0, 1, 3, 2, 2]);
  three[one.length] = 0;
  assert.equal(count(three), 1);
  assert.throws(() => decodeAll(one, 0, one.length + 1, ints, 0), TypeError);
});

/** Folders of codecs/ whose framing is described, with the bytes of their vectors. */
async function described(): Promise<{ folder: string; layout: FrameLayout; inputs: Uint8Array[] }[]> {
  const [sources, compiled] = [join(import.meta.dirname, '../../../codecs'), join(import.meta.dirname, '../../codecs')];
  const found: { folder: string; layout: FrameLayout; inputs: Uint8Array[] }[] = [];
  for (const folder of readdirSync(sources)) {
    const vectors = join(sources, folder, 'vectors.json');
    if (!existsSync(vectors)) continue;
    const { default: codec } = (await import(pathToFileURL(join(compiled, folder, 'index.js')).href)) as { default?: Codec };
    if (codec?.framing === undefined || isScripted(codec.framing)) continue;
    const inputs = readVectors(JSON.parse(readFileSync(vectors, 'utf8'))).map((vector) => bytesOfHex(vector.hex));
    found.push({ folder, layout: codec.framing, inputs });
  }
  return found;
}

for (const { folder, layout, inputs } of await described()) {
  test(`codecs/${folder}: both see the same in its vectors, and in each with bytes changed`, { skip }, () => {
    const change = fc.tuple(fc.nat(), fc.oneof(byte, fc.nat({ max: 255 })));
    fc.assert(
      fc.property(fc.constantFrom(...inputs), fc.array(change, { maxLength: 3 }), limits, (vector, changes, limit) => {
        const [plain, fast] = both(layout, limit);
        const bytes = vector.slice();
        for (const [place, value] of changes) bytes[place % bytes.length] = value;
        for (let end = 0; end <= bytes.length; end += end < 64 ? 1 : 37) {
          assert.deepEqual(see(fast, layout, bytes, 0, end, 0), see(plain, layout, bytes, 0, end, 0));
        }
        assert.deepEqual(see(fast, layout, bytes, 0, bytes.length, 0), see(plain, layout, bytes, 0, bytes.length, 0));
      }),
      { numRuns: RUNS / 10 },
    );
  });
}
