import assert from 'node:assert/strict';
import test from 'node:test';
import { StatsStore } from '../../../base/stats.js';
import type { Head } from '../../../protocol/head.js';
import type { Exchange } from '../exchange.js';
import { ActiveFilters, FilterChains, type FilterOverrides, type FilterOwner, type HttpFilterConfig, type StreamFilter, VERDICT } from './chain.js';

const text = (value: string) => Buffer.from(value);
const utf8 = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString();
const HEAD = {} as Head;

/** A filter named `name` that opens every stream with `stream`. */
const filter = (name: string, stream: StreamFilter | undefined, disabled = false): HttpFilterConfig => ({
  name,
  disabled,
  create: () => ({ open: () => stream }),
});
function ownerOf() {
  const log: string[] = [];
  const owner: FilterOwner = {
    exchange: {} as Exchange,
    filtersResumed: () => log.push('resumed'),
    filterReplies: (reply, details) => log.push(`${reply.status} ${details}`),
  };
  return { owner, log };
}
const chainsOf = (...configs: HttpFilterConfig[]) => new FilterChains(configs, { stats: new StatsStore(), statPrefix: 'http.test.' });
function active(...streams: StreamFilter[]) {
  const { owner, log } = ownerOf();
  const filters = ActiveFilters.open(chainsOf(...streams.map((stream, index) => filter(`${index}`, stream))).of(undefined) ?? [], owner, HEAD);
  assert.ok(filters !== undefined);
  return { filters, log };
}
/** Puts its name before and after what passes. */
const wrapping = (name: string): StreamFilter => ({
  onRequestBody: (_call, bytes) => text(`${name}(${bytes})`),
  onRequestEnd: () => text(`/${name}`),
  onResponseBody: (_call, bytes) => text(`${name}[${bytes}]`),
  onResponseEnd: () => text(`/${name}`),
});

test('the router alone is no chain, and a filter that does not open a stream costs it nothing', () => {
  assert.equal(chainsOf().of(undefined), undefined);
  const chain = chainsOf(filter('a', undefined), filter('b', undefined)).of(undefined);
  assert.equal(chain?.length, 2);
  assert.equal(ActiveFilters.open(chain ?? [], ownerOf().owner, HEAD), undefined);
});

test('a route switches filters off and on, and routes that say the same share a chain', () => {
  const chains = chainsOf(filter('a', {}), filter('b', {}, true));
  const overrides: FilterOverrides = new Map([
    ['a', { disabled: true }],
    ['b', { disabled: false }],
  ]);
  assert.equal(chains.of(undefined)?.length, 1);
  assert.equal(chains.of(overrides)?.length, 1);
  assert.notEqual(chains.of(overrides)?.[0], chains.of(undefined)?.[0]);
  assert.equal(chains.of(overrides), chains.of(overrides));
  assert.equal(chains.of(new Map([['a', { disabled: true }]])), undefined);
});

test('a stream wants what the methods of its filters say', () => {
  const { filters } = active({ onResponseEnd: () => undefined }, { onRequestBody: (_call, bytes) => bytes });
  assert.deepEqual(
    [filters.wantsRequestBody, filters.wantsRequestEnd, filters.wantsResponseBody, filters.wantsResponseEnd],
    [true, false, false, true],
  );
});

test('heads go through the filters in order on the way up, in reverse on the way down', () => {
  const seen: string[] = [];
  const named = (name: string): StreamFilter => ({
    onRequestHead: () => {
      seen.push(`request ${name}`);
      return VERDICT.CONTINUE;
    },
    onResponseHead: () => {
      seen.push(`response ${name}`);
      return undefined;
    },
    onLocalReply: () => seen.push(`reply ${name}`),
    onStreamEnd: () => seen.push(`end ${name}`),
  });
  const { filters } = active(named('a'), {}, named('b'));
  assert.ok(filters.requestHead(HEAD));
  filters.responseHead(HEAD);
  filters.localReply({ status: 503, body: undefined, contentType: '', grpcStatus: -1, headers: [] });
  filters.streamEnd();
  filters.streamEnd();
  assert.deepEqual(seen, ['request a', 'request b', 'response b', 'response a', 'reply b', 'reply a', 'end a', 'end b']);
});

