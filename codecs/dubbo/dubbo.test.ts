import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import test from 'node:test';
import { CodecError } from '../../src/base/errors.js';
import type { Frame } from '../../src/protocol/frame.js';
import { createFrameDecoder, DECODED } from '../../src/protocol/frame-decoder.js';
import { encodeFrame } from '../../src/protocol/frame-encoder.js';
import { faultOf, frameOf, framesOf, hex, kindOf, toHex } from '../../test/support/codec-frames.js';
import { MAX_ATTACHMENTS } from './attachments.js';
import { countParameters } from './body.js';
import { encodeHessianString, HessianReader } from './hessian.js';
import dubbo, { encodeHeartbeat, encodeReadOnly } from './index.js';
import { framing, HEADER_BYTES, MAX_BODY_BYTES } from './spec.js';

const hessian: { EncoderV2: new () => { write(value: unknown): { get(): Buffer }; get(): Buffer } } = createRequire(import.meta.url)('hessian.js');

/** Frames recorded between a consumer and a provider of Dubbo 3.3.0, by their names in vectors.json. */
const vectors: { name: string; hex: string }[] = JSON.parse(
  readFileSync(join(import.meta.dirname, '..', '..', '..', 'codecs', 'dubbo', 'vectors.json'), 'utf8'),
);
const recorded = (name: string): Frame => frameOf(dubbo, hex(vectors.find((vector) => vector.name.startsWith(name))?.hex ?? assert.fail(name)));

const HESSIAN2 = 2;
const string = (text: string): string => toHex(encodeHessianString(text));
const map = (...texts: string[]): string => `48${texts.map(string).join('')}5a`;
const frame = (fields: Record<string, number | bigint>, body: string): Frame =>
  frameOf(dubbo, encodeFrame(framing, { fields: { requestId: 1, ...fields }, sections: { body: hex(body) } }));
/** A hessian2 request; arguments and attachments as hex. */
const request = (parameters: string, args: string, attachments: string, version = string('1.0')): Frame =>
  frame(
    { request: 1, twoWay: 1, serialization: HESSIAN2 },
    `${string('2.0.2')}${string('a.B')}${version}${string('m')}${string(parameters)}${args}${attachments}`,
  );
const response = (body: string, status = 20): Frame => frame({ serialization: HESSIAN2, status }, body);
const changed = (of: Frame, changes: Record<string, string | undefined>): Frame => {
  const bytes = dubbo.withHeaders(of, new Map(Object.entries(changes)));
  assert.ok(bytes, 'can be changed');
  return frameOf(dubbo, bytes);
};
const entriesOf = (of: Frame): Record<string, string> => Object.fromEntries(dubbo.headers(of).entries());
const thrown = (run: () => unknown): string => {
  try {
    run();
  } catch (cause) {
    if (cause instanceof CodecError) return `${cause.code} ${cause.scope}`;
    throw cause;
  }
  return 'none';
};

// ---- frames -----------------------------------------------------------------------------------------------------------------------------

test('D1: rejects a negative length, and one over the limit, before any of the body is there', () => {
  assert.equal(faultOf(dubbo, hex('dabb c2 00 0000000000000001 80000000')), 'BAD_DATA_LENGTH at 12');
  assert.equal(faultOf(dubbo, hex('dabb 02 14 0000000000000001 ffffffff')), 'BAD_DATA_LENGTH at 12');
  assert.equal(faultOf(dubbo, hex('dabb c2 00 0000000000000001 00800001')), 'FRAME_TOO_LARGE at 12');
  const decode = createFrameDecoder('dubbo', framing, { maxFrameBytes: dubbo.maxFrameBytes });
  assert.equal(decode(hex('dabb c2 00 0000000000000001 00800000'), 0, 16, new Int32Array(framing.tableWords), 0), DECODED.MORE);
  assert.equal(MAX_BODY_BYTES, 8388608);
});

test('D2: a wrong magic behind a frame is an error, not something to look for the next frame in', () => {
  assert.equal(faultOf(dubbo, Buffer.concat([dubbo.heartbeat(1, 0), hex('00'), dubbo.heartbeat(2, 0)])), 'BAD_MAGIC at 0');
});

