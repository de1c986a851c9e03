import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { ACK, ethernet, hex, ipv4, ipv6, pcap, pcapng, raw, SYN } from '../../../test/support/captures.js';
import { isCapture, type Packet, readCapture } from './capture-file.js';
import { bytesOfHexText } from './hex-text.js';
import { segmentOf } from './tcp-segment.js';
import { connectionsOf } from './tcp-streams.js';

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');
const said = (packets: readonly Packet[]) =>
  connectionsOf(packets).map(({ client, server }) => [client, server].map(({ runs }) => runs.map(({ bytes, missing }) => [missing, textOf(bytes)])));

// ---- files ------------------------------------------------------------------------------------------------------------------------------------------

test('packets of pcap in either order of bytes, with microseconds or nanoseconds', () => {
  for (const little of [true, false])
    for (const nanoseconds of [true, false]) {
      const file = pcap([ipv4({ text: 'one' }), ipv4({ text: 'two' })], { little, nanoseconds });
      assert.ok(isCapture(file));
      const packets = readCapture(file);
      assert.deepEqual(
        packets.map(({ linkType, timeMs }) => [linkType, timeMs]),
        [
          [101, 1_700_000_000_250],
          [101, 1_700_000_001_250],
        ],
      );
      assert.equal(textOf(segmentOf(packets[1])?.payload ?? new Uint8Array()), 'two');
    }
});

test('packets of pcapng, whose interface says how fine its times are', () => {
  for (const resolution of [-1, 6, 9]) {
    const file = pcapng([ipv4({ text: 'one' })], { resolution });
    assert.ok(isCapture(file));
    const [packet] = readCapture(file);
    assert.equal(Math.round(packet.timeMs), 1_700_000_000_250);
    assert.equal(textOf(segmentOf(packet)?.payload ?? new Uint8Array()), 'one');
  }
});

test('a file that ends within a packet ends before it', () => {
  for (const file of [pcap([ipv4({ text: 'one' }), ipv4({ text: 'two' })]), pcapng([ipv4({ text: 'one' }), ipv4({ text: 'two' })])])
    assert.equal(readCapture(file.subarray(0, -3)).length, 1);
});

test('a broken file is refused with its place, and allocates nothing for what it claims', () => {
  const large = pcap([ipv4({})]);
  large.writeUInt32LE(0xffff_fff0, 24 + 8);
  assert.throws(() => readCapture(large), /packet of 4294967280 bytes at byte 24/);
  const block = pcapng([ipv4({})]);
  block.writeUInt32LE(13, 4);
  assert.throws(() => readCapture(block), /block of 13 bytes at byte 0/);
  assert.throws(() => readCapture(hex('0a0d0d0a 1c000000 00000000 00000000 00000000')), /unknown byte order/);
  assert.throws(() => readCapture(hex('a1b2c3d4 0000')), /ends within its head/);
  assert.throws(() => readCapture(hex('00112233445566778899aabbccddeeff')), /neither pcap nor pcapng/);
});

test('mutated captures and packets throw nothing but RangeError', () => {
  const files = [pcap([ethernet(ipv4({ text: 'one' }))], { linkType: 1 }), pcapng([ipv6({ text: 'two' })])];
  const change = fc.tuple(fc.nat(), fc.nat({ max: 255 }));
  fc.assert(
    fc.property(
      fc.constantFrom(...files),
      fc.array(change, { maxLength: 6 }),
      fc.constantFrom(0, 1, 12, 101, 108, 113, 276),
      (file, changes, linkType) => {
        const bytes = Buffer.from(file);
        for (const [at, value] of changes) bytes[at % bytes.length] = value;
        try {
          connectionsOf(readCapture(bytes));
        } catch (cause) {
          assert.ok(cause instanceof RangeError, String(cause));
        }
        connectionsOf([{ linkType, timeMs: 0, bytes }]);
      },
    ),
    { numRuns: 500, seed: 7 },
  );
});

// ---- packets ----------------------------------------------------------------------------------------------------------------------------------------

test('TCP is found below every link type, and Ethernet padding is not data', () => {
  const ip = ipv4({ text: 'hello' });
  for (const [linkType, bytes] of [
    [0, Buffer.concat([hex('02000000'), ip])],
    [108, Buffer.concat([hex('00000002'), ip])],
    [1, ethernet(ip)],
    [1, ethernet(ip, '8100 0005')],
    [1, ethernet(ip, '88a8 0005 8100 0006')],
    [12, ip],
    [101, ip],
    [228, ip],
    [113, Buffer.concat([Buffer.alloc(14), hex('0800'), ip])],
    [276, Buffer.concat([hex('0800'), Buffer.alloc(18), ip])],
    [101, ipv6({ text: 'hello' })],
    [229, ipv6({ text: 'hello' }, hex('06 00 0104 00000000'))],
    [1, ethernet(ipv6({ text: 'hello' }))],
  ] as const) {
    const segment = segmentOf({ linkType, timeMs: 0, bytes });
    assert.equal(textOf(segment?.payload ?? new Uint8Array()), 'hello', `link type ${linkType}`);
    assert.deepEqual([segment?.source.port, segment?.destination.port], [50_000, 7000]);
  }
});

