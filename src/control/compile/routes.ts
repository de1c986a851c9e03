import { isGrpc } from '../../protocol/grpc/request.js';
import type { HeadView } from '../../protocol/head.js';
import type { FilterOverrides } from '../../proxy/http/filters/chain.js';
import type { HeaderForm } from '../../proxy/route/header-mutation.js';
import { compileHeaderMatch, compileQueryMatch, headerValue } from '../../proxy/route/matchers.js';
import { type MatchedPath, redirectLocation, rewritePrefix, rewriteRegex } from '../../proxy/route/rewrite.js';
import { createRouteTable, type PathMatch, type RouteEntry, type VirtualHostEntry } from '../../proxy/route/route-table.js';
import { type Weighted, weightedChoice } from '../../proxy/route/weighted-choice.js';
import type {
  ClusterChoice,
  DirectAction,
  ForwardAction,
  MirrorPolicy,
  RedirectAction,
  RetryPolicy,
  Route,
  RouteInput,
  RouteTable,
} from '../../proxy/runtime.js';
import type * as v3 from '../config/types.js';
import { bytesText, compileDataSource, compileFraction, compileHeaderMatcher, compileStringMatcher } from './common.js';
import type { CompileContext, Fields } from './context.js';
import { compileLevel, type LevelChanges, mutationOf } from './header-changes.js';
import { OverrideCompiler } from './http-filters.js';
import { HTTP_ONLY, refuseHttpOnly } from './http-only.js';
import { compileRetryPolicy } from './retry-policy.js';

const ROUTE = 'envoy.config.route.v3';

/** What routes take over from their table and virtual host. */
interface Scope {
  readonly virtualHost: string;
  readonly retry: RetryPolicy | undefined;
  readonly includeAttemptCount: boolean;
  readonly includeAttemptCountInResponse: boolean;
  readonly validateClusters: boolean;
  /** The routes are for requests of RPC protocols: what only HTTP can do is a problem. */
  readonly form: HeaderForm;
  readonly maxDirectBodyBytes: number;
  /** Mirrors of routes that name none themselves. */
  readonly mirrors: readonly MirrorPolicy[];
  /** Puts the route's changes and those around it in order. */
  levels(route: LevelChanges): readonly LevelChanges[];
  /** Of HTTP: what the virtual host and its table say of filters, and who reads what the route says. */
  readonly filters: FilterOverrides | undefined;
  readonly overrides: OverrideCompiler | undefined;
  readonly clusters: Set<string>;
}