test('ids of 64 bits are kept in all their bits', () => {
  for (const id of ['0000000000000000', '7fffffffffffffff', '8133ec07bad949b0', 'ffffffffffffffff']) {
    const asked = frameOf(dubbo, hex(`dabb e2 00 ${id} 00000001 4e`));
    assert.equal(asked.id, BigInt(`0x${id}`));
    assert.equal(toHex(dubbo.heartbeatAck(asked)), `dabb2214${id}000000014e`);
    assert.equal(toHex(dubbo.heartbeat(asked.idLow, asked.idHigh)), `dabbe200${id}000000014e`);
  }
});

test('D4: a request without the two-way flag is one-way', () => {
  assert.equal(kindOf(dubbo, frameOf(dubbo, hex('dabb 82 00 0000000000000001 00000000'))), 'oneway');
  assert.equal(kindOf(dubbo, frameOf(dubbo, hex('dabb c2 00 0000000000000001 00000000'))), 'request');
  assert.equal(kindOf(dubbo, frameOf(dubbo, hex('dabb 42 14 0000000000000001 00000000'))), 'response');
});

test('a request is never cut through: what decides about its service is at its end', () => {
  const bytes = recorded('hessian2 request').raw;
  const decode = createFrameDecoder('dubbo', framing, { maxFrameBytes: 8192, cutThroughBytes: 17 });
  const ints = new Int32Array(framing.tableWords);
  for (let length = 0; length < bytes.length; length++) assert.equal(decode(bytes, 0, length, ints, 0), DECODED.MORE);
  assert.equal(decode(bytes, 0, bytes.length, ints, 0), DECODED.WHOLE);
});

// ---- events -----------------------------------------------------------------------------------------------------------------------------

test('D3: the read-only event is a go-away, and no heartbeat', () => {
  for (const bytes of ['dabb a2 00 0000000000000001 00000002 0152', 'dabb b7 00 0000000000000001 00000006 00000002 4a52'])
    assert.equal(kindOf(dubbo, frameOf(dubbo, hex(bytes))), 'go-away');
  assert.equal(kindOf(dubbo, recorded('read-only event of a provider')), 'go-away');
});

test('the proxy tells its peers to go with the read-only event, one-way', () => {
  assert.equal(toHex(dubbo.goAway()), 'dabba200000000000000000000000002' + '0152');
  assert.equal(toHex(encodeReadOnly(23)), 'dabbb700000000000000000000000006' + '000000024a52');
});

test('the writable event, and every other that is one-way, is left alone', () => {
  for (const body of ['0157', '4e', '', '015252', '0e52656164206f6e6c7920706c65617365'])
    assert.equal(kindOf(dubbo, frame({ request: 1, event: 1, serialization: 2 }, body)), 'event');
  assert.equal(kindOf(dubbo, frame({ request: 1, event: 1, serialization: 8 }, '0152')), 'event');
});

test('a two-way event is a heartbeat, unless it is longer than any event', () => {
  assert.equal(kindOf(dubbo, frame({ request: 1, twoWay: 1, event: 1, serialization: 2 }, '4e')), 'heartbeat');
  assert.equal(kindOf(dubbo, frame({ request: 1, twoWay: 1, event: 1, serialization: 8 }, '00'.repeat(15))), 'heartbeat');
  assert.equal(kindOf(dubbo, frame({ request: 1, twoWay: 1, event: 1, serialization: 8 }, '00'.repeat(16))), 'event');
});

