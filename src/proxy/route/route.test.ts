import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeHead } from '../../../test/support/heads.js';
import { createRegexEngine } from '../regex.js';
import type { Route, RouteInput } from '../runtime.js';
import { compileHeaderMatch, compileQueryMatch, compileStringMatch, type HeaderMatch } from './matchers.js';
import { PathIndex } from './path-index.js';
import { redirectLocation } from './rewrite.js';
import { createRouteTable, type PathMatch, portStart, type RouteEntry } from './route-table.js';
import { weightedChoice } from './weighted-choice.js';

const engine = createRegexEngine();
const route = (name: string): Route => ({
  name,
  virtualHost: '',
  requestHeaders: undefined,
  responseHeaders: undefined,
  action: { kind: 'direct', status: 200, body: new Uint8Array(0) },
});
const entry = (name: string, path: PathMatch, condition?: RouteEntry['condition']): RouteEntry => ({ path, condition, route: route(name) });
const input = (host: string, path: string, more: Partial<RouteInput> = {}): RouteInput => ({
  host,
  path,
  scheme: 'http',
  isConnect: false,
  upgrade: '',
  random: 0,
  ...more,
});
const HEAD = makeHead({});
const prefix = (value: string): PathMatch => ({ kind: 'prefix', value, caseSensitive: true });

const hostTable = (ignorePortInHostMatching = false) =>
  createRouteTable({
    name: 't',
    ignorePortInHostMatching,
    maxDirectBodyBytes: 4096,
    clusterNames: [],
    virtualHosts: ['www.Example.com', '*.example.com', '*-bar.example.com', '*.com', 'www.*', 'www.example.*', 'ported.com:8080', '*'].map(
      (domain) => ({
        name: domain,
        domains: [domain],
        routes: [entry(domain, prefix('/'))],
        secureRedirect: undefined,
      }),
    ),
  });
const hosts: [host: string, domain: string][] = [
  ['www.example.com', 'www.Example.com'],
  ['a.example.com', '*.example.com'],
  ['foo-bar.example.com', '*-bar.example.com'],
  ['-bar.example.com', '*.example.com'],
  ['.example.com', '*.com'],
  ['example.com', '*.com'],
  ['www.example.org', 'www.example.*'],
  ['www.other.org', 'www.*'],
  ['ported.com:8080', 'ported.com:8080'],
  ['www.example.com:80', 'www.example.*'],
  ['', '*'],
  ['localhost', '*'],
];
for (const [host, domain] of hosts) {
  test(`finds ${domain} for host '${host}'`, () => {
    assert.equal(hostTable().match(HEAD, input(host, '/'))?.name, domain);
  });
}
test('ignores the port where asked to', () => {
  assert.equal(hostTable(true).match(HEAD, input('www.example.com:8443', '/'))?.name, 'www.Example.com');
});
test('refuses one domain in two virtual hosts, in any case', () => {
  const host = (domain: string) => ({ name: domain, domains: [domain], routes: [], secureRedirect: undefined });
  const options = { name: '', ignorePortInHostMatching: false, maxDirectBodyBytes: 0, clusterNames: [] };
  assert.throws(() => createRouteTable({ ...options, virtualHosts: [host('a.com'), host('A.com')] }), /'a.com' is in two/);
});
const ports: [host: string, without: string][] = [
  ['a:80', 'a'],
  ['a', 'a'],
  ['[::1]:80', '[::1]'],
  ['[::1]', '[::1]'],
  ['::1', '::1'],
  ['a:b', 'a:b'],
];
for (const [host, without] of ports) {
  test(`takes the port off ${host}`, () => {
    assert.equal(host.slice(0, portStart(host)), without);
  });
}

const table = (...routes: RouteEntry[]) =>
  createRouteTable({
    name: 't',
    ignorePortInHostMatching: false,
    maxDirectBodyBytes: 0,
    clusterNames: [],
    virtualHosts: [{ name: 'v', domains: ['*'], routes, secureRedirect: undefined }],
  });
