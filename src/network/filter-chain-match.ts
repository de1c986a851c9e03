import type { Address } from './engine.js';
import { type CidrRange, inCidr, isLoopback, parseIp } from './ip.js';

/** What a filter chain asks of a connection; an empty list, an empty text or `ANY`: everything. */
export interface ChainCriteria {
  readonly destinationPort: number | undefined;
  readonly prefixRanges: readonly CidrRange[];
  /** Exact, or `*.suffix`; lower case. */
  readonly serverNames: readonly string[];
  /** `raw_buffer` or `tls`. */
  readonly transportProtocol: string;
  readonly applicationProtocols: readonly string[];
  readonly directSourcePrefixRanges: readonly CidrRange[];
  readonly sourceType: 'ANY' | 'SAME_IP_OR_LOOPBACK' | 'EXTERNAL';
  readonly sourcePrefixRanges: readonly CidrRange[];
  readonly sourcePorts: readonly number[];
}
/** What is known of a connection when its chain is chosen. */
export interface ConnectionFacts {
  readonly local: Address;
  readonly remote: Address;
  readonly directRemote: Address;
  /** Lower case; empty where the client sent none. */
  readonly serverName: string;
  readonly transportProtocol: string;
  readonly applicationProtocols: readonly string[];
}
export interface ChainEntry<C> {
  readonly criteria: ChainCriteria;
  readonly chain: C;
}

/**
 * Makes the choice of a filter chain, as Envoy documents it (`config.listener.v3.FilterChainMatch`): destination port, destination address, server name,
 * transport protocol, application protocols, direct source address, source type, source address, source port. Each step takes the most specific value that
 * fits and never comes back to try a less specific one. `fallback`: the default chain. `onDuplicate` is told of two chains that ask for the same.
 */
export function createChainMatcher<C>(
  entries: readonly ChainEntry<C>[],
  fallback: C | undefined,
  onDuplicate: (kept: C, dropped: C) => void,
): (connection: ConnectionFacts) => C | undefined {
  const find = build(entries, STEPS, onDuplicate);
  return (connection) => find(connection) ?? fallback;
}

const ipOf = (address: Address) => ('ip' in address ? parseIp(address.ip) : undefined);
const portOf = (address: Address) => ('ip' in address ? address.port : -1);

/** Asks the connection only for what a criterion is about: its addresses may be lazy. */
type Find<C> = (connection: ConnectionFacts) => C | undefined;
/** Groups of one step: the finder of what follows, by value; `any` for entries that do not care. */
interface Groups<C> {
  readonly byKey: ReadonlyMap<string, Find<C>>;
  readonly any: Find<C> | undefined;
}
interface Step {
  keys(criteria: ChainCriteria): readonly string[];
  /** The group to go on with. */
  choose<C>(groups: Groups<C>): Find<C>;
}

function build<C>(entries: readonly ChainEntry<C>[], steps: readonly Step[], onDuplicate: (kept: C, dropped: C) => void): Find<C> {
  if (entries.length === 0) return () => undefined;
  const [step, ...further] = steps;
  if (step === undefined) {
    const [{ chain }, ...others] = entries;
    for (const other of others) onDuplicate(chain, other.chain);
    return () => chain;
  }
  // A step that no chain cares about asks nothing.
  if (entries.every((entry) => step.keys(entry.criteria).length === 0)) return build(entries, further, onDuplicate);
  const byKey = new Map<string, ChainEntry<C>[]>();
  const any: ChainEntry<C>[] = [];
  for (const entry of entries) {
    // A value named twice by one chain is one value.
    const keys = new Set(step.keys(entry.criteria));
    if (keys.size === 0) any.push(entry);
    for (const key of keys) {
      const group = byKey.get(key);
      if (group === undefined) byKey.set(key, [entry]);
      else group.push(entry);
    }
  }
  return step.choose({
    byKey: new Map([...byKey].map(([key, group]) => [key, build(group, further, onDuplicate)])),
    any: any.length === 0 ? undefined : build(any, further, onDuplicate),
  });
}

