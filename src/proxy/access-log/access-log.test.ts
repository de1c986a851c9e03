import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeHead } from '../../../test/support/heads.js';
import { StatsStore } from '../../base/stats.js';
import { emptyRecord } from '../http/log-record.js';
import { createAccessLog, type LogRecord } from './access-log.js';
import { LogFiles } from './file-access-log.js';
import {
  andFilter,
  durationFilter,
  grpcStatusFilter,
  headerFilter,
  logTypeFilter,
  notHealthCheckFilter,
  orFilter,
  responseFlagFilter,
  samplingFilter,
  statusCodeFilter,
} from './filters.js';
import { compileJsonFormat, compileTextFormat, DEFAULT_FORMAT } from './formatter.js';
import { formatFlags, formatFlagsLong, RESPONSE_FLAG, responseFlag } from './response-flags.js';
import { compileTimeFormat } from './time-format.js';

const TIME = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
const record: LogRecord = {
  ...emptyRecord(),
  startTime: TIME,
  start: 1000,
  requestEnd: 1002,
  upstreamStart: 1003,
  firstUpstreamByte: 1010,
  lastUpstreamByte: 1015,
  end: 1020,
  method: 'GET',
  originalPath: '/old?q=1',
  path: '/new?q=1',
  authority: 'example.com',
  scheme: 'http',
  protocol: 'HTTP/1.1',
  requestId: 'id-1',
  responseCode: 200,
  details: 'via upstream',
  flags: RESPONSE_FLAG.UH | RESPONSE_FLAG.URX,
  bytesReceived: 3,
  bytesSent: 40,
  attempts: 2,
  routeName: 'r',
  upstreamCluster: 'c',
  upstreamHost: { ip: '10.0.0.1', port: 80 },
  downstreamRemote: { ip: '::1', port: 5 },
  connectionId: 9,
  requestHead: makeHead({}, [
    ['User-Agent', 'curl/8'],
    ['X-Long', 'abcdef'],
    ['q', 'a"b\\'],
  ]),
  responseHead: makeHead({ status: 200 }, [
    ['content-type', 'text/plain'],
    ['bytes', 'h\xc3\xa9\xff'],
  ]),
};

