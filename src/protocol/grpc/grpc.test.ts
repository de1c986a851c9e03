import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { Base64Decoder, Base64Encoder } from './base64-stream.js';
import { grpcFrame, MessageReader } from './message-reader.js';
import { decodeGrpcMessage, encodeGrpcMessage } from './message-text.js';
import { formatGrpcTimeout, grpcMethodOf, grpcWebKind, isGrpcType, parseGrpcTimeout } from './request.js';
import { GRPC, GRPC_NAMES, grpcOfHttp, grpcOfReset, httpOfGrpc, parseGrpcStatus } from './status.js';
import { TrailerLines } from './trailer-lines.js';

const text = (value: string) => Buffer.from(value, 'latin1');

test('a content-type is that of gRPC with or without a format and parameters, and not that of gRPC-Web', () => {
  for (const type of ['application/grpc', 'application/grpc+proto', 'application/grpc+json', 'application/grpc;charset=utf-8', 'Application/gRPC']) {
    assert.equal(isGrpcType(type), true, type);
  }
  for (const type of ['application/grpc-web', 'application/grpc-web-text+proto', 'application/grpcx', 'application/json', '', undefined]) {
    assert.equal(isGrpcType(type), false, String(type));
  }
});

test('gRPC-Web comes as binary or as text', () => {
  for (const type of ['application/grpc-web', 'application/grpc-web+proto', 'application/grpc-web ; x=y'])
    assert.equal(grpcWebKind(type), 'binary', type);
  for (const type of ['application/grpc-web-text', 'application/grpc-web-text+proto']) assert.equal(grpcWebKind(type), 'text', type);
  for (const type of ['application/grpc', 'application/grpc-webx', 'application/grpc-web-texts', undefined])
    assert.equal(grpcWebKind(type), undefined, String(type));
});

test('a path names a service and a method', () => {
  assert.deepEqual(grpcMethodOf('/pkg.Service/Method'), { service: 'pkg.Service', method: 'Method' });
  assert.deepEqual(grpcMethodOf('/S/M?x=/y'), { service: 'S', method: 'M' });
  for (const path of ['', '/', '/S', '/S/', '//M', '/S/?x', '/S/M/N', 'S/M']) assert.equal(grpcMethodOf(path), undefined, path);
});

test('grpc-timeout is one to eight digits and a unit; anything else is no timeout', () => {
  assert.deepEqual(
    ['1H', '2M', '3S', '4m', '1500u', '1n', '0S', '99999999m'].map(parseGrpcTimeout),
    [3_600_000, 120_000, 3000, 4, 2, 1, 0, 99_999_999],
  );
  for (const value of ['', 'S', '1', '123456789m', '1s', '-1S', '1.5S', ' 1S', '1 S', '1SS']) assert.equal(parseGrpcTimeout(value), undefined, value);
});
test('a formatted grpc-timeout is read back as not less, in at most eight digits', () => {
  fc.assert(
    fc.property(fc.double({ min: 0, max: 3e14, noNaN: true }), (ms) => {
      const formatted = formatGrpcTimeout(ms);
      assert.match(formatted, /^\d{1,8}[mSMH]$/);
      assert.ok((parseGrpcTimeout(formatted) as number) >= ms);
    }),
  );
  assert.equal(formatGrpcTimeout(1500), '1500m');
});

test('HTTP statuses and gRPC statuses are mapped as gRPC and Envoy say', () => {
  for (const [http, grpc] of [
    [400, 13],
    [401, 16],
    [403, 7],
    [404, 12],
    [408, 2],
    [429, 14],
    [431, 13],
    [500, 2],
    [502, 14],
    [503, 14],
    [504, 14],
  ])
    assert.equal(grpcOfHttp(http), grpc, `${http}`);
  assert.deepEqual(
    GRPC_NAMES.map((_, status) => httpOfGrpc(status)),
    [200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401],
  );
  assert.equal(httpOfGrpc(17), 500);
});
test('a reset stream has the gRPC status of its error', () => {
  for (const [error, status] of [
    ['NO_ERROR', 13],
    ['PROTOCOL_ERROR', 13],
    ['FLOW_CONTROL_ERROR', 13],
    ['REFUSED_STREAM', 14],
    ['CANCEL', 1],
    ['ENHANCE_YOUR_CALM', 8],
    ['INADEQUATE_SECURITY', 7],
    ['COMPRESSION_ERROR', 13],
    ['CONNECT_ERROR', 13],
  ] as const)
    assert.equal(grpcOfReset(error), status, error);
  assert.equal(GRPC.UNAVAILABLE, 14);
});
test('a grpc-status is a decimal number', () => {
  assert.deepEqual(['0', '16', '4711', '', '-1', '1x', '1234567890', undefined].map(parseGrpcStatus), [0, 16, 4711, -1, -1, -1, -1, -1]);
});

