import type { HeadView } from '../../protocol/head.js';
import type { SafeRegex } from '../regex.js';
import type { Route, RouteInput, RouteTable } from '../runtime.js';
import { lowerAscii } from './matchers.js';
import { PathIndex } from './path-index.js';

/** What a route says of the path, query left out. */
export type PathMatch =
  | { readonly kind: 'prefix' | 'path' | 'separated'; readonly value: string; readonly caseSensitive: boolean }
  | { readonly kind: 'regex'; readonly regex: SafeRegex }
  | { readonly kind: 'connect' };

/** A route with what it asks for beside the path. */
export interface RouteEntry {
  readonly path: PathMatch;
  /** Headers, query, runtime fraction, ...; undefined: nothing else is asked for. */
  readonly condition: ((head: HeadView, request: RouteInput) => boolean) | undefined;
  readonly route: Route;
}
/** A virtual host as configured. */
export interface VirtualHostEntry {
  readonly name: string;
  /** `host`, `*.suffix`, `prefix.*` or `*`; any case. */
  readonly domains: readonly string[];
  /** The first that matches is taken. */
  readonly routes: readonly RouteEntry[];
  /** Taken by every request that is not https (`require_tls: ALL`). */
  readonly secureRedirect: Route | undefined;
}
export interface RouteTableOptions {
  readonly name: string;
  readonly virtualHosts: readonly VirtualHostEntry[];
  readonly ignorePortInHostMatching: boolean;
  readonly maxDirectBodyBytes: number;
  readonly clusterNames: readonly string[];
}

/**
 * Makes a table. A host is looked up as Envoy does (`config.route.v3.VirtualHost.domains`): exact, then the longest `*suffix`, then the longest
 * `prefix*`, then `*`. Throws RangeError where two virtual hosts have the same domain.
 */
export function createRouteTable(options: RouteTableOptions): RouteTable {
  const hosts = new HostIndex(options.virtualHosts);
  const { name, ignorePortInHostMatching, maxDirectBodyBytes, clusterNames } = options;
  return {
    name,
    maxDirectBodyBytes,
    clusterNames,
    only: onlyRoute(options.virtualHosts),
    match(head, request) {
      const { host } = request;
      const found = hosts.find(ignorePortInHostMatching ? host.slice(0, portStart(host)) : host);
      if (found === undefined) return undefined;
      return found.secureRedirect !== undefined && request.scheme !== 'https' ? found.secureRedirect : found.match(head, request);
    },
  };
}

/** The route that every path beginning with a slash takes, whatever else the request says; undefined: it depends. */
function onlyRoute(virtualHosts: readonly VirtualHostEntry[]): Route | undefined {
  const [host, ...others] = virtualHosts;
  if (host === undefined || others.length > 0 || !host.domains.includes('*') || host.secureRedirect !== undefined) return undefined;
  const [first] = host.routes;
  if (first === undefined || first.condition !== undefined || first.path.kind !== 'prefix') return undefined;
  return first.path.value === '' || first.path.value === '/' ? first.route : undefined;
}

/** Where the `:port` of a host begins; its length where it has none. */
export function portStart(host: string): number {
  const colon = host.lastIndexOf(':');
  // A bare IPv6 address has colons but no port: one with a port has it after the bracket.
  if (colon < 0 || host.lastIndexOf(']') > colon || (host.charCodeAt(0) !== 0x5b && host.indexOf(':') !== colon)) return host.length;
  for (let i = colon + 1; i < host.length; i++) if (host.charCodeAt(i) < 0x30 || host.charCodeAt(i) > 0x39) return host.length;
  return colon;
}

/** Wildcard domains with the same number of fixed characters. */
interface Wildcards {
  readonly length: number;
  readonly byText: Map<string, VirtualHost>;
}

class HostIndex {
  readonly #exact = new Map<string, VirtualHost>();
  /** Longest first. */
  readonly #suffixes: Wildcards[] = [];
  readonly #prefixes: Wildcards[] = [];
  #any: VirtualHost | undefined;