test('D5: a heartbeat is answered with its id, in its serialization, with one null', () => {
  for (const [asked, answered] of [
    ['dabb e2 00 8133ec07bad949b4 00000001 4e', 'dabb 22 14 8133ec07bad949b4 00000001 4e'],
    ['dabb e2 00 0000000000000001 00000002 4e4e', 'dabb 22 14 0000000000000001 00000001 4e'],
    ['dabb e2 00 0000000000000001 00000000', 'dabb 22 14 0000000000000001 00000001 4e'],
    ['dabb f7 00 51460ae1ee623089 00000005 00000001af', 'dabb 37 14 51460ae1ee623089 00000005 00000001af'],
    ['dabb e8 00 0000000000000001 00000001 00', 'dabb 28 14 0000000000000001 00000001 00'],
  ]) {
    const heartbeat = frameOf(dubbo, hex(asked));
    assert.equal(kindOf(dubbo, heartbeat), 'heartbeat');
    const ack = dubbo.heartbeatAck(heartbeat);
    assert.equal(toHex(ack), toHex(hex(answered)));
    assert.equal(kindOf(dubbo, frameOf(dubbo, ack)), 'heartbeat-ack');
  }
});

test('generates heartbeats in hessian2, which every peer has, and in fastjson2', () => {
  assert.equal(toHex(dubbo.heartbeat(7, 1)), 'dabbe2000000000100000007' + '000000014e');
  assert.equal(toHex(encodeHeartbeat(23, 7, 1)), 'dabbf7000000000100000007' + '0000000500000001af');
});

// ---- requests ---------------------------------------------------------------------------------------------------------------------------

test('reads service, method and attachments of a request', () => {
  const asked = recorded('hessian2 request');
  assert.equal(dubbo.service(asked), 'greetings/Greeter');
  assert.equal(dubbo.method(asked), 'hello');
  assert.equal(dubbo.timeoutMs(asked), 2500);
  assert.deepEqual(entriesOf(asked), {
    service: 'greetings/Greeter',
    method: 'hello',
    version: '1.2.0',
    dubbo: '2.0.2',
    path: 'greetings/Greeter',
    colour: 'blau ä \u{1f600}',
    'remote.application': 'cons',
    interface: 'Greeter',
    timeout: '2500',
    group: 'blue',
  });
  assert.equal(dubbo.headers(asked).get('group'), 'blue');
  assert.equal(dubbo.headers(asked).get('Group'), undefined);
});

test('D10: reads attachments behind arguments with class definitions, references and typed collections', () => {
  const asked = recorded('hessian2 request: objects');
  assert.equal(dubbo.service(asked), 'greetings/Greeter');
  assert.equal(dubbo.method(asked), 'link');
  assert.equal(dubbo.headers(asked).get('group'), 'blue');
  assert.equal(dubbo.headers(asked).get('level'), '7');
});

test('D10: a reference, or a class defined in an argument, does not end the arguments early', () => {
  const encoder = new hessian.EncoderV2();
  const shared = { $class: 'com.example.Node', $: { name: 'n', items: [1, 'Z', null] } };
  encoder.write(shared);
  encoder.write([shared, shared]);
  encoder.write({ $class: 'com.example.Node', $: { name: 'Z', items: shared } });
  const asked = request('Lcom/example/Node;Ljava/util/List;Lcom/example/Node;', toHex(encoder.get()), map('group', 'red', 'path', 'a.B'));
  assert.equal(dubbo.headers(asked).get('group'), 'red');
});

test('D9: the version may be absent, and the attachment path, which a provider goes by, overrules the path', () => {
  const asked = request('', '', map('path', 'other.Path', 'interface', 'a.B'), '4e');
  assert.equal(dubbo.headers(asked).get('version'), undefined);
  assert.equal(dubbo.service(asked), 'other.Path');
  assert.equal(dubbo.service(request('', '', map())), 'a.B');
  assert.equal(dubbo.headers(request('', '', map('version', '2.0'))).get('version'), '2.0');
});

test('of an attachment that is there twice, the last one counts', () => {
  const asked = request('', '', map('group', 'red', 'path', 'x', 'group', 'blue', 'path', 'y'));
  assert.equal(dubbo.headers(asked).get('group'), 'blue');
  assert.equal(entriesOf(asked).group, 'blue');
  assert.equal(dubbo.service(asked), 'y');
});

