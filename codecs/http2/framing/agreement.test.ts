/** Both implementations of a connection: same bytes, however cut, and same commands give the same events, output, faults and offsets. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Edits } from '../../../src/protocol/edits.js';
import { FRAME_TYPE, SETTING } from '../spec.js';
import { http2Options } from './connection.js';
import {
  AS_IS,
  bytes,
  data,
  fallback,
  GET,
  goAway,
  headers,
  type Implementation,
  joined,
  native,
  OK,
  POST,
  PREFACE,
  ping,
  raw,
  requestHead,
  rst,
  settings,
  settingsAck,
  statusEdits,
  type Tested,
  windowUpdate,
} from './test-support.js';

const RUNS = 800;
const skip = native === undefined ? 'the addon is not built' : false;

const id = fc.constantFrom(0, 1, 1, 1, 2, 3, 3, 5, 7, 9);
const word = fc.constantFrom(0, 1, 5, 100, 65535, 0x7fffffff, 0x80000000, 0xffffffff);
const some = fc.oneof(
  fc.constant(GET),
  fc.constant(POST),
  fc.constant(OK),
  fc.constant([...POST, ['content-length', '3']] as const),
  fc.constant([...GET, ['cookie', 'a=1'], ['cookie', 'b=2'], ['x', 'y']] as const),
  fc.constant([['x', 'y']] as const),
  fc.constant([[':status', '100']] as const),
  fc.constant([...GET, ['connection', 'x']] as const),
  fc.constant(Array.from({ length: 12 }, () => ['a', 'b'] as const)),
);
const frame: fc.Arbitrary<Uint8Array> = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(id, some, fc.boolean()).map(([stream, fields, ends]) => headers(stream, fields as never, ends)) },
  {
    weight: 5,
    arbitrary: fc.tuple(id, fc.constantFrom('', 'x', 'abc', 'y'.repeat(500)), fc.boolean()).map(([stream, text, ends]) => data(stream, text, ends)),
  },
  { weight: 2, arbitrary: fc.tuple(id, word).map(([stream, error]) => rst(stream, error)) },
  { weight: 2, arbitrary: fc.tuple(id, word).map(([stream, increment]) => windowUpdate(stream, increment)) },
  fc.tuple(word, word, fc.constantFrom(0, 1)).map(([low, high, flags]) => ping(low, high, flags)),
  fc.tuple(fc.constantFrom(1, 3, 5), word).map(([last, error]) => goAway(last, error)),
  fc.array(fc.tuple(fc.constantFrom(...Object.values(SETTING), 0x99), word), { maxLength: 3 }).map((all) => settings(...(all as [number, number][]))),
  fc.constant(settingsAck()),
  fc.tuple(id, fc.uint8Array({ maxLength: 8 })).map(([stream, payload]) => raw(FRAME_TYPE.PRIORITY, 0, stream, payload)),
  fc
    .tuple(fc.nat({ max: 12 }), fc.nat({ max: 63 }), id, fc.uint8Array({ maxLength: 20 }))
    .map(([type, flags, stream, payload]) => raw(type, flags, stream, payload)),
  // A block in pieces, with the index of a field that earlier pieces may have put into the table.
  fc
    .tuple(id, fc.nat({ max: 4 }), fc.boolean())
    .map(([stream, count, ends]) =>
      bytes(
        raw(FRAME_TYPE.HEADERS, ends ? 1 : 0, stream, [0x82, 0x86, 0x84, 0x40, 1, 0x61, 1]),
        ...Array.from({ length: count }, () => raw(FRAME_TYPE.CONTINUATION, 0, stream, [])),
        raw(FRAME_TYPE.CONTINUATION, 4, stream, [0x62, 0xbe]),
      ),
    ),
);

/** What an owner may do between two pieces of input; answers are compared. */
type Command = readonly [what: string, stream: number, size: number, flag: boolean];
const command: fc.Arbitrary<Command> = fc.tuple(
  fc.constantFrom(
    'respond',
    'respond',
    'inform',
    'request',
    'request',
    'data',
    'data',
    'trailers',
    'reset',
    'release',
    'consume',
    'drain',
    'finishDrain',
    'flushed',
    'later',
    'ping',
  ),
  fc.constantFrom(1, 1, 3, 3, 5, 7),
  fc.constantFrom(0, 1, 300, 20000, 70000),
  fc.boolean(),
);
function run(connection: Tested, [what, stream, size, flag]: Command): unknown {
  switch (what) {
    case 'respond':
      return connection.respond(stream, undefined, statusEdits(200).append('x', 'y'), AS_IS, flag);
    case 'inform':
      return connection.respond(stream, undefined, statusEdits(103), AS_IS, false);
    case 'request':
      return connection.request(requestHead(flag ? GET : [[':method', 'HEAD'], ...GET.slice(1)]), new Edits(), AS_IS, flag);
    case 'data':
      return connection.data(stream, Buffer.alloc(size, 'x'), flag);
    case 'trailers':
      return connection.trailers(stream, Buffer.from('grpc-status: 0\r\n'));
    case 'reset':
      return connection.reset(stream, 8);
    case 'release':
      return connection.release(stream);
    case 'consume':
      return connection.consume(stream, size);
    case 'drain':
      return connection.drain();
    case 'finishDrain':
      return connection.finishDrain();
    case 'flushed':
      return connection.flushed();
    case 'ping':
      return connection.ping(size, stream);
    default:
      connection.now += 1000;
      return connection.expire(connection.now);
  }
}