  constructor(entries: readonly VirtualHostEntry[]) {
    for (const entry of entries) {
      const host = new VirtualHost(entry);
      for (const domain of entry.domains) this.#add(lowerAscii(domain), host);
    }
    this.#suffixes.sort((a, b) => b.length - a.length);
    this.#prefixes.sort((a, b) => b.length - a.length);
  }
  #add(domain: string, host: VirtualHost): void {
    if (domain === '*') {
      if (this.#any !== undefined) throw new RangeError("domain '*' is in two virtual hosts");
      this.#any = host;
      return;
    }
    const [text, map] = domain.startsWith('*')
      ? [domain.slice(1), wildcards(this.#suffixes, domain.length - 1)]
      : domain.endsWith('*')
        ? [domain.slice(0, -1), wildcards(this.#prefixes, domain.length - 1)]
        : [domain, this.#exact];
    if (map.has(text)) throw new RangeError(`domain '${domain}' is in two virtual hosts`);
    map.set(text, host);
  }
  find(host: string): VirtualHost | undefined {
    const exact = this.#exact.get(host);
    if (exact !== undefined) return exact;
    for (const { length, byText } of this.#suffixes) {
      // The `*` stands for at least one character.
      const found = host.length > length ? byText.get(host.slice(host.length - length)) : undefined;
      if (found !== undefined) return found;
    }
    for (const { length, byText } of this.#prefixes) {
      const found = host.length > length ? byText.get(host.slice(0, length)) : undefined;
      if (found !== undefined) return found;
    }
    return this.#any;
  }
}
function wildcards(lists: Wildcards[], length: number): Map<string, VirtualHost> {
  let list = lists.find((candidate) => candidate.length === length);
  if (list === undefined) {
    list = { length, byText: new Map() };
    lists.push(list);
  }
  return list.byText;
}

class VirtualHost {
  readonly secureRedirect: Route | undefined;
  readonly #routes: readonly RouteEntry[];
  readonly #index = new PathIndex();
  /** Routes that the index cannot find: regular expressions, CONNECT, any case. Ascending. */
  readonly #others: number[] = [];
  readonly #tests: readonly ((path: string, end: number, request: RouteInput) => boolean)[];

  constructor(entry: VirtualHostEntry) {
    this.secureRedirect = entry.secureRedirect;
    this.#routes = entry.routes;
    this.#tests = entry.routes.map(({ path }) => pathTest(path));
    entry.routes.forEach(({ path }, index) => {
      if (path.kind === 'regex' || path.kind === 'connect' || !path.caseSensitive) this.#others.push(index);
      else if (path.kind === 'prefix') this.#index.addPrefix(path.value, index);
      else if (path.kind === 'path') this.#index.addExact(path.value, index);
      else this.#index.addSeparatedPrefix(path.value, index);
    });
  }

  match(head: HeadView, request: RouteInput): Route | undefined {
    const { path } = request;
    const query = path.indexOf('?');
    const end = query < 0 ? path.length : query;
    // CONNECT without a path can only be meant by a connect matcher.
    const found = path.length === 0 ? 0 : this.#index.find(path, end);
    const others = this.#others;
    let next = 0;
    for (let i = 0; i <= found; i++) {
      const index = i < found ? this.#index.at(i) : this.#routes.length;
      // Routes are tried in the order of the configuration, wherever they were found.
      for (; next < others.length && others[next] < index; next++) {
        const other = others[next];
        if (this.#tests[other](path, end, request) && this.#accepts(other, head, request)) return this.#routes[other].route;
      }
      if (i < found && this.#accepts(index, head, request)) return this.#routes[index].route;
    }
    return undefined;
  }
  #accepts(index: number, head: HeadView, request: RouteInput): boolean {
    const { condition } = this.#routes[index];
    return condition === undefined || condition(head, request);
  }
}

function pathTest(match: PathMatch): (path: string, end: number, request: RouteInput) => boolean {
  if (match.kind === 'connect') return (_path, _end, request) => request.isConnect;
  if (match.kind === 'regex') return (path, end) => end > 0 && match.regex.test(path.slice(0, end));
  const value = match.caseSensitive ? match.value : lowerAscii(match.value);
  const fold = match.caseSensitive ? (path: string) => path : lowerAscii;
  const { kind } = match;
  return (path, end) => {
    if (end < value.length || end === 0) return false;
    if (kind === 'path' && end !== value.length) return false;
    if (kind === 'separated' && end > value.length && path.charCodeAt(value.length) !== 0x2f) return false;
    return fold(path.slice(0, value.length)) === value;
  };
}
