import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ChainCriteria, type ConnectionFacts, createChainMatcher } from './filter-chain-match.js';
import { inCidr, isLoopback, parseCidr, parseIp } from './ip.js';

const ANY: ChainCriteria = {
  destinationPort: undefined,
  prefixRanges: [],
  serverNames: [],
  transportProtocol: '',
  applicationProtocols: [],
  directSourcePrefixRanges: [],
  sourceType: 'ANY',
  sourcePrefixRanges: [],
  sourcePorts: [],
};
const range = (text: string) => parseCidr(text.split('/')[0], Number(text.split('/')[1])) ?? assert.fail(text);
const BASE: ConnectionFacts = {
  local: { ip: '10.0.0.1', port: 80 },
  remote: { ip: '192.168.1.5', port: 4000 },
  directRemote: { ip: '192.168.1.5', port: 4000 },
  serverName: '',
  transportProtocol: 'raw_buffer',
  applicationProtocols: [],
};
function matcher(chains: Record<string, Partial<ChainCriteria>>, fallback?: string) {
  const duplicates: string[] = [];
  const match = createChainMatcher(
    Object.entries(chains).map(([chain, criteria]) => ({ chain, criteria: { ...ANY, ...criteria } })),
    fallback,
    (kept, dropped) => duplicates.push(`${kept}=${dropped}`),
  );
  return { duplicates, match: (facts: Partial<ConnectionFacts> = {}) => match({ ...BASE, ...facts }) };
}
const cases: [title: string, chains: Record<string, Partial<ChainCriteria>>, facts: Partial<ConnectionFacts>, chain: string | undefined][] = [
  ['nothing asked', { a: {} }, {}, 'a'],
  ['no chain', {}, {}, undefined],
  ['the port', { a: { destinationPort: 81 }, b: { destinationPort: 80 }, c: {} }, {}, 'b'],
  ['another port', { a: { destinationPort: 81 }, c: {} }, {}, 'c'],
  ['the longest prefix', { a: { prefixRanges: [range('10.0.0.0/8')] }, b: { prefixRanges: [range('10.0.0.0/24')] }, c: {} }, {}, 'b'],
  ['no prefix that fits', { a: { prefixRanges: [range('11.0.0.0/8')] } }, {}, undefined],
  ['IPv4 in IPv6', { a: { prefixRanges: [range('10.0.0.0/8')] } }, { local: { ip: '::ffff:10.1.2.3', port: 80 } }, 'a'],
  ['the exact name', { a: { serverNames: ['*.example.com'] }, b: { serverNames: ['www.example.com'] } }, { serverName: 'www.example.com' }, 'b'],
  ['the longest suffix', { a: { serverNames: ['*.com'] }, b: { serverNames: ['*.example.com'] } }, { serverName: 'a.b.example.com' }, 'b'],
  ['a suffix is no exact name', { a: { serverNames: ['*.example.com'] } }, { serverName: 'example.com' }, undefined],
  ['the transport', { a: { transportProtocol: 'tls' }, b: { transportProtocol: 'raw_buffer' } }, {}, 'b'],
  [
    'the first protocol of the client',
    { a: { applicationProtocols: ['http/1.1'] }, b: { applicationProtocols: ['h2'] } },
    { applicationProtocols: ['h2', 'http/1.1'] },
    'b',
  ],
  ['the direct source', { a: { directSourcePrefixRanges: [range('10.9.0.0/16')] }, b: {} }, { directRemote: { ip: '10.9.1.1', port: 1 } }, 'a'],
  ['an external source', { a: { sourceType: 'SAME_IP_OR_LOOPBACK' }, b: { sourceType: 'EXTERNAL' } }, {}, 'b'],
  ['the same host', { a: { sourceType: 'SAME_IP_OR_LOOPBACK' }, b: { sourceType: 'EXTERNAL' } }, { remote: { ip: '10.0.0.1', port: 1 } }, 'a'],
  ['loopback', { a: { sourceType: 'SAME_IP_OR_LOOPBACK' } }, { remote: { ip: '127.3.2.1', port: 1 } }, 'a'],
  ['the source', { a: { sourcePrefixRanges: [range('192.168.0.0/16')] }, b: {} }, {}, 'a'],
  ['the source port', { a: { sourcePorts: [4000, 4001] }, b: {} }, {}, 'a'],
  ['no way back from a specific step', { a: { destinationPort: 80, sourcePorts: [1] }, b: { sourcePorts: [4000] } }, {}, undefined],
  ['one step beats all later ones', { a: { destinationPort: 80 }, b: { serverNames: ['x'], sourcePorts: [4000] } }, { serverName: 'x' }, 'a'],
];
for (const [title, chains, facts, chain] of cases) {
  test(`chooses by ${title}`, () => {
    const { match, duplicates } = matcher(chains);
    assert.equal(match(facts), chain);
    assert.deepEqual(duplicates, []);
  });
}
test('takes the default chain where none fits', () => {
  assert.equal(matcher({ a: { destinationPort: 1 } }, 'd').match(), 'd');
});
test('tells of chains that ask for the same', () => {
  assert.deepEqual(matcher({ a: { serverNames: ['x', 'y'] }, b: { serverNames: ['y', 'z'] } }).duplicates, ['a=b']);
  assert.deepEqual(matcher({ a: { sourcePorts: [1, 1] } }).duplicates, []);
});
const addresses: [text: string, hex: string | undefined][] = [
  ['1.2.3.4', '01020304'],
  ['::', '0'.repeat(32)],
  ['::1', `${'0'.repeat(31)}1`],
  ['2001:db8::ff00:42:8329', '20010db8000000000000ff0000428329'],
  ['::ffff:1.2.3.4', '01020304'],
  ['64:ff9b::1.2.3.4', '0064ff9b000000000000000001020304'],
  ['fe80::1%eth0', 'fe800000000000000000000000000001'],
  ['1.2.3', undefined],
  ['', undefined],
];
for (const [text, hex] of addresses) {
  test(`reads the address '${text}'`, () => {
    const bytes = parseIp(text);
    assert.equal(bytes === undefined ? undefined : Buffer.from(bytes).toString('hex'), hex);
  });
}
test('ranges end at their last bit', () => {
  const inside = (cidr: string, ip: string) => inCidr(range(cidr), parseIp(ip) ?? assert.fail());
  assert.deepEqual(
    [inside('10.0.0.128/25', '10.0.0.128'), inside('10.0.0.128/25', '10.0.0.127'), inside('0.0.0.0/0', '9.9.9.9'), inside('::/0', '9.9.9.9')],
    [true, false, true, false],
  );
  assert.equal(parseCidr('10.0.0.0', 33), undefined);
  assert.equal(isLoopback(parseIp('::1') ?? assert.fail()), true);
});
