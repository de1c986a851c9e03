import { isIP } from 'node:net';
import type { Address, SocketOptions } from '../../network/engine.js';
import type { HeaderMatch, StringMatch } from '../../proxy/route/matchers.js';
import type * as v3 from '../config/types.js';
import type { CompileContext, Fields } from './context.js';

/** An address: an IP with its port, a host name with its port where `allowNames`, or a Unix socket. Undefined where it cannot be used; that is a problem. */
export function compileAddress(
  fields: Fields<v3.Address>,
  allowNames: boolean,
): { address: Address; mode: number | undefined; dualStack: boolean } | undefined {
  const pipe = fields.child('pipe', 'envoy.config.core.v3.Pipe');
  if (pipe !== undefined) {
    const [path, mode] = [pipe.get('path') ?? '', pipe.get('mode')];
    return { address: { path }, mode: mode === 0 ? undefined : mode, dualStack: false };
  }
  const socket = fields.child('socketAddress', 'envoy.config.core.v3.SocketAddress');
  if (socket === undefined) {
    if (fields.value.envoyInternalAddress === undefined) fields.problem(undefined, 'an address is missing', 'MISSING_FIELD');
    return undefined;
  }
  return compileSocketAddress(socket, allowNames);
}
/** As `compileAddress`, of a `SocketAddress`. */
export function compileSocketAddress(
  socket: Fields<v3.SocketAddress>,
  allowNames: boolean,
): { address: Address; mode: undefined; dualStack: boolean } | undefined {
  if (socket.get('protocol') === 'UDP') socket.problem('protocol', 'UDP is not supported', 'UNSUPPORTED');
  const [text, port] = [socket.get('address') ?? '', socket.get('portValue') ?? 0];
  // Envoy takes IPv6 with and without brackets.
  const ip = text.startsWith('[') && text.endsWith(']') ? text.slice(1, -1) : text;
  if (isIP(ip) === 0 && !allowNames) {
    socket.problem('address', `'${text}' is not an IP address`);
    return undefined;
  }
  const dualStack = socket.get('ipv4Compat') === true;
  return { address: { ip, port }, mode: undefined, dualStack };
}

// Linux numbers of the options that Envoy's examples set with `socket_options`.
const SOCKET_OPTIONS: Readonly<
  Record<string, 'reuse' | 'keepAlive' | 'idleS' | 'intervalS' | 'probes' | 'mark' | 'noDelay' | 'transparent' | 'freebind'>
> = {
  '1/2': 'reuse',
  '1/15': 'reuse',
  '1/9': 'keepAlive',
  '6/4': 'idleS',
  '6/5': 'intervalS',
  '6/6': 'probes',
  '1/36': 'mark',
  '6/1': 'noDelay',
  '0/19': 'transparent',
  '41/75': 'transparent',
  '0/15': 'freebind',
};
/** Generic socket options, where they are among those that the engine knows. */
export function compileSocketOptions(list: readonly Fields<v3.SocketOption>[]): SocketOptions {
  const result: { -readonly [K in keyof SocketOptions]: SocketOptions[K] } = {};
  for (const option of list) {
    option.ignore('description', 'state');
    const [level, name, value] = [option.get('level') ?? 0, option.get('name') ?? 0, Number(option.get('intValue') ?? 0)];
    switch (SOCKET_OPTIONS[`${level}/${name}`]) {
      case 'reuse':
        break;
      case 'keepAlive':
        if (value !== 0) result.keepAlive ??= {};
        break;
      case 'idleS':
        result.keepAlive = { ...result.keepAlive, idleS: value };
        break;
      case 'intervalS':
        result.keepAlive = { ...result.keepAlive, intervalS: value };
        break;
      case 'probes':
        result.keepAlive = { ...result.keepAlive, probes: value };
        break;
      case 'mark':
        result.mark = value;
        break;
      case 'noDelay':
        result.noDelay = value !== 0;
        break;
      case 'transparent':
        result.transparent = value !== 0;
        break;
      case 'freebind':
        result.freebind = value !== 0;
        break;
      default:
        option.problem(undefined, `socket option ${name} of level ${level} is not supported`, 'UNSUPPORTED');
    }
  }
  return result;
}