test('addresses are written as people do', () => {
  assert.equal(segmentOf(raw(ipv4({})))?.source.text, '10.0.0.1:50000');
  assert.equal(segmentOf(raw(ipv6({})))?.destination.text, '[2001:db8::2]:7000');
});

test('what is no whole TCP segment is passed over', () => {
  const udp = ipv4({});
  udp[9] = 17;
  const fragment = ipv4({ text: 'x' });
  fragment[6] = 0x20;
  for (const bytes of [udp, fragment, ipv4({}).subarray(0, 30), Buffer.alloc(0), hex('45')]) assert.equal(segmentOf(raw(bytes)), undefined);
  assert.equal(segmentOf({ linkType: 147, timeMs: 0, bytes: ipv4({}) }), undefined);
});

// ---- streams ----------------------------------------------------------------------------------------------------------------------------------------

test('the two directions of a connection; whoever sent the SYN is the client, even from a lower port', () => {
  const low = { from: [1, 80] as const, to: [2, 7000] as const };
  const high = { from: low.to, to: low.from };
  const packets = [
    raw(ipv4({ ...low, sequence: 99, flags: SYN })),
    raw(ipv4({ ...high, sequence: 499, flags: SYN | ACK })),
    raw(ipv4({ ...low, sequence: 100, text: 'ask' })),
    raw(ipv4({ ...high, sequence: 500, text: 'answer' })),
  ];
  assert.deepEqual(said(packets), [[[[0, 'ask']], [[0, 'answer']]]]);
  // Without the beginning, the lower port is the server's.
  assert.deepEqual(said(packets.slice(2)), [[[[-1, 'answer']], [[-1, 'ask']]]]);
});

test('segments in any order, sent again, overlapping, and over the end of the numbers', () => {
  const text = 'abcdefghijklmnopqrstuvwxyz';
  const piece = fc.tuple(fc.nat({ max: 25 }), fc.integer({ min: 1, max: 9 }));
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), fc.constantFrom(0, 5000, 0xffff_fff5), (pieces, first) => {
      const all = [...pieces, ...Array.from({ length: 26 }, (_, at): [number, number] => [at, 1])].reverse();
      const packets = [
        raw(ipv4({ sequence: first - 1, flags: SYN })),
        ...all.map(([at, length]) => raw(ipv4({ sequence: first + at, text: text.slice(at, at + length) }))),
      ];
      assert.deepEqual(said(packets), [[[[0, text]], []]]);
    }),
    { numRuns: 200, seed: 3 },
  );
});

test('a hole ends a run, and the next one says how much is missing', () => {
  const packets = [
    raw(ipv4({ sequence: 9, flags: SYN })),
    raw(ipv4({ sequence: 10, text: 'abc' })),
    raw(ipv4({ sequence: 20, text: 'xyz' })),
    raw(ipv4({ sequence: 13, text: 'de' })),
  ];
  assert.deepEqual(said(packets), [
    [
      [
        [0, 'abcde'],
        [5, 'xyz'],
      ],
      [],
    ],
  ]);
});

test('the same ports again are another connection, a SYN sent twice is not', () => {
  const packets = [
    raw(ipv4({ sequence: 9, flags: SYN })),
    raw(ipv4({ sequence: 9, flags: SYN })),
    raw(ipv4({ sequence: 10, text: 'one' })),
    raw(ipv4({ sequence: 70_000, flags: SYN })),
    raw(ipv4({ sequence: 70_001, text: 'two' })),
  ];
  assert.deepEqual(said(packets), [
    [[[0, 'one']], []],
    [[[0, 'two']], []],
  ]);
});

test('every byte has the time of the packet that brought it', () => {
  const [{ client }] = connectionsOf([raw(ipv4({ sequence: 5, text: 'ab' }), 100), raw(ipv4({ sequence: 7, text: 'cd' }), 200)]);
  assert.deepEqual(
    [0, 1, 2, 3].map((at) => client.runs[0].timeAt(at)),
    [100, 100, 200, 200],
  );
});

// ---- text -------------------------------------------------------------------------------------------------------------------------------------------

test('hex as people write it, as xxd and as hexdump -C', () => {
  const bytes = 'ac3e000000000007000d000000054f726465';
  for (const text of [
    bytes,
    'AC 3E 00 00 00 00 00 07\n00 0d 00 00 00 05 4f 72 64 65',
    'ac:3e:00:00:00:00:00:07-000d00000005, 4f726465 # a request\n// nothing\n',
    '0xac 0x3e 0x00 0x00 00000007 000d 00000005 0x4f 0x72 0x64 0x65',
    '00000000: ac3e 0000 0000 0007 000d 0000 0005 4f72  .>............Or\n00000010: 6465                                     de\n',
    '00000000  ac 3e 00 00 00 00 00 07  00 0d 00 00 00 05 4f 72  |.>............Or|\n00000010  64 65                                             |de|\n00000012\n',
  ])
    assert.equal(Buffer.from(bytesOfHexText(text) ?? []).toString('hex'), bytes, text);
  for (const text of ['', 'abc', 'hello', '4b0', 'GET / HTTP/1.1\r\n']) assert.equal(bytesOfHexText(text), undefined, text);
});