/** Compiles a `RouteConfiguration`, for HTTP (`lines`) or RPC protocols (`entries`). Routes that cannot be done are problems, and left out. */
export function compileRouteTable(table: Fields<v3.RouteConfiguration>, form: HeaderForm = 'lines'): RouteTable | undefined {
  const { context } = table;
  const maxDirectBodyBytes = table.get('maxDirectResponseBodySizeBytes') ?? 4096;
  const validateClusters = table.get('validateClusters') ?? true;
  const mostSpecificWins = table.get('mostSpecificHeaderMutationsWins') === true;
  const tableLevel = compileLevel(table, form);
  const clusters = new Set<string>();
  const overrides = form === 'lines' ? new OverrideCompiler() : undefined;
  const tableFilters = overrides?.read(table, undefined);
  const tableMirrors = compileMirrors(table, form, validateClusters, clusters) ?? [];
  const ignorePortInHostMatching = table.get('ignorePortInHostMatching') === true;
  const names = new Set<string>();
  const virtualHosts = table.list('virtualHosts', `${ROUTE}.VirtualHost`).map((host): VirtualHostEntry => {
    const name = host.get('name') ?? '';
    if (names.has(name)) host.problem('name', `virtual host '${name}' is there twice`, 'DUPLICATE');
    names.add(name);
    if (form === 'entries') refuseHttpOnly(host, HTTP_ONLY.virtualHost);
    const hostLevel = compileLevel(host, form);
    const retry = host.child('retryPolicy', `${ROUTE}.RetryPolicy`);
    const scope: Scope = {
      virtualHost: name,
      retry: retry === undefined ? undefined : compileRetry(retry, form),
      includeAttemptCount: host.get('includeRequestAttemptCount') === true,
      includeAttemptCountInResponse: host.get('includeAttemptCountInResponse') === true,
      validateClusters,
      form,
      mirrors: compileMirrors(host, form, validateClusters, clusters) ?? tableMirrors,
      maxDirectBodyBytes,
      levels: (route) => (mostSpecificWins ? [tableLevel, hostLevel, route] : [route, hostLevel, tableLevel]),
      clusters,
      filters: overrides?.read(host, tableFilters),
      overrides,
    };
    const requireTls = host.get('requireTls') ?? 'NONE';
    if (requireTls === 'EXTERNAL_ONLY' && form === 'lines')
      host.problem('requireTls', 'EXTERNAL_ONLY is not supported; use ALL or NONE', 'UNSUPPORTED');
    const domains = (host.get('domains') ?? []).filter((domain, index) => isDomain(host, domain, index));
    return {
      name,
      domains: form === 'entries' ? domains.map(bytesText) : domains,
      routes: host.list('routes', `${ROUTE}.Route`).flatMap((route) => compileRoute(route, scope) ?? []),
      secureRedirect: requireTls === 'ALL' ? secureRedirect(name) : undefined,
    };
  });
  const name = table.get('name') ?? '';
  return context.attempt(table.at('virtualHosts'), () =>
    createRouteTable({ name, virtualHosts, ignorePortInHostMatching, maxDirectBodyBytes, clusterNames: [...clusters] }),
  );
}

function compileRetry(policy: Fields<v3.RetryPolicy>, form: HeaderForm): RetryPolicy {
  if (form === 'entries') refuseHttpOnly(policy, HTTP_ONLY.retry);
  return compileRetryPolicy(policy);
}
function isDomain(host: Fields<v3.VirtualHost>, domain: string, index: number): boolean {
  const inner = domain === '*' ? '' : domain.replace(/^\*|\*$/, '');
  if (domain !== '' && !inner.includes('*')) return true;
  host.context.problem(
    `${host.at('domains')}[${index}]`,
    'INVALID',
    `'${domain}' is not a domain: one '*' is allowed, at the beginning or at the end`,
  );
  return false;
}
const secureRedirect = (virtualHost: string): Route => ({
  name: '',
  virtualHost,
  requestHeaders: undefined,
  responseHeaders: undefined,
  action: {
    kind: 'redirect',
    status: 301,
    location: redirectLocation({ scheme: 'https', host: '', port: 0, path: undefined, rewritePath: undefined, stripQuery: false }),
  },
});

function compileRoute(route: Fields<v3.Route>, scope: Scope): RouteEntry | undefined {
  const name = route.get('name') ?? '';
  const level = compileLevel(route, scope.form);
  const levels = scope.levels(level);
  const match = route.child('match', `${ROUTE}.RouteMatch`);
  if (match !== undefined && scope.form === 'entries') refuseHttpOnly(match, HTTP_ONLY.match);
  const compiled = match === undefined ? undefined : compileMatch(match);
  if (match === undefined) route.problem('match', 'match is missing', 'MISSING_FIELD');
  const matched: MatchedPath =
    compiled === undefined || compiled.path.kind === 'regex'
      ? { kind: 'whole' }
      : { kind: 'length', characters: compiled.path.kind === 'connect' ? 0 : compiled.path.value.length };
  const filters = scope.overrides?.read(route, scope.filters);
  const action = compileAction(route, scope, matched);
  if (compiled === undefined || action === undefined) return undefined;
  return {
    ...compiled,
    route: {
      name,
      virtualHost: scope.virtualHost,
      requestHeaders: mutationOf(levels, 'request', scope.form),
      responseHeaders: mutationOf(levels, 'response', scope.form),
      ...(filters === undefined ? {} : { filters }),
      action,
    },
  };
}

