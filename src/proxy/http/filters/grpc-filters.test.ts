import assert from 'node:assert/strict';
import test from 'node:test';
import { linesAfter, makeHead } from '../../../../test/support/heads.js';
import { StatsStore } from '../../../base/stats.js';
import { Edits } from '../../../protocol/edits.js';
import { grpcFrame } from '../../../protocol/grpc/message-reader.js';
import type { Head } from '../../../protocol/head.js';
import type { Cluster } from '../../cluster/cluster.js';
import type { Exchange } from '../exchange.js';
import { localReply, toGrpcReply } from '../local-reply.js';
import { ActiveFilters, type HttpFilter } from './chain.js';
import { grpcStats } from './grpc-stats.js';
import { grpcWeb } from './grpc-web.js';

const request = (type: string, more: [string, string][] = []) =>
  makeHead({ method: 'POST', path: '/pkg.Greeter/Hello' }, [['content-type', type], ...more]);
const response = (type: string) => makeHead({ status: 200 }, [['content-type', type]]);
const exchangeOf = (path = '/pkg.Greeter/Hello'): Exchange => {
  const cluster = { config: { statName: 'up' } } as Cluster;
  return { path, cluster, isGrpc: false, grpcStatus: -1, requestEnd: 0, upstreamStart: 0, firstUpstreamByte: -1, context: { now: 7 } } as Exchange;
};
function opened(filter: HttpFilter, head: Head, exchange = exchangeOf()) {
  const replies: string[] = [];
  const owner = {
    exchange,
    filtersResumed() {},
    filterReplies: (reply: { status: number; body: Uint8Array | undefined }, details: string) =>
      replies.push(`${reply.status} ${details}: ${Buffer.from(reply.body ?? [])}`),
  };
  return { filters: ActiveFilters.open([filter], owner, head), exchange, replies };
}
const web = (head: Head) => {
  const { filters, ...rest } = opened(grpcWeb, head);
  assert.ok(filters !== undefined);
  return { filters, ...rest };
};
function edited(head: Head, change: (edits: Edits) => void): string[] {
  const edits = new Edits();
  change(edits);
  return linesAfter(head, edits);
}
const text = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString('latin1');

test('grpc_web leaves every other request alone', () => {
  for (const type of ['application/grpc', 'application/json', 'text/plain']) assert.equal(opened(grpcWeb, request(type)).filters, undefined, type);
});
test('grpc_web makes a gRPC request of a binary one, and puts the trailers into the body of the response', () => {
  const head = request('application/grpc-web+proto');
  const { filters, exchange } = web(head);
  assert.equal(exchange.isGrpc, true);
  assert.deepEqual(
    edited(head, (edits) => {
      filters.changeRequest(head, edits);
      filters.appendRequest(head, edits);
    }),
    ['content-type: application/grpc+proto', 'te: trailers', 'grpc-accept-encoding: identity,deflate,gzip'],
  );
  assert.equal(text(filters.requestBody(Buffer.from('abc'))), 'abc');
  const answer = response('application/grpc+proto');
  filters.responseHead(answer);
  assert.deepEqual(
    edited(answer, (edits) => filters.changeResponse(answer, edits)),
    ['content-type: application/grpc-web+proto'],
  );
  const trailers = 'Grpc-Status: 5\r\ngrpc-message: no%20way\r\n';
  const frame = 'grpc-status:5\r\ngrpc-message:no%20way\r\n';
  assert.equal(text(filters.responseEnd(Buffer.from(trailers))), text(grpcFrame(Buffer.from(frame), 0x80)));
  assert.equal(filters.trailers.length, 0);
});
test('grpc_web decodes a text request and encodes the response, however the bytes fall', () => {
  const { filters } = web(request('application/grpc-web-text', [['accept', 'application/grpc-web-text']]));
  assert.equal(text(filters.requestBody(Buffer.from('YQ='))) + text(filters.requestBody(Buffer.from('=YmM='))), 'abc');
  assert.equal(filters.requestEnd(Buffer.alloc(0)), undefined);
  const answer = response('application/grpc');
  filters.responseHead(answer);
  assert.deepEqual(
    edited(answer, (edits) => filters.changeResponse(answer, edits)),
    ['content-type: application/grpc-web-text+proto'],
  );
  const encoded =
    ['m', 'essage'].map((piece) => text(filters.responseBody(Buffer.from(piece)))).join('') + text(filters.responseEnd(Buffer.from('a: b\r\n')));
  assert.equal(text(Buffer.from(encoded, 'base64')), `message${text(grpcFrame(Buffer.from('a:b\r\n'), 0x80))}`);
});
test('grpc_web refuses text that is no base64, also where its end is missing', () => {
  const one = web(request('application/grpc-web-text'));
  assert.equal(one.filters.requestBody(Buffer.from('a b c')), undefined);
  const two = web(request('application/grpc-web-text'));
  two.filters.requestBody(Buffer.from('YQ'));
  two.filters.requestEnd(Buffer.alloc(0));
  const refusal = '400 grpc_base_64_decode_failed: Bad gRPC-web request, invalid base64 data.';
  assert.deepEqual([one.replies, two.replies], [[refusal], [refusal]]);
});
test('grpc_web lets an answer that is no gRPC through as it is, and gives local replies its own type', () => {
  const { filters } = web(request('application/grpc-web'));
  const answer = response('text/html');
  filters.responseHead(answer);
  assert.deepEqual(
    edited(answer, (edits) => filters.changeResponse(answer, edits)),
    ['content-type: text/html'],
  );
  assert.equal(filters.responseEnd(Buffer.from('x: y\r\n')), undefined);
  assert.equal(text(filters.trailers), 'x: y\r\n');
  const reply = localReply(503, Buffer.from('no healthy upstream'));
  toGrpcReply(reply, -1);
  filters.localReply(reply);
  assert.deepEqual(reply, {
    status: 200,
    body: undefined,
    contentType: 'application/grpc-web+proto',
    grpcStatus: 14,
    headers: [
      ['grpc-status', '14'],
      ['grpc-message', 'no healthy upstream'],
    ],
  });
});