const operators: [format: string, text: string][] = [
  ['%START_TIME%', '2026-01-02T03:04:05.678Z'],
  ['%START_TIME(%Y/%m/%d %H:%M:%S.%3f)%', '2026/01/02 03:04:05.678'],
  ['%START_TIME(%s)%', String(Math.floor(TIME / 1000))],
  ['%REQ(:METHOD)% %REQ(:path)% %REQ(:AUTHORITY)% %REQ(:SCHEME)%', 'GET /new?q=1 example.com http'],
  ['%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%', '/old?q=1'],
  ['%REQ(x-none?USER-AGENT)%', 'curl/8'],
  ['%REQ(X-LONG):3% %REQ(X-NONE):3%', 'abc -'],
  ['%RESP(CONTENT-TYPE)% %RESP(x)%', 'text/plain -'],
  ['%TRAILER(x)% %DYNAMIC_METADATA(a:b)% %REQUESTED_SERVER_NAME%', '- - -'],
  ['%PROTOCOL% %RESPONSE_CODE% %RESPONSE_CODE_DETAILS%', 'HTTP/1.1 200 via_upstream'],
  ['%RESPONSE_FLAGS% %RESPONSE_FLAGS_LONG%', 'UH,URX NoHealthyUpstream,UpstreamRetryLimitExceeded'],
  ['%BYTES_RECEIVED% %BYTES_SENT%', '3 40'],
  ['%DURATION% %REQUEST_DURATION% %RESPONSE_DURATION% %RESPONSE_TX_DURATION%', '20 2 10 10'],
  ['%COMMON_DURATION(DS_RX_BEG:US_RX_BEG:ms)% %COMMON_DURATION(US_RX_BEG:US_RX_END:us)%', '10 5000'],
  ['%UPSTREAM_HOST% %UPSTREAM_CLUSTER% %UPSTREAM_REQUEST_ATTEMPT_COUNT%', '10.0.0.1:80 c 2'],
  ['%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_REMOTE_PORT%', '[::1]:5 ::1 5'],
  ['%DOWNSTREAM_LOCAL_ADDRESS% %UPSTREAM_LOCAL_ADDRESS%', '- -'],
  ['%ROUTE_NAME% %CONNECTION_ID% %STREAM_ID%', 'r 9 id-1'],
  ['%PATH(NQ)% %PATH(WQ:PATH)%', '/old /new?q=1'],
  ['%QUERY_PARAM(q)%', '1'],
  ['100%% é', '100% \xc3\xa9'],
];
for (const [format, text] of operators) {
  test(`prints ${format}`, () => {
    assert.equal(compileTextFormat(format).format(record), text);
  });
}
test('prints the default format', () => {
  assert.equal(
    compileTextFormat(DEFAULT_FORMAT).format({ ...record, flags: 0 }),
    '[2026-01-02T03:04:05.678Z] "GET /old?q=1 HTTP/1.1" 200 - 3 40 20 7 "-" "curl/8" "id-1" "example.com" "10.0.0.1:80"\n',
  );
});
test('omits empty values where asked to', () => {
  assert.equal(compileTextFormat('<%REQ(none)%>', { omitEmptyValues: true }).format(record), '<>');
});
test('says whether it wants the heads', () => {
  const wants = (format: string) => [compileTextFormat(format).wantsRequestHead, compileTextFormat(format).wantsResponseHead];
  assert.deepEqual(wants('%REQ(:METHOD)% %REQ(x-request-id)% %DURATION%'), [false, false]);
  assert.deepEqual(wants('%REQ(a)% %RESP(b)%'), [true, true]);
});
for (const format of [
  '%NOPE%',
  '%',
  '50% off',
  '%REQ%',
  '%REQ()%',
  '%REQ(a?b?c)%',
  '%DURATION(x)%',
  '%START_TIME(%Q)%',
  '%COMMON_DURATION(a:b:ms)%',
  '%ENVIRONMENT()%',
  '%PATH(XX)%',
  '%constructor%',
  '%toString(x)%',
]) {
  test(`refuses ${format}`, () => {
    assert.throws(() => compileTextFormat(format), { name: 'ConfigError' });
  });
}
test('JSON keeps the types of single operators and escapes the rest', () => {
  const format = {
    code: '%RESPONSE_CODE%',
    text: 'c=%RESPONSE_CODE%',
    quoted: '%REQ(q)%',
    bytes: '%RESP(bytes)%',
    none: '%REQ(z)%',
    n: 1,
    on: true,
    deep: { list: ['%DURATION%', null] },
  };
  const line = compileJsonFormat(format).format(record);
  assert.ok(line.endsWith('}\n'));
  assert.deepEqual(JSON.parse(Buffer.from(line, 'latin1').toString('utf8')), {
    code: 200,
    text: 'c=200',
    quoted: 'a"b\\',
    bytes: 'hé\ufffd',
    none: null,
    n: 1,
    on: true,
    deep: { list: [20, null] },
  });
  assert.equal(compileJsonFormat({ b: '%REQ(z)%', a: 'x' }, { omitEmptyValues: true, sortProperties: true }).format(record), '{"a":"x"}\n');
});