type Script = readonly (readonly [frames: readonly Uint8Array[], commands: readonly Command[]])[];
function play({ open }: Implementation, side: 'downstream' | 'upstream', options: Int32Array, script: Script, cuts: readonly number[]) {
  const connection = open(side, options);
  const steps = [];
  const preface = side === 'downstream' ? [PREFACE, settings()] : [settings()];
  for (const [index, [frames, commands]] of script.entries()) {
    const input = bytes(...(index === 0 ? preface : []), ...frames);
    const at = cuts.map((cut) => Math.floor(cut * input.length)).sort((a, b) => a - b);
    const events = joined(connection.receive(input, at));
    const afterEvents = Buffer.from(connection.output()).toString('hex');
    const answers = commands.map((each) => run(connection, each) ?? null);
    steps.push({
      events,
      afterEvents,
      answers,
      output: Buffer.from(connection.output()).toString('hex'),
      state: connection.state(),
      sendable: connection.sendable(1),
    });
  }
  return steps;
}

const script = fc.array(fc.tuple(fc.array(frame, { maxLength: 6 }), fc.array(command, { maxLength: 4 })), { minLength: 1, maxLength: 5 });
const pieces = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 8 });
const options = fc
  .record({
    MAX_CONCURRENT_STREAMS: fc.constantFrom(100, 100, 1),
    STREAM_WINDOW: fc.constantFrom(262144, 400),
    CONNECTION_WINDOW: fc.constantFrom(1048576, 65535),
    MAX_HEADERS: fc.constantFrom(100, 5),
    EXTENDED_CONNECT: fc.constantFrom(0, 1),
    RESETS_BURST: fc.constantFrom(200, 2),
    CONTROLS_BURST: fc.constantFrom(1000, 3),
    MAX_QUEUED_CONTROLS: fc.constantFrom(1000, 4),
    DECODER_TABLE: fc.constantFrom(4096, 0),
    ENCODER_TABLE: fc.constantFrom(4096, 0),
  })
  .map((changes) => http2Options(changes));

for (const side of ['downstream', 'upstream'] as const) {
  test(`both do the same ${side}, whole and in pieces`, { skip }, () => {
    fc.assert(
      fc.property(options, script, pieces, (bounds, steps, cuts) => {
        const whole = play(fallback, side, bounds, steps, []);
        assert.deepEqual(play(native as Implementation, side, bounds, steps, []), whole);
        assert.deepEqual(play(native as Implementation, side, bounds, steps, cuts), whole);
        assert.deepEqual(play(fallback, side, bounds, steps, cuts), whole);
      }),
      { numRuns: RUNS },
    );
  });
}