type Condition = (head: HeadView, request: RouteInput) => boolean;
function compileMatch(match: Fields<v3.RouteMatch>): { path: PathMatch; condition: Condition | undefined } | undefined {
  const { context } = match;
  const path = compilePath(match);
  const conditions: Condition[] = [];
  const fraction = match.get('runtimeFraction');
  if (fraction !== undefined) {
    const share = compileFraction(context, fraction.defaultValue, fraction.runtimeKey);
    conditions.push((_, request) => request.random < share);
  }
  for (const header of match.list('headers', `${ROUTE}.HeaderMatcher`)) {
    const test = compileHeaderMatcher(header);
    if (test !== undefined) conditions.push(compileHeaderMatch(test));
  }
  for (const query of match.list('queryParameters', `${ROUTE}.QueryParameterMatcher`)) {
    const name = bytesText(query.get('name') ?? '');
    const string = query.child('stringMatch', 'envoy.type.matcher.v3.StringMatcher');
    const test = string === undefined ? undefined : compileStringMatcher(string);
    if (string === undefined) {
      const holds = compileQueryMatch({ name, test: { kind: 'present', expected: query.get('presentMatch') ?? true } });
      conditions.push((_, request) => holds(request.path));
    } else if (test !== undefined) {
      const holds = compileQueryMatch({ name, test: { kind: 'string', match: test } });
      conditions.push((_, request) => holds(request.path));
    }
  }
  if (match.get('grpc') !== undefined) conditions.push(isGrpc);
  if (path === undefined) return undefined;
  const [first, ...others] = conditions;
  const condition = others.length === 0 ? first : (head: HeadView, request: RouteInput) => conditions.every((holds) => holds(head, request));
  return { path, condition };
}
function compilePath(match: Fields<v3.RouteMatch>): PathMatch | undefined {
  const caseSensitive = match.get('caseSensitive') ?? true;
  const [prefix, path, separated] = [match.get('prefix'), match.get('path'), match.get('pathSeparatedPrefix')];
  if (prefix !== undefined) return { kind: 'prefix', value: bytesText(prefix), caseSensitive };
  if (path !== undefined) return { kind: 'path', value: bytesText(path), caseSensitive };
  if (separated !== undefined) return { kind: 'separated', value: bytesText(separated), caseSensitive };
  const regex = match.child('safeRegex', 'envoy.type.matcher.v3.RegexMatcher');
  if (regex !== undefined) {
    regex.ignore('googleRe2');
    const compiled = match.context.attempt(regex.at('regex'), () => match.context.regex.compile(regex.get('regex') ?? ''));
    return compiled === undefined ? undefined : { kind: 'regex', regex: compiled };
  }
  if (match.get('connectMatcher') !== undefined) return { kind: 'connect' };
  if (match.value.pathMatchPolicy === undefined)
    match.problem(undefined, 'says nothing of the path: prefix, path, path_separated_prefix, safe_regex or connect_matcher', 'MISSING_FIELD');
  return undefined;
}

function compileAction(route: Fields<v3.Route>, scope: Scope, matched: MatchedPath): Route['action'] | undefined {
  const forward = route.child('route', `${ROUTE}.RouteAction`);
  if (forward !== undefined) return compileForward(forward, scope, matched);
  if (scope.form === 'entries' && route.get('redirect') !== undefined) {
    route.problem('redirect', 'a request of an RPC protocol cannot be redirected; use route or direct_response', 'UNSUPPORTED');
    return undefined;
  }
  const redirect = route.child('redirect', `${ROUTE}.RedirectAction`);
  if (redirect !== undefined) return compileRedirect(redirect, matched);
  const direct = route.child('directResponse', `${ROUTE}.DirectResponseAction`);
  if (direct !== undefined) return compileDirect(direct, scope);
  if (route.value.filterAction === undefined && route.value.nonForwardingAction === undefined) {
    route.problem(undefined, 'has no action: route, redirect or direct_response', 'MISSING_FIELD');
  }
  return undefined;
}

