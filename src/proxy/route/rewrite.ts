import type { Replacer } from '../regex.js';
import { portStart } from './route-table.js';

/** What part of the path a route has matched, and is replaced by a prefix rewrite: so many characters, or (a regular expression) all up to the query. */
export type MatchedPath = { readonly kind: 'length'; readonly characters: number } | { readonly kind: 'whole' };

/** Where the query begins, or the length of the path. */
export function queryStart(path: string): number {
  const at = path.indexOf('?');
  return at < 0 ? path.length : at;
}

/** Replaces what the route has matched by `prefix`; the query stays. Envoy: `RouteAction.prefix_rewrite`. */
export function rewritePrefix(prefix: string, matched: MatchedPath): (path: string) => string {
  if (matched.kind === 'length') return (path) => prefix + path.slice(matched.characters);
  return (path) => prefix + path.slice(queryStart(path));
}
/** Replaces every match in the path, query left out. Envoy: `RouteAction.regex_rewrite`. */
export function rewriteRegex(replace: Replacer): (path: string) => string {
  return (path) => {
    const end = queryStart(path);
    return end === path.length ? replace(path) : replace(path.slice(0, end)) + path.slice(end);
  };
}

export interface RedirectOptions {
  /** Empty: the request's. */
  readonly scheme: string;
  readonly host: string;
  /** 0: the request's. */
  readonly port: number;
  /** Whole new path; undefined: the request's, through `rewritePath`. */
  readonly path: string | undefined;
  readonly rewritePath: ((path: string) => string) | undefined;
  readonly stripQuery: boolean;
}

/**
 * `Location` of a redirect. Envoy: `RedirectAction`. A default port of the old scheme goes with it; a `path_redirect` with a query of its own replaces the
 * request's, and `strip_query` does not touch it.
 */
export function redirectLocation(options: RedirectOptions): (scheme: string, host: string, path: string) => string {
  const { scheme, host, port, path: fixedPath, rewritePath, stripQuery } = options;
  return (requestScheme, requestHost, requestPath) => {
    const newScheme = scheme === '' ? requestScheme : scheme;
    const newHost = host === '' ? hostWithoutOldPort(requestHost, requestScheme, newScheme, port !== 0) : host;
    const query = queryStart(requestPath);
    let path: string;
    if (fixedPath !== undefined) path = fixedPath.includes('?') || stripQuery ? fixedPath : fixedPath + requestPath.slice(query);
    else {
      path = stripQuery ? requestPath.slice(0, query) : requestPath;
      if (rewritePath !== undefined) path = rewritePath(path);
    }
    return `${newScheme}://${newHost}${port === 0 ? '' : `:${port}`}${path}`;
  };
}

function hostWithoutOldPort(host: string, scheme: string, newScheme: string, hasNewPort: boolean): string {
  const colon = portStart(host);
  if (colon === host.length) return host;
  const port = host.slice(colon + 1);
  const isOldDefault = scheme !== newScheme && ((scheme === 'http' && port === '80') || (scheme === 'https' && port === '443'));
  return hasNewPort || isOldDefault ? host.slice(0, colon) : host;
}
