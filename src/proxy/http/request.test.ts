import assert from 'node:assert/strict';
import test from 'node:test';
import { DateLine } from './date-line.js';
import { forwardedAddress, isInternalAddress } from './internal-address.js';
import { isPlainPath, normalizePath } from './path.js';
import { stripPort } from './request-head.js';
import { RequestIds } from './request-id.js';

const rules = { normalizePath: true, mergeSlashes: false, escapedSlashes: 'KEEP_UNCHANGED' } as const;
for (const [given, wanted] of [
  ['/', '/'],
  ['/a/./b/../c', '/a/c'],
  ['/a/b/..', '/a/'],
  ['/a/.', '/a/'],
  ['/../a', '/a'],
  ['/a/%2e%2E/b', '/b'],
  ['/%7euser/%2f', '/~user/%2F'],
  ['/a\\b', '/a/b'],
  ['/a?x=/../%zz', '/a?x=/../%zz'],
  ['//a//b', '//a//b'],
]) {
  test(`normalises ${given} to ${wanted}`, () => assert.deepEqual(normalizePath(given, rules), { kind: 'path', path: wanted }));
}
test('an escape that is none, and NUL, are refused', () => {
  for (const path of ['/a%', '/a%2', '/a%zz', '/a%00b']) assert.equal(normalizePath(path, rules).kind, 'reject', path);
});
test('slashes are merged only where that is asked for', () => {
  assert.deepEqual(normalizePath('//a///b?c=//', { ...rules, mergeSlashes: true }), { kind: 'path', path: '/a/b?c=//' });
});
test('escaped slashes are kept, refused, forwarded or redirected, as configured', () => {
  const kinds = ['KEEP_UNCHANGED', 'REJECT_REQUEST', 'UNESCAPE_AND_FORWARD', 'UNESCAPE_AND_REDIRECT'] as const;
  const results = kinds.map((escapedSlashes) => normalizePath('/a%2Fb%5cc', { ...rules, escapedSlashes }));
  assert.deepEqual(results, [
    { kind: 'path', path: '/a%2Fb%5Cc' },
    { kind: 'reject' },
    { kind: 'path', path: '/a/b/c' },
    { kind: 'redirect', path: '/a/b/c' },
  ]);
});
test('a path that no rule can change is seen at once', () => {
  for (const path of ['/', '/a/b.c', '/a?x=%2f//']) assert.equal(isPlainPath(path), true, path);
  for (const path of ['//', '/./', '/a/../b', '/%41', '/a\\']) assert.equal(isPlainPath(path), false, path);
});

test('the port of a host is stripped as configured', () => {
  assert.equal(stripPort('a.example:80', 'any', undefined), 'a.example');
  assert.equal(stripPort('a.example:80', 'matching', 80), 'a.example');
  assert.equal(stripPort('a.example:81', 'matching', 80), 'a.example:81');
  assert.equal(stripPort('[::1]:80', 'any', undefined), '[::1]');
  assert.equal(stripPort('[::1]', 'any', undefined), '[::1]');
  assert.equal(stripPort('a:x', 'any', undefined), 'a:x');
  assert.equal(stripPort('a:80', 'none', 80), 'a:80');
});

test('private and loopback addresses are internal', () => {
  for (const ip of ['10.1.2.3', '172.16.0.1', '172.31.255.1', '192.168.0.1', '127.0.0.1', '::1', 'fd00::1', '::ffff:10.0.0.1'])
    assert.equal(isInternalAddress(ip), true, ip);
  for (const ip of ['8.8.8.8', '172.32.0.1', '100.64.0.1', '2001:db8::1', '127.0.0.2']) assert.equal(isInternalAddress(ip), false, ip);
});
test('the address that trusted hops vouch for is counted from the end', () => {
  assert.deepEqual(forwardedAddress('10.0.0.1', 0), { ip: '10.0.0.1', isSingle: true });
  assert.deepEqual(forwardedAddress('1.1.1.1, 2.2.2.2', 0), { ip: '2.2.2.2', isSingle: false });
  assert.deepEqual(forwardedAddress('1.1.1.1, 2.2.2.2', 1), { ip: '1.1.1.1', isSingle: false });
  assert.equal(forwardedAddress('1.1.1.1', 1), undefined);
  assert.equal(forwardedAddress('not an address', 0), undefined);
});

test('request ids are version 4 UUIDs, and no two are equal', () => {
  const ids = new RequestIds();
  const seen = new Set<string>();
  for (let i = 0; i < 1000; i++) {
    ids.next();
    assert.match(ids.text, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    assert.equal(Buffer.from(ids.line).toString('latin1'), `x-request-id: ${ids.text}\r\n`);
    seen.add(ids.text);
  }
  assert.equal(seen.size, 1000);
});

test('the date line is made anew when its second is over', () => {
  const date = new DateLine();
  const line = date.at(0);
  assert.match(Buffer.from(line).toString('latin1'), /^date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\n$/);
  assert.equal(date.at(0), line);
  assert.notEqual(date.at(1001), line);
});