function compileRewriter(
  context: CompileContext,
  rewrite: v3.RegexMatchAndSubstitute | undefined,
  path: string,
): ((text: string) => string) | undefined {
  if (rewrite === undefined) return undefined;
  return context.attempt(path, () => context.regex.replacer(rewrite.pattern?.regex ?? '', rewrite.substitution ?? ''));
}

function compileDirect(direct: Fields<v3.DirectResponseAction>, scope: Scope): DirectAction {
  const body = compileDataSource(direct.child('body', 'envoy.config.core.v3.DataSource')) ?? new Uint8Array(0);
  if (body.length > scope.maxDirectBodyBytes) {
    direct.problem('body', `${body.length} bytes; max_direct_response_body_size_bytes of the route configuration allows ${scope.maxDirectBodyBytes}`);
  }
  const status = direct.get('status') ?? 200;
  if (scope.form === 'entries' && status < 400)
    direct.problem('status', `${status}: the proxy can only refuse a request of an RPC protocol; use a status of 400 to 599`);
  return { kind: 'direct', status, body };
}

const REDIRECT_STATUS = { MOVED_PERMANENTLY: 301, FOUND: 302, SEE_OTHER: 303, TEMPORARY_REDIRECT: 307, PERMANENT_REDIRECT: 308 } as const;
function compileRedirect(redirect: Fields<v3.RedirectAction>, matched: MatchedPath): RedirectAction {
  const prefix = redirect.get('prefixRewrite');
  const replace = compileRewriter(redirect.context, redirect.get('regexRewrite'), redirect.at('regexRewrite'));
  const path = redirect.get('pathRedirect');
  return {
    kind: 'redirect',
    status: REDIRECT_STATUS[redirect.get('responseCode') ?? 'MOVED_PERMANENTLY'],
    location: redirectLocation({
      scheme: redirect.get('schemeRedirect') || (redirect.get('httpsRedirect') === true ? 'https' : ''),
      host: bytesText(redirect.get('hostRedirect') ?? ''),
      port: redirect.get('portRedirect') ?? 0,
      path: path === undefined || path === '' ? undefined : bytesText(path),
      rewritePath: prefix === undefined || prefix === '' ? replace && rewriteRegex(replace) : rewritePrefix(bytesText(prefix), matched),
      stripQuery: redirect.get('stripQuery') === true,
    }),
  };
}

