/** The suite itself: each rule finds the codec that breaks it. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { ConfigError } from '../../base/errors.js';
import { type Codec, layoutOf } from '../../protocol/codec.js';
import { createFrameDecoder } from '../../protocol/frame-decoder.js';
import { encodeFrame } from '../../protocol/frame-encoder.js';
import { fixed, frameLayout, u8, u16, u32 } from '../../protocol/frame-layout.js';
import { matchBytes } from '../../protocol/match-bytes.js';
import { runContract } from './contract.js';
import { readVectors, type Vector } from './vectors.js';

const framing = frameLayout({
  fields: {
    magic: u8(0, { equals: 0x4b }),
    kind: u8(1, { oneOf: ['request', 'response', 'heartbeat', 'heartbeat-ack'] }),
    id: u16(2),
    bodyBytes: u32(4),
  },
  length: fixed(8).plus('bodyBytes'),
  sections: { body: 'bodyBytes' },
  id: 'id',
  kind: 'kind',
});
const frame = (kind: number, id: number, body = ''): Uint8Array =>
  encodeFrame(framing, { fields: { kind, id }, sections: { body: Buffer.from(body) } });
const good: Codec = {
  name: 'kv',
  pool: 'multiplex',
  match: matchBytes(0x4b, [0, 2]),
  framing,
  service: () => 'kv',
  respond: (request) => frame(1, request.idLow, 'no'),
  status: () => 500,
  statusClass: (status) => status,
  heartbeat: (idLow) => frame(2, idLow & 0xffff),
  heartbeatAck: ({ idLow }) => frame(3, idLow),
};
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const VECTORS: readonly Vector[] = [
  {
    name: 'request',
    source: 'made here',
    hex: hex(frame(0, 7, 'hello')),
    frames: [{ kind: 'request', id: '7', fields: { bodyBytes: 5 }, sections: { body: '68656c6c6f' } }],
  },
  { name: 'answer', source: 'made here', side: 'upstream', hex: hex(frame(1, 7, '!')), frames: [{ kind: 'response', id: '7' }] },
  { name: 'heartbeat', source: 'made here', hex: hex(frame(2, 8)), frames: [{ kind: 'heartbeat', id: '8' }] },
  { name: 'wrong magic', source: 'made here', hex: '4a00', error: { code: 'BAD_MAGIC', offset: 0 } },
];
const brokenRules = (codec: Codec, vectors = VECTORS, options = {}): string[] =>
  runContract(codec, vectors, options)
    .filter(({ ok }) => !ok)
    .map(({ rule }) => rule);
/** The same framing as a script, in which a test breaks one thing. */
const scripted = (
  change: (decode: ReturnType<typeof createFrameDecoder>, maxFrameBytes: number) => ReturnType<typeof createFrameDecoder>,
): Codec => ({
  ...good,
  framing: {
    layout: layoutOf(good),
    open: (_side, limits) => ({ decode: change(createFrameDecoder('kv', framing, limits), limits.maxFrameBytes) }),
  },
});

test('a codec that keeps all rules passes', () => {
  assert.deepEqual(
    runContract(good, VECTORS).filter(({ ok }) => !ok),
    [],
  );
  assert.deepEqual(brokenRules(scripted((decode) => decode)), []);
});

test('the same seed gives the same results', () => {
  assert.deepEqual(runContract(good, VECTORS, { seed: 5 }), runContract(good, VECTORS, { seed: 5 }));
});

test('names the rule, what happened and the bytes', () => {
  const vectors = [{ ...VECTORS[0], frames: [{ kind: 'request' as const, id: '9' }] }];
  const [result] = runContract(good, vectors);
  assert.deepEqual(result, {
    rule: 'every vector decodes whole',
    ok: false,
    detail: `request, frame 0: id is 7 instead of 9; bytes ${VECTORS[0].hex}`,
  });
});

const expectBroken = (title: string, codec: Codec, wanted: RegExp, options = {}): void => {
  test(`finds ${title}`, () => assert.match(brokenRules(codec, VECTORS, options).join('; '), wanted));
};
expectBroken(
  'a frame that is given before it is whole',
  scripted((decode) => (bytes, start, end, ints, base) => decode(bytes, start, Math.min(bytes.length, end + 1), ints, base)),
  /truncated vector/,
);
expectBroken(
  'a limit that is looked at when all bytes are there',
  scripted((decode, maxFrameBytes) => {
    const unbound = createFrameDecoder('kv', framing, { maxFrameBytes: 2 ** 31 });
    return (bytes, start, end, ints, base) => (end - start > maxFrameBytes ? decode : unbound)(bytes, start, end, ints, base);
  }),
  /one byte over the limit/,
);
expectBroken(
  'an error that is no CodecError',
  scripted((decode) => (bytes, start, end, ints, base) => {
    if (bytes[start + 1] === 0xff) throw new TypeError('oops');
    return decode(bytes, start, end, ints, base);
  }),
  /random and mutated bytes/,
);
expectBroken(
  'a frame longer than its bytes',
  scripted((decode) => (bytes, start, end, ints, base) => {
    const found = decode(bytes, start, end, ints, base);
    if (found !== 0 && bytes[start + 2] !== 0) ints[base]++;
    return found;
  }),
  /random and mutated bytes/,
);
expectBroken(
  'an id that is not replaced',
  {
    ...good,
    framing: { layout: framing, open: (_side, limits) => ({ decode: createFrameDecoder('kv', framing, limits) }), withId: ({ raw }) => raw.slice() },
  },
  /ids are replaced/,
);
expectBroken('a local reply with another id', { ...good, respond: () => frame(1, 9) }, /local replies/);
expectBroken('a local reply that counts as success', { ...good, statusClass: () => 200 }, /local replies/);
expectBroken('a heartbeat of another kind', { ...good, heartbeat: (id) => frame(0, id) }, /local replies/);
expectBroken('a verdict that flips', { ...good, match: (head) => (head.length < 2 ? 'more' : head.length < 5 ? 'yes' : 'no') }, /detection/);
expectBroken('a verdict before the first byte', { ...good, match: () => 'yes' }, /detection/);
expectBroken('a matcher that claims HTTP', { ...good, match: (head) => (head.length === 0 ? 'more' : 'yes') }, /detection/);
expectBroken('two codecs that claim the same bytes', good, /detection/, { others: [{ ...good, name: 'other' }] });
expectBroken(
  'a header that is lost',
  { ...good, headers: () => ({ get: () => undefined, entries: () => [] }), withHeaders: ({ raw }) => raw.slice() },
  /headers are read/,
);
expectBroken('a second decoder that disagrees', good, /random and mutated bytes/, { decoders: [{ name: 'other', open: () => () => 0 }] });

test('vectors of another form are refused by name', () => {
  for (const [json, text] of [
    [{}, /array/],
    [[{ name: 'a', source: 'b', hex: '0' }], /vectors\[0\] \(a\): hex/],
    [[{ name: 'a', source: 'b', hex: '00' }], /either frames or error/],
    [[{ name: 'a', hex: '00', frames: [] }], /source/],
    [[null], /vectors\[0\]: an object/],
  ] as const)
    assert.throws(
      () => readVectors(json),
      (cause) => cause instanceof ConfigError && text.test(cause.message),
    );
});
