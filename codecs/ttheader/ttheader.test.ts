import assert from 'node:assert/strict';
import test from 'node:test';
import { faultOf, frameOf, framesOf, hex, kindOf, toHex } from '../../test/support/codec-frames.js';
import { encodeWithBlocks } from './header-blocks.js';
import ttheader from './index.js';

const CALL = hex('80010001 00000004 6563686f 00000007 00');
interface Made {
  integers?: [number, string][];
  strings?: [string, string][];
  payload?: Uint8Array;
  seqid?: number;
  flags?: number;
  protocol?: number;
  transforms?: Uint8Array;
}
const made = ({ integers = [], strings = [], payload = CALL, seqid = 7, flags = 0, protocol = 0, transforms = new Uint8Array(0) }: Made) =>
  frameOf(
    ttheader,
    encodeWithBlocks({ flags, seqid, protocol, transforms }, { integers: new Map(integers), strings: new Map(strings), aclToken: 'token' }, payload),
  );

test('service, method and timeout are integer entries', () => {
  const frame = made({
    integers: [
      [6, 'echo.service'],
      [9, 'say'],
      [12, '1500'],
    ],
  });
  assert.deepEqual([ttheader.service(frame), ttheader.method(frame), ttheader.timeoutMs(frame)], ['echo.service', 'say', 1500]);
});

test('without them, the IDL’s service and the payload’s method are taken, and no timeout', () => {
  const frame = made({ strings: [['isn', 'Echo']] });
  assert.deepEqual([ttheader.service(frame), ttheader.method(frame), ttheader.timeoutMs(frame)], ['Echo', 'echo', undefined]);
});

test('finds the message in a payload that is framed once more, and in Kitex protobuf', () => {
  assert.equal(ttheader.method(made({ payload: hex(`00000011 ${toHex(CALL)}`) })), 'echo');
  assert.equal(ttheader.method(made({ payload: hex('90010001 00000003 736179 00000001'), protocol: 4 })), 'say');
  assert.equal(ttheader.method(made({ payload: hex('0102') })), undefined);
});

test('the header map has both kinds of entries, and a change keeps flags, transforms, token and payload', () => {
  const frame = made({ integers: [[9, 'say']], strings: [['a', 'b']], flags: 1, transforms: Uint8Array.of(1, 2) });
  const changed = frameOf(
    ttheader,
    ttheader.withHeaders(
      frame,
      new Map([
        ['int:9', 'shout'],
        ['int:77', 'new'],
        ['c', 'é'],
      ]),
    ),
  );
  assert.deepEqual(ttheader.headers(changed).entries(), [
    ['int:9', 'shout'],
    ['int:77', 'new'],
    ['a', 'b'],
    ['c', 'é'],
  ]);
  assert.equal(changed.field('flags'), 1);
  assert.equal(toHex(changed.section('header')).slice(0, 4), '0102');
  assert.match(toHex(changed.section('header')), /110005746f6b656e/);
  assert.equal(toHex(changed.section('payload')), toHex(CALL));
});

test('broken info blocks end the header map, not the connection', () => {
  for (const block of ['01 0002 0001 61 0001 62', '01', '10 0001', '11 00ff', '77 00', '01 ffff']) {
    const header = hex(block);
    const padded = new Uint8Array(header.length + ((4 - ((2 + header.length) % 4)) % 4));
    padded.set(header);
    const words = (2 + padded.length) / 4;
    const bytes = hex(
      `${(12 + padded.length).toString(16).padStart(8, '0')} 1000 0000 00000007 ${words.toString(16).padStart(4, '0')} 00 00 ${toHex(padded)}`,
    );
    assert.doesNotThrow(() => ttheader.headers(frameOf(ttheader, bytes)).entries(), block);
  }
});

test('what a frame is, its side and its message type tell', () => {
  assert.equal(kindOf(ttheader, made({})), 'request');
  assert.equal(kindOf(ttheader, made({ integers: [[22, '4']] })), 'oneway');
  assert.equal(kindOf(ttheader, made({}), 'upstream'), 'response');
});

test('streams are not paired', () => assert.equal(kindOf(ttheader, made({ flags: 2 })), 'unknown'));

test('crrst in a control frame is a go-away; in a response it ends the connection behind it', () => {
  const crrst: [string, string][] = [['crrst', '1']];
  assert.equal(kindOf(ttheader, made({ seqid: 0, strings: crrst, payload: new Uint8Array(0) }), 'upstream'), 'go-away');
  const last = made({ strings: crrst });
  assert.equal(kindOf(ttheader, last, 'upstream'), 'response');
  assert.equal(ttheader.endsConnection(last), true);
  assert.equal(ttheader.endsConnection(made({})), false);
  assert.equal(kindOf(ttheader, frameOf(ttheader, ttheader.goAway()), 'upstream'), 'go-away');
});

test('answers in the form of the request', () => {
  const answer = (frame: Parameters<typeof ttheader.respond>[0]) => frameOf(ttheader, ttheader.respond(frame, { status: 503, details: 'full' }));
  const plain = answer(made({}));
  assert.equal(toHex(plain.section('payload')), toHex(hex('80010003 00000004 6563686f 00000007 0b 0001 00000004 66756c6c 08 0002 00000006 00')));
  assert.equal(ttheader.status(plain), 1);
  const framed = answer(made({ payload: hex(`00000011 ${toHex(CALL)}`) }));
  assert.equal(toHex(framed.section('payload')).slice(0, 16), '0000002380010003');
  const protobuf = answer(made({ payload: hex('90010001 00000003 736179 00000001'), protocol: 4 }));
  assert.equal(toHex(protobuf.section('payload')), toHex(hex('90010003 00000003 736179 00000001 0806 1204 66756c6c')));
  assert.equal(protobuf.field('protocol'), 4);
});

test('a payload of negative length breaks the connection', () => {
  assert.equal(faultOf(ttheader, hex('0000000e 1000 0000 00000001 0005 00 00 0000')), 'BAD_LENGTH at 12');
});

test('a call that is cut through shows its headers', () => {
  const { raw } = made({ integers: [[6, 's']], payload: new Uint8Array(500) });
  const [frame] = framesOf(ttheader, raw.slice(0, 60), { cutThroughBytes: 100 });
  assert.equal(frame.isPartial, true);
  assert.equal(ttheader.service(frame), 's');
});