const NOT_FOUND_STATUS = { SERVICE_UNAVAILABLE: 503, NOT_FOUND: 404, INTERNAL_SERVER_ERROR: 500 } as const;
function compileForward(action: Fields<v3.RouteAction>, scope: Scope, matched: MatchedPath): ForwardAction | undefined {
  const chooseCluster = compileClusters(action, scope);
  if (scope.form === 'entries') refuseHttpOnly(action, HTTP_ONLY.forward);
  const mirrors = compileMirrors(action, scope.form, scope.validateClusters, scope.clusters) ?? scope.mirrors;
  const prefix = action.get('prefixRewrite');
  const replace = compileRewriter(action.context, action.get('regexRewrite'), action.at('regexRewrite'));
  const retry = action.child('retryPolicy', `${ROUTE}.RetryPolicy`);
  const maxStream = action.child('maxStreamDuration', `${ROUTE}.RouteAction.MaxStreamDuration`);
  const upgrades = action.list('upgradeConfigs', `${ROUTE}.RouteAction.UpgradeConfig`).map((upgrade) => {
    if (upgrade.get('connectConfig') !== undefined)
      upgrade.problem('connectConfig', 'ending a CONNECT tunnel here is not supported; without it CONNECT is forwarded as it is', 'UNSUPPORTED');
    return [(upgrade.get('upgradeType') ?? '').toLowerCase(), upgrade.get('enabled') ?? true] as const;
  });
  const redirects = action.get('internalRedirectAction');
  if (redirects === 'HANDLE_INTERNAL_REDIRECT') action.problem('internalRedirectAction', 'internal redirects are not supported', 'UNSUPPORTED');
  const common = {
    kind: 'forward',
    clusterNotFoundStatus: NOT_FOUND_STATUS[action.get('clusterNotFoundResponseCode') ?? 'SERVICE_UNAVAILABLE'],
    rewritePath: prefix === undefined || prefix === '' ? replace && rewriteRegex(replace) : rewritePrefix(bytesText(prefix), matched),
    rewriteHost: compileHostRewrite(action),
    appendForwardedHost: action.get('appendXForwardedHost') === true,
    timeoutMs: action.get('timeout') ?? 15_000,
    idleTimeoutMs: action.get('idleTimeout'),
    maxStreamDurationMs: maxStream?.get('maxStreamDuration'),
    grpcTimeout: compileGrpcTimeout(action, maxStream),
    retry: retry === undefined ? scope.retry : compileRetry(retry, scope.form),
    priority: action.get('priority') ?? 'DEFAULT',
    upgrades: upgrades.length === 0 ? undefined : new Map(upgrades),
    hash: undefined,
    includeAttemptCount: scope.includeAttemptCount,
    includeAttemptCountInResponse: scope.includeAttemptCountInResponse,
  } as const;
  return chooseCluster === undefined ? undefined : { ...common, chooseCluster, ...(mirrors.length === 0 ? {} : { mirrors }) };
}
/** `max_stream_duration` goes before the deprecated fields, as in Envoy. */
function compileGrpcTimeout(action: Fields<v3.RouteAction>, maxStream: Fields<v3.MaxStreamDuration> | undefined): ForwardAction['grpcTimeout'] {
  const [max, offset] = [maxStream?.get('grpcTimeoutHeaderMax'), maxStream?.get('grpcTimeoutHeaderOffset')];
  const [deprecatedMax, deprecatedOffset] = [action.get('maxGrpcTimeout'), action.get('grpcTimeoutOffset')];
  if (max === undefined && offset !== undefined) maxStream?.problem('grpcTimeoutHeaderOffset', 'has an effect only beside grpc_timeout_header_max');
  if (deprecatedMax === undefined && deprecatedOffset !== undefined)
    action.problem('grpcTimeoutOffset', 'has an effect only beside max_grpc_timeout');
  if (max !== undefined) return { replaces: 'maxStreamDuration', maxMs: max, offsetMs: offset ?? 0 };
  return deprecatedMax === undefined ? undefined : { replaces: 'timeout', maxMs: deprecatedMax, offsetMs: deprecatedOffset ?? 0 };
}
/** Undefined where there are none. Only requests of RPC protocols are mirrored: elsewhere the field stays unread, which is a problem. */
function compileMirrors(
  of: Fields<Pick<v3.RouteAction, 'requestMirrorPolicies'>>,
  form: HeaderForm,
  validateClusters: boolean,
  clusters: Set<string>,
): MirrorPolicy[] | undefined {
  if (form === 'lines' || (of.value.requestMirrorPolicies?.length ?? 0) === 0) return undefined;
  return of.list('requestMirrorPolicies', `${ROUTE}.RouteAction.RequestMirrorPolicy`).flatMap((mirror) => {
    const [cluster, header] = [mirror.get('cluster') ?? '', mirror.get('clusterHeader') ?? ''];
    const fraction = mirror.get('runtimeFraction');
    const share = fraction === undefined ? 1 : compileFraction(mirror.context, fraction.defaultValue, fraction.runtimeKey);
    if (cluster === '' && header === '') {
      mirror.problem(undefined, 'names no cluster: cluster or cluster_header', 'MISSING_FIELD');
      return [];
    }
    if (cluster === '') {
      const choose = clusterFromHeader(header);
      return [{ share, chooseCluster: (head: HeadView) => choose(head)?.name }];
    }
    clusters.add(cluster);
    if (validateClusters) mirror.context.checkCluster(cluster, mirror.at('cluster'));
    return [{ share, chooseCluster: () => cluster }];
  });
}