test('a key may be written in other ways than the shortest, as Java reads it', () => {
  for (const key of ['53 0004 70617468', '3004 70617468', '52 0002 7061 02 7468', '04 70 c1a1 7468', '04 e081b0 617468']) {
    const asked = request('', '', `48${key.replaceAll(' ', '')}${string('y')}5a`);
    assert.equal(dubbo.service(asked), 'y', key);
    assert.equal(dubbo.headers(changed(asked, { path: undefined })).get('path'), undefined, key);
  }
  assert.equal(dubbo.headers(request('', '', map('größe', '1', 'path ', '2'))).get('größe'), '1');
  assert.equal(dubbo.headers(request('', '', map('gr', '1'))).get('gx'), undefined);
});

test('attachments may be missing or null', () => {
  for (const attachments of ['', '4e', '485a']) {
    const asked = request('I', '90', attachments);
    assert.deepEqual(entriesOf(asked), { service: 'a.B', method: 'm', version: '1.0', dubbo: '2.0.2' });
    assert.equal(dubbo.timeoutMs(asked), undefined);
  }
});

test('only text, numbers and booleans are entries of the header map', () => {
  const asked = request(
    '',
    '',
    `48${string('list')}7991${string('no')}4e${string('yes')}54${string('n')}e19154${string('t')}035a5a5a91${string('not a string')}5a`,
  );
  assert.deepEqual(entriesOf(asked), { service: 'a.B', method: 'm', version: '1.0', dubbo: '2.0.2', yes: 'true', n: '1', t: 'ZZZ' });
});

test('the timeout may be a number, and is nothing where it is neither', () => {
  const withTimeout = (value: string) => dubbo.timeoutMs(request('', '', `48${string('timeout')}${value}5a`));
  assert.equal(withTimeout('cbb8'), 952);
  assert.equal(withTimeout(string('-1')), -1);
  assert.equal(withTimeout(string('soon')), undefined);
  assert.equal(withTimeout(string('1e3')), undefined);
  assert.equal(withTimeout('4e'), undefined);
});

test('reads the requests of Dubbox, which says the number of arguments', () => {
  const asked = (count: string, args: string) =>
    frame({ request: 1, twoWay: 1, serialization: 2 }, `${string('2.8.4')}${string('a.B')}4e${string('m')}${count}${args}${map('group', 'g')}`);
  assert.equal(dubbo.headers(asked(`8f${string('IZ')}`, '9054')).get('group'), 'g');
  assert.equal(dubbo.headers(asked('92', '9054')).get('group'), 'g');
});

test('counts the types of a JVM descriptor', () => {
  for (const [descriptor, count] of [
    ['', 0],
    ['I', 1],
    ['IJ[Z', 3],
    ['Ljava/lang/String;[Ljava/lang/String;[[Ljava/lang/Object;', 3],
    ['[[[D', 1],
    ['Lbroken', 0],
  ] as const)
    assert.equal(countParameters(descriptor), count, descriptor);
});

test('D6: a body in another serialization is neither read nor refused', () => {
  for (const asked of [recorded('fastjson2 request'), recorded('kryo request')]) {
    assert.equal(kindOf(dubbo, asked), 'request');
    assert.equal(dubbo.service(asked), undefined);
    assert.equal(dubbo.method(asked), undefined);
    assert.equal(dubbo.timeoutMs(asked), undefined);
    assert.deepEqual(entriesOf(asked), {});
    assert.equal(dubbo.withHeaders(asked, new Map([['a', 'b']])), undefined);
  }
});

test('of a body that is not read to its end nothing but the method is said', () => {
  for (const [what, args] of [
    ['an argument is missing', ''],
    ['an argument is cut off', '05 61'],
    ['an argument is too deep', `${'79'.repeat(2000)}90`],
    ['what follows the arguments is no map', '90 91'],
  ]) {
    const asked = request('I', args, '');
    assert.equal(dubbo.method(asked), 'm', what);
    assert.equal(dubbo.service(asked), undefined, what);
    assert.deepEqual(entriesOf(asked), {}, what);
    assert.equal(dubbo.withHeaders(asked, new Map([['a', 'b']])), undefined, what);
  }
});