const paths = table(
  entry('exact', { kind: 'path', value: '/exact', caseSensitive: true }),
  entry('any-case', { kind: 'path', value: '/Case', caseSensitive: false }),
  entry('regex', { kind: 'regex', regex: engine.compile('/r/[0-9]+') }),
  entry('separated', { kind: 'separated', value: '/api', caseSensitive: true }),
  entry('connect', { kind: 'connect' }),
  entry('header', prefix('/api'), (head) => head.get('x') !== undefined),
  entry('long', prefix('/apis/more')),
  entry('short', prefix('/apis')),
  entry('never', { kind: 'path', value: '/apis/more/x', caseSensitive: true }),
  entry('root', prefix('/')),
);
const found: [path: string, name: string | undefined][] = [
  ['/exact', 'exact'],
  ['/exact?a=/b', 'exact'],
  ['/exact/', 'root'],
  ['/CASE?x', 'any-case'],
  ['/case/', 'root'],
  ['/r/12?x', 'regex'],
  ['/r/', 'root'],
  ['/api', 'separated'],
  ['/api/', 'separated'],
  ['/api?x', 'separated'],
  ['/api/v1', 'separated'],
  ['/apix', 'root'],
  ['/apis', 'short'],
  ['/apis/mor', 'short'],
  ['/apis/more/x', 'long'],
  ['/a', 'root'],
  ['/', 'root'],
  ['', undefined],
  ['*', undefined],
];
for (const [path, name] of found) {
  test(`path '${path}' takes route ${name}`, () => {
    assert.equal(paths.match(HEAD, input('h', path))?.name, name);
  });
}
test('a condition that fails goes on to the next route', () => {
  assert.equal(paths.match(makeHead({}, [['X', '1']]), input('h', '/apix'))?.name, 'header');
});
test('CONNECT without a path takes the connect matcher only', () => {
  assert.equal(paths.match(HEAD, input('h', '', { isConnect: true }))?.name, 'connect');
});
test('the index agrees with trying one route after the other', () => {
  let state = 7;
  const next = (below: number) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 8) % below;
  };
  const text = () => Array.from({ length: next(5) }, () => '/ab'[next(3)]).join('');
  for (let round = 0; round < 200; round++) {
    const index = new PathIndex();
    const rules = Array.from({ length: 12 }, (_, i) => ({ i, kind: next(3), value: `/${text()}` }));
    for (const { i, kind, value } of rules)
      [() => index.addExact(value, i), () => index.addPrefix(value, i), () => index.addSeparatedPrefix(value, i)][kind]();
    for (let n = 0; n < 20; n++) {
      const path = `/${text()}`;
      const expected = rules
        .filter(({ kind, value }) =>
          kind === 0 ? path === value : path.startsWith(value) && (kind === 1 || path.length === value.length || path[value.length] === '/'),
        )
        .map(({ i }) => i);
      assert.deepEqual(
        Array.from({ length: index.find(path, path.length) }, (_, i) => index.at(i)),
        expected,
        `${path} in ${JSON.stringify(rules)}`,
      );
    }
  }
});

const string = (kind: 'exact' | 'prefix' | 'suffix' | 'contains', value: string, ignoreCase = false) =>
  ({ kind: 'string', match: { kind, value, ignoreCase } }) as const;
const present = (expected = true) => ({ kind: 'present', expected }) as const;
const headers: [title: string, test: HeaderMatch['test'], lines: [string, string][], matches: boolean, more?: Partial<HeaderMatch>][] = [
  ['exact', string('exact', 'a'), [['X', 'a']], true],
  ['exact, other value', string('exact', 'a'), [['X', 'ab']], false],
  ['prefix', string('prefix', 'a'), [['x', 'ab']], true],
  ['suffix', string('suffix', 'b'), [['x', 'ab']], true],
  ['contains', string('contains', 'b'), [['x', 'abc']], true],
  ['any case', string('exact', 'AB', true), [['x', 'aB']], true],
  [
    'several lines are one value',
    string('exact', 'a,b'),
    [
      ['x', 'a'],
      ['X', 'b'],
    ],
    true,
  ],
  ['absent', string('exact', 'a'), [], false],
  ['absent, inverted', string('exact', 'a'), [], false, { invert: true }],
  ['absent taken as empty, inverted', string('exact', 'a'), [], true, { invert: true, missingAsEmpty: true }],
  ['absent taken as empty', string('exact', ''), [], true, { missingAsEmpty: true }],
  ['inverted', string('exact', 'a'), [['x', 'b']], true, { invert: true }],
  ['present', present(), [['x', '']], true],
  ['not present', present(), [], false],
  ['present, inverted', present(), [], true, { invert: true }],
  ['present: false', present(false), [], true],
  ['present: false, there', present(false), [['x', '']], false],
  ['range', { kind: 'range', start: -10, end: 0 }, [['x', '-1']], true],
  ['range, end', { kind: 'range', start: -10, end: 0 }, [['x', '0']], false],
  ['range, no number', { kind: 'range', start: -10, end: 0 }, [['x', '-1somestring']], false],
  ['pseudo header', string('exact', 'GET'), [], true, { name: ':method' }],
];
for (const [title, headerTest, lines, matches, more] of headers) {
  test(`header match: ${title}`, () => {
    assert.equal(
      compileHeaderMatch({ name: 'x', test: headerTest, invert: false, missingAsEmpty: false, ...more })(makeHead({}, lines), undefined),
      matches,
    );
  });
}
test('a regular expression matches a whole value', () => {
  assert.equal(compileStringMatch({ kind: 'regex', regex: engine.compile('\\d{3}') })('1234'), false);
});
const queries: [path: string, matches: boolean][] = [
  ['/?a=1', true],
  ['/?b=2&a=1', true],
  ['/?a=2&a=1', false],
  ['/?a', false],
  ['/', false],
  ['/?%61=1', true],
  ['/?a=%31', true],
  ['/?aa=1', false],
];
for (const [path, matches] of queries) {
  test(`query parameter a=1 in ${path}: ${matches}`, () => {
    assert.equal(compileQueryMatch({ name: 'a', test: { kind: 'string', match: { kind: 'exact', value: '1', ignoreCase: false } } })(path), matches);
  });
}