const times: [format: string, text: string][] = [
  ['', '2026-01-02T03:04:05.678Z'],
  ['%F %T', '2026-01-02 03:04:05'],
  ['%f %6f', '678000000 678000'],
  ['%3s', `${Math.floor(TIME / 1000)}678`],
  ['%d/%b/%Y:%H:%M:%S %z', '02/Jan/2026:03:04:05 +0000'],
  ['%a %e %j', 'Fri  2 002'],
];
for (const [format, text] of times) {
  test(`formats a time as '${format}'`, () => {
    assert.equal(compileTimeFormat(format)(TIME), text);
  });
}
test('flags have short and long names', () => {
  assert.equal(formatFlags(0), '');
  assert.equal(formatFlags(RESPONSE_FLAG.NR | RESPONSE_FLAG.UDO), 'NR,UDO');
  assert.equal(formatFlagsLong(RESPONSE_FLAG.DPE), 'DownstreamProtocolError');
  assert.deepEqual([responseFlag('UO'), responseFlag('nope'), responseFlag('toString')], [RESPONSE_FLAG.UO, undefined, undefined]);
  assert.equal(new Set(Object.values(RESPONSE_FLAG)).size, Object.keys(RESPONSE_FLAG).length);
});

test('filters choose records', () => {
  assert.equal(statusCodeFilter('GE', 500).accepts(record), false);
  assert.equal(statusCodeFilter('EQ', 200).accepts(record), true);
  assert.equal(durationFilter('LE', 20).accepts(record), true);
  assert.equal(durationFilter('GE', 21).accepts(record), false);
  assert.equal(responseFlagFilter(RESPONSE_FLAG.NR).accepts(record), false);
  assert.equal(responseFlagFilter(RESPONSE_FLAG.NR | RESPONSE_FLAG.UH).accepts(record), true);
  assert.equal(responseFlagFilter(0).accepts(record), true);
  assert.equal(samplingFilter(0.5, () => 0.5).accepts(record), false);
  assert.equal(notHealthCheckFilter().accepts(record), true);
  assert.equal(logTypeFilter(['TcpConnectionEnd'], true).accepts(record), true);
  const header = headerFilter({ name: 'user-agent', test: { kind: 'present', expected: true }, invert: false, missingAsEmpty: false });
  assert.equal(andFilter([header, statusCodeFilter('EQ', 404)]).accepts(record), false);
  assert.equal(orFilter([header, statusCodeFilter('EQ', 404)]).accepts(record), true);
  assert.equal(orFilter([header]).wantsRequestHead, true);
});

function files(options: Partial<ConstructorParameters<typeof LogFiles>[0]> = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-log-'));
  const stats = new StatsStore();
  const warnings: string[] = [];
  const logs = new LogFiles({ stats, warn: (text) => warnings.push(text), flushIntervalMs: 60_000, ...options });
  return { folder, stats, warnings, logs, path: join(folder, 'access.log'), done: () => rmSync(folder, { recursive: true }) };
}
test('a log writes bytes as they are, and is shared by its path', async () => {
  const { logs, path, done } = files();
  const log = createAccessLog(logs.create(path), compileTextFormat('%RESP(bytes)%\n'), undefined);
  log.log(record);
  assert.equal(logs.create(path), logs.create(path));
  await logs.close();
  assert.deepEqual(readFileSync(path), Buffer.from('h\xc3\xa9\xff\n', 'latin1'));
  done();
});
test('a log is written when enough bytes wait, and after its interval', async () => {
  const { logs, path, stats, done } = files({ flushBytes: 4, flushIntervalMs: 5 });
  const file = logs.create(path);
  file.write('12345');
  await file.flush();
  assert.equal(readFileSync(path, 'utf8'), '12345');
  file.write('6');
  // The interval's timer does not keep a process alive by itself: something else must.
  for (let i = 0; i < 200 && stats.counter('filesystem.flushed_by_timer').value === 0; i++) await new Promise((resolve) => setTimeout(resolve, 5));
  await file.flush();
  assert.equal(readFileSync(path, 'utf8'), '123456');
  await logs.close();
  done();
});
test('a log is reopened after rotation', async () => {
  const { logs, path, done } = files();
  const file = logs.create(path);
  file.write('old\n');
  await file.flush();
  renameSync(path, `${path}.1`);
  file.write('before\n');
  logs.reopen();
  await file.flush();
  file.write('new\n');
  await logs.close();
  assert.equal(readFileSync(`${path}.1`, 'utf8'), 'old\nbefore\n');
  assert.equal(readFileSync(path, 'utf8'), 'new\n');
  done();
});
test('a full disk costs lines and one warning, and nothing else', async () => {
  const { logs, stats, warnings, done } = files();
  const file = logs.create('/dev/full');
  for (let i = 0; i < 3; i++) {
    file.write('line\n');
    await file.flush();
  }
  assert.equal(stats.counter('filesystem.write_failed').value, 3);
  assert.equal(stats.gauge('filesystem.write_total_buffered').value, 0);
  assert.equal(warnings.length, 1);
  assert.match(warnings[0], /ENOSPC/);
  await logs.close();
  done();
});
test('a path that cannot be opened costs lines and one warning', async () => {
  const { logs, folder, stats, warnings, done } = files();
  const file = logs.create(join(folder, 'no', 'such', 'folder'));
  file.write('line\n');
  await file.flush();
  assert.equal(stats.counter('filesystem.write_failed').value, 1);
  assert.match(warnings.join(), /ENOENT/);
  await logs.close();
  done();
});
test('a buffer that is full drops lines and counts them', async () => {
  const { logs, path, stats, done } = files({ flushBytes: 1000, maxBufferBytes: 2000 });
  const file = logs.create(path);
  for (let i = 0; i < 30; i++) file.write('x'.repeat(100));
  assert.equal(stats.counter('filesystem.dropped').value, 10);
  await logs.close();
  assert.equal(readFileSync(path).length, 2000);
  done();
});

