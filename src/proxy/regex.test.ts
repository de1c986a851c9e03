import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfigError } from '../base/errors.js';
import { createRegexEngine, MAX_PATTERN_BYTES } from './regex.js';

const engine = createRegexEngine();

const matching: [pattern: string, matching: string[], other: string[]][] = [
  ['/a', ['/a'], ['/a/', 'x/a', '/A']],
  ['a|b', ['a', 'b'], ['ab', '']],
  ['/users/[0-9]{1,20}', ['/users/1', '/users/12345678901234567890'], ['/users/', '/users/123456789012345678901']],
  ['[0-9a-f]{32}', ['0123456789abcdef0123456789abcdef'], ['0123456789abcdef0123456789abcde']],
  ['a{17,}', ['a'.repeat(17), 'a'.repeat(90)], ['a'.repeat(16)]],
  ['(?i)/Api/[a-m]+', ['/api/ABC', '/API/m'], ['/api/z', '/api/']],
  ['(?i:ab)c', ['ABc', 'abc'], ['abC']],
  ['(?P<who>x+)y', ['xxy'], ['y']],
  ['[[:alpha:]_]+', ['abc_'], ['a1']],
  ['a.c', ['abc', 'a\rc'], ['a\nc', 'ac']],
  ['(?s)a.c', ['a\nc'], ['ac']],
  ['\\Qa.b\\E+', ['a.ba.b'], ['axb']],
  ['\\d+\\.\\d+', ['1.2'], ['1x2']],
  ['[]a]+', [']a'], ['b']],
  ['[^/]+', ['abc'], ['a/b']],
  ['a\\x2fb', ['a/b'], ['ab']],
  ['.*\\.(jpg|png)', ['/x/y.png'], ['/x/ypng']],
  ['é', ['\xc3\xa9'], ['\xe9']],
];
for (const [pattern, yes, no] of matching) {
  test(`matches whole values: ${pattern}`, () => {
    const regex = engine.compile(pattern);
    for (const text of yes) assert.equal(regex.test(text), true, JSON.stringify(text));
    for (const text of no) assert.equal(regex.test(text), false, JSON.stringify(text));
  });
}

for (const pattern of [
  '(?=a)',
  '(?!a)b',
  '(a)\\1',
  '(?<=a)b',
  '(',
  ')',
  'a)',
  '[a',
  '[z-a]',
  '*',
  'a**',
  'a{2}{3}',
  'a\\',
  'a{1001}',
  '(a){17}',
  '\\pL',
  'a{3,2}',
  '(?:(?:a{100}){100}){10}',
]) {
  test(`rejects ${pattern}`, () => {
    assert.throws(() => engine.compile(pattern), ConfigError);
  });
}

test('rejects a pattern above its bound', () => {
  assert.doesNotThrow(() => engine.compile('a'.repeat(MAX_PATTERN_BYTES)));
  assert.throws(() => engine.compile('a'.repeat(MAX_PATTERN_BYTES + 1)), /at most 4096/);
});

test('runs in linear time where backtracking would never end', () => {
  const started = performance.now();
  assert.equal(engine.compile('(?:(?:a+)+b|(a|aa)+c)').test('a'.repeat(5000)), false);
  assert.ok(performance.now() - started < 2000);
});

const replacing: [pattern: string, substitution: string, from: string, to: string][] = [
  ['^/service/([^/]+)(/.*)$', '\\2/instance/\\1', '/service/foo/v1/api', '/v1/api/instance/foo'],
  ['one', 'two', '/xxx/one/yyy/one/zzz', '/xxx/two/yyy/two/zzz'],
  ['^(.*?)one(.*)$', '\\1two\\2', '/xxx/one/yyy/one/zzz', '/xxx/two/yyy/one/zzz'],
  ['(?i)/xxx/', '/yyy/', '/aaa/XxX/bbb', '/aaa/yyy/bbb'],
  ['(a)', '\\12', 'a', 'a2'],
  ['a', '$&\\\\\\0', 'a', '$&\\a'],
];
for (const [pattern, substitution, from, to] of replacing) {
  test(`replaces every match of ${pattern} by ${substitution}`, () => {
    assert.equal(engine.replacer(pattern, substitution)(from), to);
  });
}
test('rejects a substitution that names a group that is not there', () => {
  assert.throws(() => engine.replacer('(a)', '\\2'), /group 2/);
  assert.throws(() => engine.replacer('(a)', '\\x'), /means nothing/);
});