test('looks at as many attachments as the limit, and at none of more', () => {
  const many = (count: number) => request('', '', `48${'0161e1'.repeat(count)}5a`);
  assert.equal(dubbo.headers(many(MAX_ATTACHMENTS)).get('a'), '1');
  assert.equal(dubbo.headers(many(MAX_ATTACHMENTS + 1)).get('a'), undefined);
});

// ---- changes ----------------------------------------------------------------------------------------------------------------------------

test('D7: a changed attachment is on the wire, and everything else is as it was', () => {
  const before = recorded('hessian2 request: objects');
  const after = changed(before, { group: 'green', colour: undefined, 'x-trace': 'ü\u{1f600}' });
  assert.deepEqual(entriesOf(after), { ...entriesOf(before), group: 'green', 'x-trace': 'ü\u{1f600}' });
  assert.equal(after.id, before.id);
  const reader = new HessianReader(before.section('body'));
  for (let i = 0; i < 9; i++) reader.skipValue();
  assert.equal(toHex(after.section('body').subarray(0, reader.at)), toHex(before.section('body').subarray(0, reader.at)), 'heads and arguments');
});

test('no change gives the same bytes', () => {
  for (const name of ['hessian2 request', 'hessian2 one-way request', 'hessian2 response with a value'])
    assert.equal(toHex(changed(recorded(name), {}).raw), toHex(recorded(name).raw), name);
});

test('attachments are made where there are none', () => {
  for (const attachments of ['', '4e', '485a']) {
    const after = changed(request('I', '90', attachments), { group: 'g' });
    assert.equal(toHex(after.section('body')).slice(-2 * hex(map('group', 'g')).length), map('group', 'g'));
    assert.equal(dubbo.headers(after).get('group'), 'g');
  }
});

test('service, method and version change in front of the arguments, and where they are attachments too', () => {
  const after = changed(recorded('hessian2 request'), { service: 'x.Y', method: 'other', version: '9' });
  assert.equal(dubbo.service(after), 'x.Y');
  assert.equal(dubbo.method(after), 'other');
  assert.equal(dubbo.headers(after).get('path'), 'x.Y');
  const reader = new HessianReader(after.section('body'));
  assert.deepEqual([reader.string(), reader.string(), reader.string(), reader.string()], ['2.0.2', 'x.Y', '9', 'other']);
  const bare = changed(request('', '', map('a', 'b')), { service: 'x.Y', version: undefined });
  assert.deepEqual(entriesOf(bare), { service: 'x.Y', method: 'm', dubbo: '2.0.2', a: 'b' });
});

test('a service or a method cannot be taken away', () => {
  assert.equal(
    thrown(() => changed(request('', '', map()), { service: undefined })),
    'FIXED_HEADER stream',
  );
  assert.equal(
    thrown(() => changed(request('', '', map()), { method: undefined })),
    'FIXED_HEADER stream',
  );
});

test('an attachment that later ones refer to cannot be taken away; the last such can', () => {
  const asked = request('', '', `48${string('first')}7991${string('second')}5190${string('third')}01785a`);
  assert.equal(
    thrown(() => changed(asked, { first: undefined })),
    'FIXED_ATTACHMENT stream',
  );
  assert.equal(toHex(changed(asked, { second: undefined }).section('body')).endsWith(`48${string('first')}7991${string('third')}01785a`), true);
  assert.equal(
    thrown(() => changed(asked, { third: 'x' })),
    'none',
  );
});

// ---- responses --------------------------------------------------------------------------------------------------------------------------

test('attachments of a response can be read and changed, where it has any', () => {
  const before = recorded('hessian2 response with an object');
  assert.deepEqual(entriesOf(before), { dubbo: '2.0.2' });
  assert.deepEqual(entriesOf(changed(before, { a: '1', dubbo: undefined })), { a: '1' });
  assert.deepEqual(entriesOf(changed(response(`95${map('a', '1')}`), { b: '2' })), { a: '1', b: '2' });
});