test('a grpc-message is percent-encoded UTF-8', () => {
  assert.equal(encodeGrpcMessage('plain ~ text'), 'plain ~ text');
  assert.equal(encodeGrpcMessage('100 %\n\u00fc'), '100 %25%0A%C3%BC');
  assert.equal(decodeGrpcMessage('100 %25%0a%C3%BC'), '100 %\n\u00fc');
  assert.equal(decodeGrpcMessage('50% off %zz %2'), '50% off %zz %2');
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (message) => {
      assert.match(encodeGrpcMessage(message), /^[\x20-\x7e]*$/);
      assert.equal(decodeGrpcMessage(encodeGrpcMessage(message)), message);
    }),
  );
});

test('trailers are read line by line, whatever the case of their names', () => {
  const lines = new TrailerLines();
  const trailers = text('x-first: a\r\nGrpc-Status:  14 \r\nbroken\r\ngrpc-message: no%20way\r\ngrpc-status: 0\r\n');
  assert.equal(lines.grpcStatus(trailers), 14);
  assert.equal(lines.get(trailers, 'grpc-message'), 'no%20way');
  assert.equal(lines.get(trailers, 'absent'), undefined);
  const seen: [string, string][] = [];
  lines.begin(trailers);
  while (lines.next()) seen.push([lines.name, lines.value]);
  assert.deepEqual(
    seen.map(([name]) => name),
    ['x-first', 'Grpc-Status', 'grpc-message', 'grpc-status'],
  );
  assert.equal(lines.grpcStatus(text('')), -1);
  assert.equal(lines.grpcStatus(text('grpc-status: x\r\n')), -1);
});

test('messages are counted however the bytes fall', () => {
  const messages = fc.array(fc.uint8Array({ maxLength: 20 }), { maxLength: 8 });
  fc.assert(
    fc.property(messages, fc.array(fc.nat(30), { maxLength: 12 }), (all, cuts) => {
      const body = Buffer.concat(all.map((message) => grpcFrame(message)));
      const reader = new MessageReader();
      let at = 0;
      for (const cut of cuts) {
        reader.push(body.subarray(at, at + cut));
        at = Math.min(body.length, at + cut);
      }
      reader.push(body.subarray(at));
      assert.equal(reader.messages, all.length);
      assert.ok(reader.isWhole);
    }),
  );
  const reader = new MessageReader();
  reader.push(grpcFrame(text('grpc-status: 0\r\n'), 0x80));
  assert.equal(reader.messages, 0);
});
test('a claimed length takes no memory, and an unfinished message is seen', () => {
  const reader = new MessageReader();
  reader.push(Uint8Array.of(0, 0xff, 0xff, 0xff, 0xff, 1));
  assert.equal(reader.messages, 1);
  assert.equal(reader.isWhole, false);
});

test('base64 is decoded piece by piece, with padding in the middle', () => {
  const decoder = new Base64Decoder();
  const decoded = [...'YQ==YmM=ZGVm'].map((letter) => decoder.push(text(letter)) as Uint8Array);
  assert.equal(Buffer.concat(decoded).toString(), 'abcdef');
  assert.ok(decoder.isWhole);
  for (const bad of ['Y', '=', 'Y=', 'YQ=x', 'Y Q=', 'Yé']) {
    const one = new Base64Decoder();
    assert.ok(one.push(text(bad)) === undefined || !one.isWhole, bad);
  }
});
test('what is encoded in pieces is decoded in pieces', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 10 })), fc.nat(7), (pieces, size) => {
      const [encoder, decoder] = [new Base64Encoder(), new Base64Decoder()];
      const encoded = Buffer.concat([...pieces.map((piece) => encoder.push(piece)), encoder.end()]);
      assert.equal(encoded.toString('latin1'), Buffer.concat(pieces).toString('base64'));
      const decoded: Uint8Array[] = [];
      for (let at = 0; at < encoded.length; at += size + 1) decoded.push(decoder.push(encoded.subarray(at, at + size + 1)) as Uint8Array);
      assert.deepEqual(Buffer.concat(decoded), Buffer.concat(pieces));
    }),
  );
});