const statsOf = (stats: StatsStore) =>
  Object.fromEntries(
    [...stats.definitions.values()]
      .filter(({ kind }) => kind === 'counter')
      .map(({ name, slab, index }) => [name, stats.slabs[slab][index]])
      .filter(([, value]) => value !== 0),
  );
test('grpc_stats counts calls and messages by method, and those it has no name for together', () => {
  const stats = new StatsStore();
  const filter = grpcStats(stats, { methods: new Set(['pkg.Greeter/Hello']), upstreamTimes: true, replaceDots: true });
  const call = (exchange: Exchange, status: number) => {
    exchange.isGrpc = true;
    const { filters } = opened(filter, request('application/grpc'), exchange);
    assert.ok(filters !== undefined);
    const frame = grpcFrame(Buffer.from('hello'));
    assert.equal(filters.requestBody(frame), frame);
    filters.responseBody(Buffer.concat([frame, frame]));
    exchange.grpcStatus = status;
    exchange.firstUpstreamByte = 1;
    filters.streamEnd();
  };
  const shared = exchangeOf();
  call(shared, 0);
  call({ ...shared, path: '/pkg.Greeter/Hello?x=1' } as Exchange, 14);
  call({ ...shared, path: '/pkg.Greeter/Other' } as Exchange, 99);
  assert.deepEqual(statsOf(stats), {
    'cluster.up.grpc.pkg_Greeter.Hello.success': 1,
    'cluster.up.grpc.pkg_Greeter.Hello.failure': 1,
    'cluster.up.grpc.pkg_Greeter.Hello.total': 2,
    'cluster.up.grpc.pkg_Greeter.Hello.request_message_count': 2,
    'cluster.up.grpc.pkg_Greeter.Hello.response_message_count': 4,
    'cluster.up.grpc.pkg_Greeter.Hello.0': 1,
    'cluster.up.grpc.pkg_Greeter.Hello.14': 1,
    'cluster.up.grpc.failure': 1,
    'cluster.up.grpc.total': 1,
    'cluster.up.grpc.request_message_count': 1,
    'cluster.up.grpc.response_message_count': 2,
  });
  assert.ok(stats.definitions.has('cluster.up.grpc.pkg_Greeter.Hello.upstream_rq_time'));
  assert.equal(opened(filter, request('application/json')).filters, undefined);
});
test('grpc_stats makes no more than its bound of names that clients choose', () => {
  const stats = new StatsStore();
  const filter = grpcStats(stats, { methods: 'all', upstreamTimes: false, replaceDots: false });
  const shared = exchangeOf();
  for (let i = 0; i < 1100; i++) {
    const { filters } = opened(filter, request('application/grpc'), { ...shared, isGrpc: true, path: `/s.S/m${i}`, grpcStatus: 0 } as Exchange);
    filters?.streamEnd();
  }
  assert.equal(statsOf(stats)['cluster.up.grpc.total'], 1100 - 1024);
});