const redirects: [
  options: Partial<Parameters<typeof redirectLocation>[0]>,
  request: [scheme: string, host: string, path: string],
  location: string,
][] = [
  [{ scheme: 'https' }, ['http', 'a.com', '/x?y'], 'https://a.com/x?y'],
  [{ scheme: 'https' }, ['http', 'a.com:80', '/'], 'https://a.com/'],
  [{ scheme: 'https' }, ['http', 'a.com:8080', '/'], 'https://a.com:8080/'],
  [{ port: 8443, scheme: 'https' }, ['http', 'a.com:8080', '/'], 'https://a.com:8443/'],
  [{ host: 'b.com' }, ['http', 'a.com:8080', '/x'], 'http://b.com/x'],
  [{ path: '/new' }, ['http', 'a', '/x?y=1'], 'http://a/new?y=1'],
  [{ path: '/new', stripQuery: true }, ['http', 'a', '/x?y=1'], 'http://a/new'],
  [{ path: '/new?z', stripQuery: true }, ['http', 'a', '/x?y=1'], 'http://a/new?z'],
  [{ stripQuery: true }, ['http', 'a', '/x?y=1'], 'http://a/x'],
  [{ rewritePath: (path) => `/p${path}` }, ['http', '[::1]:80', '/x?y'], 'http://[::1]:80/p/x?y'],
];
for (const [options, [scheme, host, path], location] of redirects) {
  test(`redirects ${scheme}://${host}${path} to ${location}`, () => {
    const defaults = { scheme: '', host: '', port: 0, path: undefined, rewritePath: undefined, stripQuery: false };
    assert.equal(redirectLocation({ ...defaults, ...options })(scheme, host, path), location);
  });
}
test('weights: an entry of 0 is never taken, and all of them 0 is refused', () => {
  const choose = weightedChoice([
    { item: 'a', weight: 0 },
    { item: 'b', weight: 1 },
    { item: 'c', weight: 1 },
  ]);
  assert.deepEqual([0, 0.49, 0.5, 0.999].map(choose), ['b', 'b', 'c', 'c']);
  assert.throws(() => weightedChoice([{ item: 'a', weight: 0 }]), RangeError);
});

test('a table whose first route takes everything says so', () => {
  const all = entry('all', { kind: 'prefix', value: '/', caseSensitive: true });
  const some = entry('some', { kind: 'prefix', value: '/a', caseSensitive: true });
  assert.equal(table(all, some).only?.name, 'all');
  assert.equal(table(some, all).only, undefined);
  assert.equal(table({ ...all, condition: () => true }).only, undefined);
  assert.equal(table().only, undefined);
  const host = { name: 'v', domains: ['*'], routes: [all], secureRedirect: undefined };
  const options = { name: '', ignorePortInHostMatching: false, maxDirectBodyBytes: 0, clusterNames: [] };
  const onlyOf = (...virtualHosts: readonly (typeof host | { secureRedirect: Route })[]) =>
    createRouteTable({ ...options, virtualHosts: virtualHosts.map((more) => ({ ...host, ...more })) }).only?.name;
  assert.equal(onlyOf(host), 'all');
  assert.equal(onlyOf({ ...host, domains: ['a.com'] }), undefined);
  assert.equal(onlyOf(host, { ...host, domains: ['a.com'] }), undefined);
  assert.equal(onlyOf({ secureRedirect: all.route }), undefined);
});