function compileHostRewrite(action: Fields<v3.RouteAction>): ForwardAction['rewriteHost'] {
  const [literal, auto, header, regex] = [
    action.get('hostRewriteLiteral'),
    action.get('autoHostRewrite'),
    action.get('hostRewriteHeader'),
    action.get('hostRewritePathRegex'),
  ];
  if (literal !== undefined && literal !== '') {
    const host = bytesText(literal);
    return () => host;
  }
  if (auto === true) return 'auto';
  if (header !== undefined && header !== '') {
    const name = header.toLowerCase();
    return (_host, _path, head) => head.get(name) || undefined;
  }
  const replace = compileRewriter(action.context, regex, action.at('hostRewritePathRegex'));
  if (replace === undefined) return undefined;
  return (_host, path) => replace(path.replace(/\?.*/s, ''));
}

function compileClusters(action: Fields<v3.RouteAction>, scope: Scope): ForwardAction['chooseCluster'] | undefined {
  const known = (name: string, path: string): ClusterChoice => {
    scope.clusters.add(name);
    if (scope.validateClusters) action.context.checkCluster(name, path);
    return { name, requestHeaders: undefined, responseHeaders: undefined };
  };
  const cluster = action.get('cluster');
  if (cluster !== undefined) {
    const choice = known(cluster, action.at('cluster'));
    return () => choice;
  }
  const header = action.get('clusterHeader');
  if (header !== undefined) return clusterFromHeader(header);
  const weighted = action.child('weightedClusters', `${ROUTE}.WeightedCluster`);
  if (weighted === undefined) {
    if (action.value.clusterSpecifierPlugin === undefined && action.value.inlineClusterSpecifierPlugin === undefined) {
      action.problem(undefined, 'names no cluster: cluster, cluster_header or weighted_clusters', 'MISSING_FIELD');
    }
    return undefined;
  }
  const entries = weighted
    .list('clusters', `${ROUTE}.WeightedCluster.ClusterWeight`)
    .map((entry): Weighted<(head: HeadView) => ClusterChoice | undefined> => {
      if (scope.form === 'entries') refuseHttpOnly(entry, HTTP_ONLY.weight);
      const level = compileLevel(entry, scope.form);
      const rewriteHost = entry.get('hostRewriteLiteral');
      const extra = {
        requestHeaders: mutationOf([level], 'request', scope.form),
        responseHeaders: mutationOf([level], 'response', scope.form),
        ...(rewriteHost === undefined || rewriteHost === '' ? {} : { rewriteHost: bytesText(rewriteHost) }),
      };
      const [name, fromHeader, weight] = [entry.get('name') ?? '', entry.get('clusterHeader') ?? '', entry.get('weight') ?? 0];
      if (name === '' && fromHeader !== '') {
        const choose = clusterFromHeader(fromHeader);
        return { weight, item: (head) => withExtra(choose(head), extra) };
      }
      const choice = { ...known(name, entry.at('name')), ...extra };
      return { weight, item: () => choice };
    });
  const total = weighted.get('totalWeight');
  const sum = entries.reduce((all, entry) => all + entry.weight, 0);
  if (total !== undefined && total !== sum) weighted.problem('totalWeight', `is ${total}, but the weights add up to ${sum}`);
  const choose = action.context.attempt(weighted.at('clusters'), () => weightedChoice(entries));
  return choose === undefined ? undefined : (head, random) => choose(random)(head);
}
const withExtra = (choice: ClusterChoice | undefined, extra: Omit<ClusterChoice, 'name'>) =>
  choice === undefined ? undefined : { ...choice, ...extra };
function clusterFromHeader(header: string): (head: HeadView) => ClusterChoice | undefined {
  const valueOf = headerValue(header.toLowerCase());
  return (head) => {
    const name = valueOf(head, undefined);
    return name === undefined || name === '' ? undefined : { name, requestHeaders: undefined, responseHeaders: undefined };
  };
}