test('the status of a gRPC call is printed by name and number, and only of gRPC calls', () => {
  const format = compileTextFormat(
    '%GRPC_STATUS% %GRPC_STATUS(CAMEL_STRING)% %GRPC_STATUS(SNAKE_STRING)% %GRPC_STATUS(NUMBER)% %GRPC_STATUS_NUMBER%',
  );
  assert.deepEqual([format.wantsGrpcStatus, format.wantsTrailers, compileTextFormat('%PROTOCOL%').wantsGrpcStatus], [true, false, false]);
  const print = (grpcStatus: number) => format.format({ ...record, grpcStatus });
  assert.equal(print(0), 'OK OK OK 0 0');
  assert.equal(print(1), 'Canceled Canceled CANCELLED 1 1');
  assert.equal(print(4), 'DeadlineExceeded DeadlineExceeded DEADLINE_EXCEEDED 4 4');
  assert.equal(print(99), '99 99 99 99 99');
  assert.equal(print(-1), '- - - - -');
  assert.equal(compileJsonFormat({ s: '%GRPC_STATUS_NUMBER%' }).format({ ...record, grpcStatus: 14 }), '{"s":14}\n');
  assert.throws(() => compileTextFormat('%GRPC_STATUS(OTHER)%'), /CAMEL_STRING, SNAKE_STRING or NUMBER/);
});
test('trailers are printed by name', () => {
  const format = compileTextFormat('%TRAILER(Grpc-Message)% %TRAILER(a?b):3% %RESPONSE_TRAILERS_BYTES%');
  assert.equal(format.wantsTrailers, true);
  const responseTrailers = Buffer.from('grpc-message: no\r\nB: value\r\n');
  assert.equal(format.format({ ...record, responseTrailers }), `no val ${responseTrailers.length}`);
  assert.equal(format.format({ ...record, responseTrailers: undefined }), '- - 0');
});
test('a filter takes gRPC calls by their status', () => {
  const failed = grpcStatusFilter(new Set([0]), true);
  const some = grpcStatusFilter(new Set([4, 14]), false);
  assert.equal(some.wantsGrpcStatus, true);
  const accepts = (filter: typeof some, grpcStatus: number, responseCode = 200) => filter.accepts({ ...record, grpcStatus, responseCode });
  assert.deepEqual(
    [0, 14].map((status) => accepts(failed, status)),
    [false, true],
  );
  assert.deepEqual(
    [0, 4, 14, 5].map((status) => accepts(some, status)),
    [false, true, true, false],
  );
  assert.equal(accepts(some, -1, 503), true);
});