test('a body goes through them the same way, and what one adds at the end goes through those after it', () => {
  const { filters } = active(wrapping('a'), {}, wrapping('b'));
  assert.equal(utf8(filters.requestBody(text('x'))), 'b(a(x))');
  assert.equal(utf8(filters.requestEnd(text(''))), 'b(/a)/b');
  assert.equal(utf8(filters.responseBody(text('x'))), 'a[b[x]]');
  assert.equal(utf8(filters.responseEnd(text('t: 1\r\n'))), 'a[/b]/a');
  assert.equal(utf8(filters.trailers), 't: 1\r\n');
});

test('a filter may keep a body back and change the trailers', () => {
  const held: Uint8Array[] = [];
  const { filters } = active({
    onResponseBody: (_call, bytes) => {
      held.push(bytes.slice());
      return undefined;
    },
    onResponseEnd: (call) => {
      call.trailers = text('changed: 1\r\n');
      return Buffer.concat(held);
    },
  });
  assert.equal(filters.responseBody(text('one ')), undefined);
  assert.equal(filters.responseBody(text('two')), undefined);
  assert.equal(utf8(filters.responseEnd(text('t: 1\r\n'))), 'one two');
  assert.equal(utf8(filters.trailers), 'changed: 1\r\n');
});

test('a response that a filter keeps is not seen by those after it', () => {
  const seen: string[] = [];
  const first: StreamFilter = {
    onResponseHead: () => assert.fail('seen'),
    onResponseBody: () => assert.fail('seen'),
    onResponseEnd: () => assert.fail('seen'),
  };
  const reply = { status: 200, body: undefined, contentType: '', grpcStatus: 0, headers: [] };
  const keeping: StreamFilter = {
    onResponseHead: () => VERDICT.STOP,
    onResponseBody: (_call, bytes) => {
      seen.push(utf8(bytes));
      return undefined;
    },
    onResponseEnd: (call) => {
      call.respond(reply);
      return undefined;
    },
  };
  const { filters } = active(first, keeping, {});
  assert.equal(filters.responseHead(HEAD), false);
  filters.responseBody(text('x'));
  filters.responseEnd(text(''));
  assert.deepEqual([seen, filters.response], [['x'], reply]);
});

test('a stopped head waits for resume, and goes on with the next filter', () => {
  const seen: string[] = [];
  const stopping: StreamFilter = {
    onRequestHead: () => {
      seen.push('a');
      return VERDICT.STOP;
    },
  };
  const next: StreamFilter = {
    onRequestHead: () => {
      seen.push('b');
      return VERDICT.CONTINUE;
    },
  };
  const { filters, log } = active(stopping, next);
  assert.equal(filters.requestHead(HEAD), false);
  assert.deepEqual([seen, log], [['a'], []]);
  filters.resume();
  assert.deepEqual(log, ['resumed']);
  assert.equal(filters.requestHead(HEAD), true);
  assert.deepEqual(seen, ['a', 'b']);
});

test('a filter that resumes before it has stopped does not stop', () => {
  const { filters, log } = active({
    onRequestHead: (call) => {
      call.resume();
      return VERDICT.STOP;
    },
  });
  assert.equal(filters.requestHead(HEAD), true);
  assert.deepEqual(log, []);
});

test('a filter answers at once or later; when the stream is over nothing happens', () => {
  const reply = { status: 403, body: undefined, contentType: '', grpcStatus: -1, headers: [] };
  const { filters, log } = active({
    onRequestHead: (call) => {
      call.reply(reply, 'denied');
      return VERDICT.STOP;
    },
  });
  assert.equal(filters.requestHead(HEAD), false);
  filters.reply(reply, 'again');
  filters.streamEnd();
  filters.reply(reply, 'late');
  filters.resume();
  assert.deepEqual(log, ['403 denied', '403 again']);
});
