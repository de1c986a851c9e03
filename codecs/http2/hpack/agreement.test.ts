/** Both implementations of HPACK must see the same in any bytes, and write the same for any fields. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Edits } from '../../../src/protocol/edits.js';
import { BLOCK } from '../spec.js';
import type { BlockKind, ListLimits } from './decoder.js';
import { STATIC_TABLE } from './tables.js';
import { encoders, fallback, LIMITS, native, type Seen } from './test-support.js';

const RUNS = 1500;
const skip = native === undefined ? 'the addon is not built' : false;

const names = fc.oneof(
  fc.constantFrom(...STATIC_TABLE.map(([name]) => name)),
  fc.constantFrom('te', 'x_y', 'cookie', 'cookie', 'X', ':bad', ':protocol', 'connection', 'x-request-id', 'grpc-status', 'a', ''),
);
const values = fc.oneof(
  fc.constantFrom(
    '',
    'GET',
    'CONNECT',
    '/',
    '200',
    'trailers',
    'a.example',
    'a:443',
    'http',
    '12',
    'x'.repeat(200),
    ' x',
    'application/grpc',
    'a=1; b=2',
  ),
  fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((byte) => String.fromCharCode(byte)), maxLength: 40 }),
);
const field = fc.tuple(names, values);
const fields = fc.array(field, { maxLength: 12 });
const kinds: fc.Arbitrary<BlockKind> = fc.constantFrom(BLOCK.FIELDS, BLOCK.REQUEST, BLOCK.REQUEST, BLOCK.RESPONSE, BLOCK.TRAILERS);
const limits: fc.Arbitrary<ListLimits> = fc.record({
  maxHeadBytes: fc.constantFrom(61440, 61440, 100, 400),
  maxHeaders: fc.constantFrom(100, 100, 3),
  maxTargetBytes: fc.constantFrom(1000, 2),
  underscores: fc.constantFrom('allow', 'reject', 'drop'),
  extendedConnect: fc.boolean(),
});
const comparable = ({ head, ...seen }: Seen) => ({
  ...seen,
  bytes: head === undefined ? undefined : Buffer.from(head.bytes.subarray(0, head.wireBytes)).toString('latin1'),
  ints: head === undefined ? undefined : [...head.ints.subarray(0, 59 + head.count * 4)],
});

/** Blocks that are nearly right: what an encoder wrote, with a byte changed, cut or added; sizes of the table; any bytes. */
const block = fc.oneof(
  fields.map((list) => fallback.encoder.open().fields(list)),
  fc.tuple(fields, fc.nat(), fc.nat({ max: 255 })).map(([list, at, byte]) => {
    const bytes = fallback.encoder.open().fields(list);
    if (bytes.length > 0) bytes[at % bytes.length] = byte;
    return bytes;
  }),
  fc.uint8Array({ maxLength: 60 }),
  fc
    .tuple(fc.constantFrom('20', '3fe11f', '3f45', '3fe101'), fields)
    .map(([size, list]) => Uint8Array.from([...Buffer.from(size, 'hex'), ...fallback.encoder.open().fields(list)])),
);

test('both decode the same blocks on one connection, or find the same fault at the same byte', { skip }, () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(block, kinds, limits, fc.option(fc.constantFrom(0, 100, 4096))), { maxLength: 5 }), (blocks) => {
      const one = fallback.decoder.open();
      const other = native?.decoder.open();
      for (const [bytes, kind, bounds, table] of blocks) {
        if (table !== null) for (const decoder of [one, other]) decoder?.setMaxTableBytes(table);
        const expected = one.decode(bytes, kind, bounds);
        assert.deepEqual(comparable(other?.decode(bytes, kind, bounds) as Seen), comparable(expected));
        assert.deepEqual(other?.table(), one.table());
        if (expected.fault?.scope === 'connection') return;
      }
    }),
    { numRuns: RUNS },
  );
});

test('both encode the same fields to the same bytes, which are read back', { skip }, () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fields, fc.option(fc.constantFrom(0, 64, 200, 4096, 10000))), { maxLength: 8 }), (blocks) => {
      const one = fallback.encoder.open();
      const other = native?.encoder.open();
      const reader = native?.decoder.open();
      for (const [list, table] of blocks) {
        if (table !== null) for (const encoder of [one, other]) encoder?.setPeerTableBytes(table);
        const bytes = one.fields(list);
        assert.deepEqual([...(other?.fields(list) ?? [])], [...bytes]);
        assert.deepEqual(other?.table(), one.table());
        assert.deepEqual(
          reader?.decode(bytes, BLOCK.FIELDS, LIMITS).fields,
          list.map(([name, value]) => [name.toLowerCase(), value]),
        );
      }
    }),
    { numRuns: RUNS },
  );
});

test('both send the same heads on', { skip }, () => {
  const changes = fc.array(fc.tuple(fc.nat({ max: 8 }), fc.option(fc.constantFrom('', 'new', 'x, y'))), { maxLength: 4 });
  const start = fc.constantFrom<[string, string][]>(
    [
      [':method', 'GET'],
      [':scheme', 'https'],
      [':path', '/x'],
      [':authority', 'a'],
    ],
    [
      [':method', 'POST'],
      [':path', '/x?y'],
      [':scheme', 'http'],
    ],
    [
      [':method', 'CONNECT'],
      [':authority', 'a:1'],
    ],
    [[':status', '200']],
  );
  const line = fc.tuple(
    fc.constantFrom('host', 'cookie', 'content-length', 'te', 'x', 'authorization', 'content-type'),
    fc.constantFrom('a', '5', 'trailers', 'b=1; c=2', 'application/grpc'),
  );
  fc.assert(
    fc.property(
      start,
      fc.array(line, { maxLength: 5 }),
      changes,
      fc.boolean(),
      fc.record({ contentLength: fc.constantFrom(-1, 0, 5, 2 ** 40), scheme: fc.constantFrom('', 'http', 'https'), upgrade: fc.boolean() }),
      (pseudo, lines, all, appends, how) => {
        const kind = pseudo[0][0] === ':status' ? BLOCK.RESPONSE : BLOCK.REQUEST;
        const { head, fault } = fallback.decoder.open().decode(fallback.encoder.open().fields([...pseudo, ...lines]), kind);
        if (head === undefined || fault !== undefined) return;
        const edits = new Edits();
        if (appends) edits.target('/edited').method('Edited');
        for (const [index, value] of all) {
          if (index >= head.count) continue;
          if (value === null) edits.drop(index);
          else edits.replace(index, value);
        }
        if (appends) edits.append('Host', 'added').append('cookie', 'q=1; r=2').append('Upgrade', 'x');
        const [one, other] = encoders.map(({ open }) => open().head(head, edits, how));
        assert.deepEqual([...other], [...one]);
      },
    ),
    { numRuns: RUNS },
  );
});