test('a response has no service, method or timeout', () => {
  for (const answer of [recorded('hessian2 response with a value'), response('0161'), response('0161', 70)]) {
    assert.equal(dubbo.service(answer), undefined);
    assert.equal(dubbo.method(answer), undefined);
    assert.equal(dubbo.timeoutMs(answer), undefined);
  }
});

test('a response of a kind without attachments stays as it is', () => {
  for (const body of ['90 4e', '91 0161', '92', '', `94`]) {
    assert.deepEqual(entriesOf(response(body)), {}, body);
    assert.equal(dubbo.withHeaders(response(body), new Map([['a', 'b']])), undefined, body);
  }
  assert.equal(dubbo.withHeaders(response(`95${map()}`, 70), new Map([['a', 'b']])), undefined, 'an error text');
});

test('D8: a local reply is a status that is not OK, with a text, in the serialization of the request', () => {
  const reply = { status: 404, details: 'no route' };
  assert.equal(toHex(dubbo.respond(recorded('hessian2 request'), reply) ?? hex('')), `dabb023c8133ec07bad949b000000009${string('no route')}`);
  assert.equal(
    toHex(dubbo.respond(recorded('fastjson2 request'), reply) ?? hex('')),
    `dabb173c51460ae1ee623085${'0000000e'}${'0000000a'}7a08${toHex(Buffer.from('no route'))}`,
  );
});

test('D8: a request in a serialization in which no text can be written gets no reply', () => {
  assert.equal(dubbo.respond(recorded('kryo request'), { status: 404, details: 'no route' }), undefined);
});

test("a local reply says what went wrong in the protocol's own numbers", () => {
  const statusFor = (status: number) => dubbo.status(frameOf(dubbo, dubbo.respond(recorded('hessian2 request'), { status, details: '' }) ?? hex('')));
  assert.deepEqual([404, 429, 503, 504, 502, 400, 403, 500].map(statusFor), [60, 100, 100, 31, 35, 40, 80, 80]);
});

test('the text of a local reply is bounded, and may be in any language', () => {
  for (const details of ['x'.repeat(5000), 'é'.repeat(47), '日本語'.repeat(300), '']) {
    const hessian2 = frameOf(dubbo, dubbo.respond(recorded('hessian2 request'), { status: 503, details }) ?? hex(''));
    assert.equal(new HessianReader(hessian2.section('body')).string(), details.slice(0, 1024));
    const fastjson2 = Buffer.from(frameOf(dubbo, dubbo.respond(recorded('fastjson2 request'), { status: 503, details }) ?? hex('')).section('body'));
    assert.equal(fastjson2.readInt32BE(0), fastjson2.length - 4);
    assert.equal(fastjson2[4], 0x7a);
    // JSONB: 00..2f is the number; 30..3f and a byte, less 0x38; 40..47 and two bytes, less 0x44.
    const [count, at] =
      fastjson2[5] < 0x30
        ? [fastjson2[5], 6]
        : fastjson2[5] < 0x40
          ? [((fastjson2[5] - 0x38) << 8) + fastjson2[6], 7]
          : [((fastjson2[5] - 0x44) << 16) + fastjson2.readUInt16BE(6), 8];
    assert.equal(fastjson2.subarray(at).toString(), details.slice(0, 1024));
    assert.equal(count, fastjson2.length - at);
  }
});

test('a status counts as the HTTP status that means the same', () => {
  assert.deepEqual(
    [20, 25, 30, 31, 35, 40, 50, 60, 70, 80, 90, 100, 0].map(dubbo.statusClass),
    [200, 500, 504, 504, 502, 400, 500, 404, 500, 500, 400, 503, 500],
  );
});

test('recorded frames of a conversation follow each other', () => {
  const bytes = hex(vectors.find(({ name }) => name === "a client's conversation")?.hex ?? '');
  assert.deepEqual(
    framesOf(dubbo, bytes).map((one) => kindOf(dubbo, one)),
    ['request', 'oneway', 'heartbeat', 'request'],
  );
  assert.equal(HEADER_BYTES, 16);
});