/** The group of the value, or of those who do not care. */
function exact(keys: Step['keys'], valueOf: (facts: ConnectionFacts) => string): Step {
  return {
    keys,
    choose:
      ({ byKey, any }) =>
      (facts) =>
        (byKey.get(valueOf(facts)) ?? any)?.(facts),
  };
}
const rangeKey = ({ bytes, bits }: CidrRange) => `${bytes.join('.')}/${bits}`;
function ranges(rangesOf: (criteria: ChainCriteria) => readonly CidrRange[], ipOfFacts: (facts: ConnectionFacts) => Uint8Array | undefined): Step {
  return {
    keys: (criteria) => rangesOf(criteria).map(rangeKey),
    choose({ byKey, any }) {
      const sorted = [...byKey]
        .map(([key, find]) => {
          const [bytes, bits] = key.split('/');
          return { range: { bytes: Uint8Array.from(bytes.split('.'), Number), bits: Number(bits) }, find };
        })
        .sort((a, b) => b.range.bits - a.range.bits);
      return (facts) => {
        const ip = ipOfFacts(facts);
        const found = ip === undefined ? undefined : sorted.find(({ range }) => inCidr(range, ip));
        return (found?.find ?? any)?.(facts);
      };
    },
  };
}
const serverNames: Step = {
  keys: (criteria) => criteria.serverNames,
  choose:
    ({ byKey, any }) =>
    (facts) => {
      const name = facts.serverName;
      let found = name === '' ? undefined : byKey.get(name);
      // `a.b.example.com` is looked for as `*.b.example.com`, `*.example.com`, `*.com`.
      for (let dot = name.indexOf('.'); found === undefined && dot >= 0; dot = name.indexOf('.', dot + 1)) found = byKey.get(`*${name.slice(dot)}`);
      return (found ?? any)?.(facts);
    },
};
const applicationProtocols: Step = {
  keys: (criteria) => criteria.applicationProtocols,
  choose:
    ({ byKey, any }) =>
    (facts) => {
      for (const protocol of facts.applicationProtocols) {
        const found = byKey.get(protocol);
        if (found !== undefined) return found(facts);
      }
      return any?.(facts);
    },
};
/** Same host: a loopback address, or source and destination are equal. */
function isSameHost({ local, remote }: ConnectionFacts): boolean {
  const [localIp, remoteIp] = [ipOf(local), ipOf(remote)];
  if ('path' in remote || remoteIp === undefined) return true;
  return isLoopback(remoteIp) || (localIp !== undefined && localIp.length === remoteIp.length && localIp.every((byte, i) => byte === remoteIp[i]));
}

const STEPS: readonly Step[] = [
  exact(
    ({ destinationPort }) => (destinationPort === undefined ? [] : [String(destinationPort)]),
    ({ local }) => String(portOf(local)),
  ),
  ranges(
    ({ prefixRanges }) => prefixRanges,
    ({ local }) => ipOf(local),
  ),
  serverNames,
  exact(
    ({ transportProtocol }) => (transportProtocol === '' ? [] : [transportProtocol]),
    ({ transportProtocol }) => transportProtocol,
  ),
  applicationProtocols,
  ranges(
    ({ directSourcePrefixRanges }) => directSourcePrefixRanges,
    ({ directRemote }) => ipOf(directRemote),
  ),
  exact(
    ({ sourceType }) => (sourceType === 'ANY' ? [] : [sourceType]),
    (facts) => (isSameHost(facts) ? 'SAME_IP_OR_LOOPBACK' : 'EXTERNAL'),
  ),
  ranges(
    ({ sourcePrefixRanges }) => sourcePrefixRanges,
    ({ remote }) => ipOf(remote),
  ),
  exact(
    ({ sourcePorts }) => sourcePorts.map(String),
    ({ remote }) => String(portOf(remote)),
  ),
];