/** Content of a data source; undefined where there is none or it cannot be read, which is a problem. */
export function compileDataSource(source: Fields<v3.DataSource> | undefined): Uint8Array | undefined {
  if (source === undefined) return undefined;
  const [filename, bytes, text, variable] = [
    source.get('filename'),
    source.get('inlineBytes'),
    source.get('inlineString'),
    source.get('environmentVariable'),
  ];
  if (bytes !== undefined) return bytes;
  if (text !== undefined) return Buffer.from(text, 'utf8');
  if (variable !== undefined) {
    const value = process.env[variable];
    if (value === undefined) source.problem('environmentVariable', `environment variable ${variable} is not set`);
    return value === undefined ? undefined : Buffer.from(value, 'utf8');
  }
  if (filename === undefined) return undefined;
  try {
    return source.context.readFile(filename);
  } catch (error) {
    source.problem('filename', `cannot read ${filename}: ${(error as Error).message}`);
    return undefined;
  }
}

/** Share of a fraction, 0..1. A static runtime layer may set it: a number is per cent, an object a fraction of its own. */
export function compileFraction(context: CompileContext, fraction: v3.FractionalPercent | undefined, runtimeKey: string | undefined): number {
  const share = ({ numerator = 0, denominator = 'HUNDRED' }: v3.FractionalPercent) =>
    Math.min(1, numerator / { HUNDRED: 100, TEN_THOUSAND: 10_000, MILLION: 1_000_000 }[denominator]);
  const override = runtimeKey === undefined ? undefined : context.runtime.get(runtimeKey);
  if (typeof override === 'number') return Math.min(1, override / 100);
  if (typeof override === 'object' && override !== null) return share(override as v3.FractionalPercent);
  return fraction === undefined ? 1 : share(fraction);
}

/** Text of a configuration as request bytes are seen: one character for each byte. */
export const bytesText = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');

function compileRegex(context: CompileContext, matcher: v3.RegexMatcher, path: string): StringMatch | undefined {
  const fields = context.fields(matcher, path, 'envoy.type.matcher.v3.RegexMatcher');
  fields.ignore('googleRe2');
  const regex = context.attempt(`${path}.regex`, () => context.regex.compile(fields.get('regex') ?? ''));
  return regex === undefined ? undefined : { kind: 'regex', regex };
}
/** A compiled `StringMatcher`; undefined where it cannot be done, which is a problem. */
export function compileStringMatcher(matcher: Fields<v3.StringMatcher>): StringMatch | undefined {
  const ignoreCase = matcher.get('ignoreCase') === true;
  for (const kind of ['exact', 'prefix', 'suffix', 'contains'] as const) {
    const value = matcher.get(kind);
    if (value !== undefined) return { kind, value: bytesText(value), ignoreCase };
  }
  const regex = matcher.get('safeRegex');
  if (regex !== undefined) return compileRegex(matcher.context, regex, matcher.at('safeRegex'));
  if (matcher.value.custom === undefined) matcher.problem(undefined, 'says nothing to match', 'MISSING_FIELD');
  return undefined;
}
/** A compiled `HeaderMatcher`, its deprecated forms included; undefined where it cannot be done, which is a problem. */
export function compileHeaderMatcher(matcher: Fields<v3.HeaderMatcher>): HeaderMatch | undefined {
  const common = {
    name: (matcher.get('name') ?? '').toLowerCase(),
    invert: matcher.get('invertMatch') === true,
    missingAsEmpty: matcher.get('treatMissingHeaderAsEmpty') === true,
  };
  const text = (match: StringMatch | undefined): HeaderMatch | undefined =>
    match === undefined ? undefined : { ...common, test: { kind: 'string', match } };
  for (const [field, kind] of [
    ['exactMatch', 'exact'],
    ['prefixMatch', 'prefix'],
    ['suffixMatch', 'suffix'],
    ['containsMatch', 'contains'],
  ] as const) {
    const value = matcher.get(field);
    if (value !== undefined) return text({ kind, value: bytesText(value), ignoreCase: false });
  }
  const regex = matcher.get('safeRegexMatch');
  if (regex !== undefined) return text(compileRegex(matcher.context, regex, matcher.at('safeRegexMatch')));
  const string = matcher.child('stringMatch', 'envoy.type.matcher.v3.StringMatcher');
  if (string !== undefined) return text(compileStringMatcher(string));
  const range = matcher.get('rangeMatch');
  if (range !== undefined) return { ...common, test: { kind: 'range', start: Number(range.start ?? 0), end: Number(range.end ?? 0) } };
  return { ...common, test: { kind: 'present', expected: matcher.get('presentMatch') ?? true } };
}
